//! Stream and seqpacket sockets: pairs, and connections made through a listener so that both ends have their names.

use super::author::{Author, Goal};
use super::workshop::Workshop;
use super::{CredentialsV1, NameV1, SocketV1, StateV1};
use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use serde_bytes::ByteBuf;
use std::os::fd::{AsFd, OwnedFd};
use sys::unix_sockets;

/// Plenty while connections are made; the kernel caps it at net.core.somaxconn.
const WHILE_CONNECTING: u32 = 4096;

/// One end of a connection.
#[derive(Clone, Copy)]
pub enum End<'s> {
    Socket(&'s SocketV1),
    /// The closed peer of this socket.
    Spouse(&'s SocketV1, Option<&'s ByteBuf>),
}

impl End<'_> {
    fn credentials(&self) -> Option<CredentialsV1> {
        match self {
            Self::Socket(socket) => socket.peer_credentials,
            Self::Spouse(..) => None,
        }
    }

    fn holder(&self) -> OriginalPid {
        match self {
            Self::Socket(socket) | Self::Spouse(socket, _) => socket.holder,
        }
    }
}

/// A connection that was made through a listener of this name.
pub struct Link<'s> {
    pub client: End<'s>,
    pub server: End<'s>,
    pub name: NameV1,
    pub kind: i32,
}

/// How a connected socket came to be, as far as can be told from names.
pub enum Origin<'s> {
    Pair(End<'s>, End<'s>),
    Link(Link<'s>),
}

pub fn origin<'s>(socket: &'s SocketV1, workshop: &Workshop<'s>) -> Result<Option<Origin<'s>>> {
    let one = End::Socket(socket);
    let link = |client, server, name: &NameV1| {
        Some(Origin::Link(Link { client, server, name: name.clone(), kind: socket.kind }))
    };
    Ok(match &socket.state {
        StateV1::Connected(peer) => {
            let peer = workshop.socket(*peer)?;
            let other = End::Socket(peer);
            match (socket.inherited_name(), peer.inherited_name()) {
                // Each connection is met twice.
                _ if peer.id < socket.id => None,
                (Some(name), _) => link(other, one, name),
                (None, Some(name)) => link(one, other, name),
                (None, None) => Some(Origin::Pair(one, other)),
            }
        }
        StateV1::Widowed(name) => match (socket.inherited_name(), name) {
            (Some(own), name) => link(End::Spouse(socket, name.as_ref()), one, own),
            (None, Some(bytes)) => {
                let name = NameV1 { bytes: bytes.clone(), held: true, node: None };
                link(one, End::Spouse(socket, None), &name)
            }
            (None, None) => Some(Origin::Pair(one, End::Spouse(socket, None))),
        },
        _ => None,
    })
}

/// A listening socket to connect through.
struct Listener {
    socket: OwnedFd,
    node: Option<OwnedFd>,
    name: NameV1,
    kind: i32,
    /// Whom clients see as their peer now (`SO_PEERCRED` of listen(2)).
    face: Option<CredentialsV1>,
}

impl<'s> Workshop<'s> {
    /// Makes all connections of links, then those that still wait to be accepted, in their order.
    pub fn connect(&mut self, links: &[Link<'s>]) -> Result<()> {
        let mut listeners = Vec::new();
        let sockets = self.sockets.iter();
        let real: Vec<&SocketV1> = sockets
            .filter(|socket| matches!(socket.state, StateV1::Listening { .. }))
            .filter(|socket| self.inherited(socket).is_none())
            .collect();
        for socket in &real {
            listeners.push(self.open_listener(socket)?);
        }
        for link in links {
            let known = listeners.iter().position(|listener| listener.serves(link));
            let index = match known {
                Some(index) => index,
                None => {
                    listeners.push(self.stand_in(link)?);
                    listeners.len() - 1
                }
            };
            self.make_link(link, &mut listeners[index])?;
        }
        for (socket, listener) in real.into_iter().zip(&mut listeners) {
            self.settle_listener(socket, listener)?;
        }
        Ok(())
    }

    fn open_listener(&self, socket: &SocketV1) -> Result<Listener> {
        let what = || format!("Could not restore {}", socket.label());
        let listener = Listener {
            socket: self.made(socket.id)?.try_clone().explain(what)?,
            node: self.left.nodes.get(&socket.id).map(OwnedFd::try_clone).transpose().explain(what)?,
            name: socket.name.clone().ok_or(sys::Errno::EINVAL).explain(what)?,
            kind: socket.kind,
            face: socket.peer_credentials,
        };
        let author = self.author(socket.peer_credentials, socket.holder)?;
        author.listen(&listener.socket, WHILE_CONNECTING)?;
        Ok(listener)
    }

    /// A listener that has been closed since, for as long as this takes.
    fn stand_in(&mut self, link: &Link) -> Result<Listener> {
        let what = || "Could not make a socket to connect through".to_owned();
        let socket = self.rebuild.sockets.unix(link.kind).explain(what)?;
        let (node, placed) = self.binder().bind(&socket, &link.name)?;
        self.left.placed.extend(placed);
        let face = link.client.credentials();
        self.author(face, link.client.holder())?.listen(&socket, WHILE_CONNECTING)?;
        Ok(Listener { socket, node, name: link.name.clone(), kind: link.kind, face })
    }

    fn make_link(&mut self, link: &Link<'s>, listener: &mut Listener) -> Result<()> {
        let client = match link.client {
            End::Socket(socket) => {
                self.shut_beforehand(socket, link.server)?;
                self.made(socket.id)?
                    .try_clone()
                    .explain(|| format!("Could not restore {}", socket.label()))?
            }
            End::Spouse(_, name) => self.stranger(link.kind, name)?,
        };
        self.reach(&client, link, listener)?;
        let server = unix_sockets::accept(listener.socket.as_fd())
            .explain(|| format!("Could not accept {}", self.label_of(link.server)))?;
        self.keep(link.client, client);
        self.keep(link.server, server);
        Ok(())
    }

    /// A socket that stands for one which has been closed.
    fn stranger(&mut self, kind: i32, name: Option<&ByteBuf>) -> Result<OwnedFd> {
        let what = || "Could not make a socket for a closed peer".to_owned();
        let socket = self.rebuild.sockets.unix(kind).explain(what)?;
        if let Some(name) = name {
            self.binder().bind_passing(&socket, name)?;
        }
        Ok(socket)
    }

    /// Connects in the name of whoever the accepted end saw, to a listener that the client saw.
    fn reach(&self, client: &OwnedFd, link: &Link, listener: &mut Listener) -> Result<()> {
        let face = link.client.credentials();
        if face.is_some() && face != listener.face {
            self.author(face, link.client.holder())?.listen(&listener.socket, WHILE_CONNECTING)?;
            listener.face = face;
        }
        let author = self.author(link.server.credentials(), link.client.holder())?;
        author.connect(client, &listener.goal())
    }

    /// What was shut down before connecting does not show at the other end.
    fn shut_beforehand(&self, client: &SocketV1, server: End) -> Result<()> {
        let End::Socket(server) = server else { return Ok(()) };
        let mirrored = (server.shutdown & 1) << 1 | (server.shutdown & 2) >> 1;
        self.shut(client, client.shutdown & !mirrored)
    }

    fn settle_listener(&mut self, socket: &SocketV1, listener: &mut Listener) -> Result<()> {
        let StateV1::Listening { backlog, waiting } = &socket.state else { return Ok(()) };
        for id in waiting {
            let client = self.socket(*id)?;
            let face = client.peer_credentials;
            if face.is_some() && face != listener.face {
                self.author(face, socket.holder)?.listen(&listener.socket, WHILE_CONNECTING)?;
                listener.face = face;
            }
            self.author(None, client.holder)?.connect(self.made(client.id)?, &listener.goal())?;
        }
        self.author(socket.peer_credentials, socket.holder)?.listen(&listener.socket, *backlog)
    }

    fn author(&self, credentials: Option<CredentialsV1>, holder: OriginalPid) -> Result<Author<'_>> {
        Author::of(credentials, holder, self.nursery, self.rebuild)
    }

    pub fn make_pair(&mut self, one: End<'s>, other: End<'s>, kind: i32) -> Result<()> {
        let (a, b) = self.author(one.credentials(), one.holder())?.pair(kind)?;
        self.keep(one, a);
        self.keep(other, b);
        Ok(())
    }

    fn label_of(&self, end: End) -> String {
        match end {
            End::Socket(socket) => socket.label(),
            End::Spouse(socket, _) => format!("the closed peer of {}", socket.label()),
        }
    }
}

impl Listener {
    fn serves(&self, link: &Link) -> bool {
        let same_node = match (&self.name.node, &link.name.node) {
            (Some(own), Some(other)) => (own.device, own.inode) == (other.device, other.inode),
            _ => true,
        };
        self.kind == link.kind && self.name.bytes == link.name.bytes && same_node
    }

    fn goal(&self) -> Goal<'_> {
        match &self.node {
            Some(node) => Goal::Node(node.as_fd()),
            None => Goal::Abstract(&self.name.bytes),
        }
    }
}
