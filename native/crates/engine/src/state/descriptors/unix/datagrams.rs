//! Datagram sockets: connected in one direction each, with messages of senders that may be gone.

use super::connections::End;
use super::queue::to_sender;
use super::workshop::{Stranger, Workshop};
use super::{MessageV1, SocketId, SocketV1, StateV1, names, options, settling};
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use crate::sockets::Sockets;
use abi::{Code, Fault};
use std::collections::HashSet;
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

    /// Makes what stands for closed sockets: senders of queued messages, and peers.
    pub fn make_strangers(&mut self) -> Result<()> {
        for socket in self.sockets.iter().filter(|socket| socket.is_datagram()) {
            let senders = socket.queue.iter().map(|message| message.from.as_ref());
            let peer = match &socket.state {
                StateV1::Widowed(Some(name)) => Some(Some(name)),
                _ => None,
            };
            for name in senders.chain(peer) {
                let name = name.map_or(&[][..], |name| name.as_slice());
                let bound = self.sockets.iter().any(|other| is_bound(other, name));
                if !bound && !self.left.strangers.contains_key(name) {
                    let stranger = self.make_stranger(socket.kind, name)?;
                    self.left.strangers.insert(name.to_vec(), stranger);
                }
            }
        }
        Ok(())
    }

    fn make_stranger(&self, kind: i32, name: &[u8]) -> Result<Stranger> {
        let what = || "Could not make a socket for a closed one".to_owned();
        let socket = self.rebuild.sockets.unix(kind).explain(what)?;
        let node = if name.is_empty() { None } else { self.binder().bind_passing(&socket, name)? };
        Ok(Stranger { socket, node })
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
    pub rebuild: &'r Rebuild,
    pub notes: Vec<String>,
}

impl<'r> Post<'r> {
    pub fn new(sockets: &'r [SocketV1], rebuild: &'r Rebuild) -> Self {
        Self { sockets, rebuild, notes: Vec::new() }
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
        Ok(())
    }

    fn send(&mut self, to: &SocketV1, message: &MessageV1) -> Result<()> {
        let rights = settling::rights(message, self.rebuild)?;
        let (sender, note) = to_sender(message.sender, to, self.rebuild);
        self.notes.extend(note);
        let name = self.address(to);
        let from = match self.only_sender(to)? {
            Some(mate) => mate.as_fd(),
            None => self.sender(message)?,
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

    fn sender(&self, message: &MessageV1) -> Result<BorrowedFd<'_>> {
        let name = message.from.as_ref().map_or(&[][..], |name| name.as_slice());
        if let Some(socket) = self.sockets.iter().find(|socket| is_bound(socket, name)) {
            return Ok(self.file(socket)?.as_fd());
        }
        Ok(self.stranger(name)?.socket.as_fd())
    }

    fn stranger(&self, name: &[u8]) -> Result<&Stranger> {
        self.rebuild
            .unix
            .strangers
            .get(name)
            .ok_or(sys::Errno::ENOENT)
            .explain(|| format!("Could not stand in for \"{}\"", names::printable(name)))
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
            StateV1::Widowed(Some(name)) => self.connect_to_stranger(file, name, socket),
            StateV1::Outside(name) => {
                let reached = match name[0] {
                    0 => unix_sockets::connect(file, name),
                    _ => connect_by_path(file, &self.rebuild.path(name)),
                };
                if let Err(errno) = reached {
                    let name = names::printable(name);
                    self.notes
                        .push(format!("nobody listens at \"{name}\" now ({errno}): sending there will fail"));
                    return connect_to_nobody(file, socket.kind, &self.rebuild.sockets).explain(what);
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

    /// Connects to a socket of this name that will be closed.
    fn connect_to_stranger(&self, file: BorrowedFd, name: &[u8], socket: &SocketV1) -> Result<()> {
        let stranger = self.stranger(name)?;
        let address = stranger.node.as_ref().map_or(name.to_vec(), |node| names::through(node.as_fd()));
        unix_sockets::connect(file, &address).explain(|| format!("Could not connect {}", socket.label()))
    }
}

/// Connects to a socket that is closed at once: sending reports that nobody listens.
fn connect_to_nobody(file: BorrowedFd, kind: i32, sockets: &Sockets) -> sys::Result<()> {
    let closed = sockets.unix(kind)?;
    let name = format!("\0stasis-closed-{}", std::process::id()).into_bytes();
    unix_sockets::bind(closed.as_fd(), &name)?;
    unix_sockets::connect(file, &name)
}

fn is_bound(socket: &SocketV1, name: &[u8]) -> bool {
    socket.is_datagram() && socket.held_name().is_some_and(|own| own.bytes.as_slice() == name)
}

/// By a descriptor of the node, since the path may be longer than a name can be.
fn connect_by_path(file: BorrowedFd, path: &std::path::Path) -> sys::Result<()> {
    let node = sys::files::open(path, libc::O_PATH)?;
    unix_sockets::connect(file, &names::through(node.as_fd()))
}
