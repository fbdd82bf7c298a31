//! Making all UNIX sockets of a snapshot in this command's own descriptor table: first the sockets, then their names,
//! then connections.

use super::binding::{Binder, Placed};
use super::connections::{End, Link, Origin, origin};
use super::{SocketId, SocketV1};
use crate::explain::{Explain, Result};
use crate::nursery::Nursery;
use crate::rebuild::Rebuild;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// What must last until queues are filled.
#[derive(Default)]
pub struct Unfinished {
    /// Peers that are closed when the queue which they left behind is filled again.
    pub spouses: HashMap<SocketId, OwnedFd>,
    /// Nodes of bound sockets.
    pub nodes: HashMap<SocketId, OwnedFd>,
    pub placed: Vec<Placed>,
    /// Datagram sockets that have been closed, but whose messages are queued or whom others are connected to.
    pub strangers: HashMap<Vec<u8>, Stranger>,
    /// Datagram sockets that are connected already, as socket pairs.
    pub paired: HashSet<SocketId>,
}

pub struct Stranger {
    pub socket: OwnedFd,
    pub node: Option<OwnedFd>,
}

pub struct Workshop<'s> {
    pub sockets: &'s [SocketV1],
    pub nursery: &'s Nursery,
    pub rebuild: &'s Rebuild,
    by_id: HashMap<SocketId, &'s SocketV1>,
    made: HashMap<SocketId, OwnedFd>,
    pub left: Unfinished,
}

/// Makes the sockets. Processes exist, without memory or descriptors.
pub fn apply(nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    let image = Arc::clone(&rebuild.image);
    let sockets = &image.unix_sockets;
    let by_id = sockets.iter().map(|socket| (socket.id, socket)).collect();
    let (made, left) = (HashMap::new(), Unfinished::default());
    let mut workshop = Workshop { sockets, nursery, rebuild, by_id, made, left };
    workshop.make()?;
    let Workshop { mut made, left, .. } = workshop;
    for socket in sockets {
        let file = made.remove(&socket.id).ok_or(sys::Errno::ENOENT).explain(|| lost(socket.id))?;
        rebuild.descriptions.insert(socket.description, file);
    }
    rebuild.unix = left;
    Ok(())
}

fn lost(id: SocketId) -> String {
    format!("Could not find UNIX socket {} in the snapshot", id.0)
}

impl<'s> Workshop<'s> {
    fn make(&mut self) -> Result<()> {
        let links = self.make_pairs()?;
        self.make_single(&links)?;
        self.bind_names()?;
        self.make_strangers()?;
        self.connect(&links)
    }

    pub fn socket(&self, id: SocketId) -> Result<&'s SocketV1> {
        self.by_id.get(&id).copied().ok_or(sys::Errno::ENOENT).explain(|| lost(id))
    }

    pub fn made(&self, id: SocketId) -> Result<&OwnedFd> {
        self.made.get(&id).ok_or(sys::Errno::ENOENT).explain(|| lost(id))
    }

    /// The socket that is there already, with its name, and must not be touched.
    pub fn inherited(&self, socket: &SocketV1) -> Option<&OwnedFd> {
        let id = socket.description;
        self.rebuild.descriptions.get(&id).filter(|_| self.rebuild.inherited.contains(&id))
    }

    pub fn binder(&self) -> Binder<'s> {
        Binder { nursery: self.nursery, rebuild: self.rebuild }
    }

    pub fn keep(&mut self, end: End<'s>, file: OwnedFd) {
        match end {
            End::Socket(socket) => self.made.insert(socket.id, file),
            End::Spouse(socket, _) => self.left.spouses.insert(socket.id, file),
        };
    }

    /// Makes what came from socketpair(2), and says what did not.
    fn make_pairs(&mut self) -> Result<Vec<Link<'s>>> {
        let mut links = Vec::new();
        for socket in self.sockets {
            if socket.is_datagram() {
                self.make_datagram_pair(socket)?;
                continue;
            }
            match origin(socket, self)? {
                Some(Origin::Pair(one, other)) => self.make_pair(one, other, socket.kind)?,
                Some(Origin::Link(link)) => links.push(link),
                None => {}
            }
        }
        Ok(links)
    }

    /// Makes the sockets that are neither of a pair nor to be accepted.
    fn make_single(&mut self, links: &[Link]) -> Result<()> {
        let accepted: HashSet<SocketId> = links
            .iter()
            .filter_map(|link| match link.server {
                End::Socket(socket) => Some(socket.id),
                End::Spouse(..) => None,
            })
            .collect();
        for socket in self.sockets {
            if !accepted.contains(&socket.id) && !self.made.contains_key(&socket.id) {
                let what = || format!("Could not make {}", socket.label());
                let file = match self.inherited(socket) {
                    Some(file) => file.try_clone().explain(what)?,
                    None => self.rebuild.sockets.unix(socket.kind).explain(what)?,
                };
                self.made.insert(socket.id, file);
            }
        }
        Ok(())
    }

    /// Deleted nodes first: they may have had the path of one that is still there.
    fn bind_names(&mut self) -> Result<()> {
        let new = self.sockets.iter().filter(|socket| self.inherited(socket).is_none());
        let mut named: Vec<_> = new.filter_map(|socket| Some((socket, socket.held_name()?))).collect();
        named.sort_by_key(|(_, name)| !name.node.as_ref().is_some_and(|node| node.deleted));
        for (socket, name) in named {
            let (node, placed) = self.binder().bind(self.made(socket.id)?, name)?;
            self.left.placed.extend(placed);
            if let Some(node) = node {
                self.left.nodes.insert(socket.id, node);
            }
        }
        Ok(())
    }

    /// Shuts down what bits 0 (receiving) and 1 (sending) say.
    pub fn shut(&self, socket: &SocketV1, bits: u8) -> Result<()> {
        super::settling::shut(self.made(socket.id)?.as_fd(), bits)
            .explain(|| format!("Could not shut down {}", socket.label()))
    }
}
