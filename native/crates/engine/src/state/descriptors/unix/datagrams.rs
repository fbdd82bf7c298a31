//! Datagram sockets: connected in one direction each, with messages of senders that may be gone.

use super::binding::Binder;
use super::connections::End;
use super::queue::to_sender;
use super::workshop::Workshop;
use super::{MessageV1, SocketId, SocketV1, StateV1, names, options, settling};
use crate::explain::{Explain, Result};
use crate::nursery::Nursery;
use crate::rebuild::Rebuild;
use abi::{Code, Fault};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::unix_sockets;

impl<'s> Workshop<'s> {
    /// Makes the socket pair that `socket` must have come from, if any: an unnamed socket has no other way to a peer.
    pub fn make_datagram_pair(&mut self, socket: &'s SocketV1) -> Result<()> {
        if self.left.paired.contains(&socket.id) {
            return Ok(());
        }
        let one = End::Socket(socket);
        match &socket.state {
            StateV1::Widowed(None) => {
                self.make_pair(one, End::Spouse(socket, None), socket.kind)?;
                self.left.paired.insert(socket.id);
            }
            StateV1::Connected(peer) if *peer != socket.id => {
                let peer = self.socket(*peer)?;
                let mutual = peer.state == StateV1::Connected(socket.id);
                if mutual && came_in_a_pair(socket, peer) {
                    self.make_pair(one, End::Socket(peer), socket.kind)?;
                    self.left.paired.extend([socket.id, peer.id]);
                } else if peer.name.is_none() {
                    self.make_pair(one, End::Socket(peer), socket.kind)?;
                    self.left.paired.insert(socket.id);
                    unix_sockets::disconnect(self.made(peer.id)?.as_fd())
                        .explain(|| format!("Could not disconnect {}", peer.label()))?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn came_in_a_pair(one: &SocketV1, other: &SocketV1) -> bool {
    let by_other = |socket: &SocketV1, peer: &SocketV1| {
        let name = peer.name.as_ref().map(|name| &name.bytes);
        socket.queue.iter().all(|message| message.from.as_ref() == name)
    };
    let unnamed = one.name.is_none() || other.name.is_none();
    unnamed || one.peer_credentials.is_some() && by_other(one, other) && by_other(other, one)
}

/// Fills queues and connects, when every description exists.
pub struct Post<'r> {
    pub sockets: &'r [SocketV1],
    pub nursery: &'r Nursery,
    pub rebuild: &'r Rebuild,
    pub notes: Vec<String>,
    /// Sockets that stand for senders which are gone, by name.
    strangers: HashMap<Vec<u8>, OwnedFd>,
}

impl<'r> Post<'r> {
    pub fn new(sockets: &'r [SocketV1], nursery: &'r Nursery, rebuild: &'r Rebuild) -> Self {
        Self { sockets, nursery, rebuild, notes: Vec::new(), strangers: HashMap::new() }
    }

    fn file(&self, socket: &SocketV1) -> Result<&'r OwnedFd> {
        settling::file(socket, self.rebuild)
    }

    /// Sends every queued message again, before receivers are connected to whom alone they accept any from.
    pub fn fill(&mut self) -> Result<()> {
        for socket in self.sockets.iter().filter(|socket| socket.is_datagram()) {
            for message in &socket.queue {
                self.send(socket, message)?;
            }
        }
        self.strangers.clear();
        Ok(())
    }

    fn send(&mut self, to: &SocketV1, message: &MessageV1) -> Result<()> {
        let rights = settling::rights(message, self.rebuild)?;
        let (sender, note) = to_sender(message.sender, to, self.rebuild);
        self.notes.extend(note);
        let name = self.address(to);
        let from = match self.only_sender(to)? {
            Some(mate) => mate.as_fd(),
            None => self.sender(message, to.kind)?,
        };
        options::make_room(from);
        unix_sockets::send(from, name.as_deref(), &message.bytes, &rights, sender)
            .map(drop)
            .explain(|| format!("Could not put a message back into {}", to.label()))
    }

    /// Whoever was made as one pair with it: nobody else can reach an unnamed socket, or one that is connected.
    fn only_sender(&self, to: &SocketV1) -> Result<Option<&OwnedFd>> {
        let left = &self.rebuild.unix;
        if let Some(spouse) = left.spouses.get(&to.id) {
            return Ok(Some(spouse));
        }
        let mates = self.sockets.iter().find(|mate| {
            left.paired.contains(&mate.id) && mate.id != to.id && mate.state == StateV1::Connected(to.id)
        });
        let sole = to.name.is_none() || left.paired.contains(&to.id);
        mates.filter(|_| sole).map(|mate| self.file(mate)).transpose()
    }

    /// How to send to a socket that has a name; none is needed within a pair.
    fn address(&self, to: &SocketV1) -> Option<Vec<u8>> {
        if self.rebuild.unix.paired.contains(&to.id) {
            return None;
        }
        match self.rebuild.unix.nodes.get(&to.id) {
            Some(node) => Some(names::through(node.as_fd())),
            None => to.name.as_ref().map(|name| name.bytes.to_vec()),
        }
    }

    fn sender(&mut self, message: &MessageV1, kind: i32) -> Result<BorrowedFd<'_>> {
        let name = message.from.as_ref().map_or(&[][..], |name| name.as_slice());
        let known = self.sockets.iter().find(|socket| {
            socket.is_datagram() && socket.held_name().is_some_and(|own| own.bytes.as_slice() == name)
        });
        if let Some(socket) = known {
            return Ok(self.file(socket)?.as_fd());
        }
        if !self.strangers.contains_key(name) {
            let stranger = stranger(kind, name, self.nursery, self.rebuild)?;
            self.strangers.insert(name.to_vec(), stranger);
        }
        Ok(self.strangers[name].as_fd())
    }

    /// Connects one-way. Whoever is to be connected elsewhere must be connected to first: from then on it accepts
    /// nobody else (connect(2), EPERM).
    pub fn connect(&mut self) -> Result<()> {
        let mut left: Vec<&SocketV1> = self
            .sockets
            .iter()
            .filter(|socket| socket.is_datagram() && !self.rebuild.unix.paired.contains(&socket.id))
            .collect();
        while !left.is_empty() {
            let waiting: HashSet<SocketId> = left.iter().map(|socket| socket.id).collect();
            let ready = |socket: &&SocketV1| {
                let before = |other: &&SocketV1| {
                    other.state == StateV1::Connected(socket.id)
                        && other.id != socket.id
                        && socket.state != StateV1::Connected(other.id)
                };
                !left.iter().any(|other| before(other) && waiting.contains(&other.id))
            };
            let (now, later): (Vec<_>, Vec<_>) = left.iter().copied().partition(ready);
            if now.is_empty() {
                return Err(Fault::new(Code::RestoreFailed, "Could not connect datagram sockets")
                    .because("they are connected in a ring"));
            }
            for socket in now {
                self.connect_one(socket)?;
            }
            left = later;
        }
        Ok(())
    }

    fn connect_one(&mut self, socket: &SocketV1) -> Result<()> {
        let what = || format!("Could not connect {}", socket.label());
        let file = self.file(socket)?.as_fd();
        match &socket.state {
            StateV1::Connected(peer) => {
                let peer = self.sockets.iter().find(|other| other.id == *peer);
                let address = peer.and_then(|peer| self.named(peer));
                let address = address.ok_or(sys::Errno::ENOENT).explain(what)?;
                unix_sockets::connect(file, &address).explain(what)
            }
            StateV1::Widowed(Some(name)) => self.connect_to_closed(file, name, socket),
            StateV1::Outside(name) => {
                let reached = match name[0] {
                    0 => unix_sockets::connect(file, name),
                    _ => connect_by_path(file, &self.rebuild.path(name)),
                };
                if let Err(errno) = reached {
                    let name = names::printable(name);
                    self.notes
                        .push(format!("nobody listens at \"{name}\" now ({errno}): sending there will fail"));
                    return self.connect_to_closed(file, name.as_bytes(), socket);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn named(&self, peer: &SocketV1) -> Option<Vec<u8>> {
        match self.rebuild.unix.nodes.get(&peer.id) {
            Some(node) => Some(names::through(node.as_fd())),
            None => peer.name.as_ref().map(|name| name.bytes.to_vec()),
        }
    }

    /// Connects to a socket of this name that is closed at once.
    fn connect_to_closed(&self, file: BorrowedFd, name: &[u8], socket: &SocketV1) -> Result<()> {
        let what = || format!("Could not connect {}", socket.label());
        let closed = unix_sockets::socket(socket.kind).explain(what)?;
        let binder = Binder { nursery: self.nursery, rebuild: self.rebuild };
        let address = match binder.bind_passing(&closed, name)? {
            Some(node) => {
                let connected = unix_sockets::connect(file, &names::through(node.as_fd()));
                return connected.explain(what);
            }
            None => name,
        };
        unix_sockets::connect(file, address).explain(what)
    }
}

/// By a descriptor of the node, since the path may be longer than a name can be.
fn connect_by_path(file: BorrowedFd, path: &std::path::Path) -> sys::Result<()> {
    let node = sys::files::open(path, libc::O_PATH)?;
    unix_sockets::connect(file, &names::through(node.as_fd()))
}

fn stranger(kind: i32, name: &[u8], nursery: &Nursery, rebuild: &Rebuild) -> Result<OwnedFd> {
    let socket = unix_sockets::socket(kind).explain(|| "Could not make a socket for a sender".to_owned())?;
    if !name.is_empty() {
        Binder { nursery, rebuild }.bind_passing(&socket, name)?;
    }
    Ok(socket)
}
