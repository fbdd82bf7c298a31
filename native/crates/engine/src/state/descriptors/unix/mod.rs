//! UNIX domain sockets (unix(7)): connected, listening, bound, half closed, with what is queued in them.
//!
//! Collecting looks at each socket through a duplicate and a sock_diag(7) query; who is whose peer is worked out when
//! all are known (`finish`). Applying makes and connects them before any process has descriptors (`apply`), and fills
//! the queues when every description exists, since messages may carry descriptors of any kind (`settle`).

mod author;
mod binding;
mod collect;
mod connections;
mod datagrams;
mod names;
mod options;
mod queue;
mod settling;
mod workshop;

pub use collect::{Collector, collect, collect_node, finish, is_node};
pub use settling::{apply_nodes, settle, settle_inherited};
pub use workshop::{Unfinished, apply};

use crate::ids::{DescriptionId, OriginalPid};
use crate::state::filesystem::FileRefV1;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A socket of the snapshot: its inode then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SocketId(pub u64);

/// What a description says of its socket; the rest is in the section of the sockets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnixV1 {
    pub socket: SocketId,
}

/// The file system node of a bound socket, opened as a file (O_PATH, `SIOCUNIXFILE`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnixNodeV1 {
    pub file: FileRefV1,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SocketV1 {
    pub id: SocketId,
    pub description: DescriptionId,
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
    pub kind: i32,
    /// A process that has it open; 0 when it is only in flight.
    pub holder: OriginalPid,
    pub name: Option<NameV1>,
    pub state: StateV1,
    /// Bit 0: receives no more, bit 1: sends no more.
    pub shutdown: u8,
    /// The peer closed with unread data: the next operation reports ECONNRESET.
    pub reset: bool,
    pub peer_credentials: Option<CredentialsV1>,
    /// Owner and mode of the socket's own inode (fchown(2), fchmod(2) on the descriptor).
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    pub options: options::OptionsV1,
    pub queue: Vec<MessageV1>,
}

/// `SO_PEERCRED`, `SCM_CREDENTIALS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsV1 {
    pub pid: OriginalPid,
    pub uid: u32,
    pub gid: u32,
}

impl SocketV1 {
    /// The name that it is bound to itself, for a person: an abstract one begins with `@`.
    pub fn own_name(&self) -> Option<String> {
        let own = self.name.as_ref().filter(|name| name.held);
        own.map(|name| match &name.node {
            Some(node) => names::printable(&node.place(&name.bytes)),
            None => names::printable(&name.bytes),
        })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NameV1 {
    /// `sun_path`: a path without its final NUL, or an abstract name with its leading NUL.
    pub bytes: ByteBuf,
    /// Bound to it itself, rather than accepted by a listener that was.
    pub held: bool,
    pub node: Option<NodeV1>,
}

/// The file system node that bind(2) made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeV1 {
    pub device: u64,
    pub inode: u64,
    /// Where it has been renamed to since bind(2).
    pub renamed: Option<ByteBuf>,
    /// The folder that a relative name starts from; none for an absolute name.
    pub directory: Option<ByteBuf>,
    /// Root folder of the process that bound it (chroot(2)), when that is not `/`.
    pub root: Option<ByteBuf>,
    pub deleted: bool,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateV1 {
    /// Not connected.
    Idle,
    Listening {
        backlog: u32,
        /// Clients that have connected and are not accepted, in order.
        waiting: Vec<SocketId>,
    },
    /// Connected to a listener that has not accepted it.
    Waiting,
    Connected(SocketId),
    /// The peer has been closed. Its name was this.
    Widowed(Option<ByteBuf>),
    /// A datagram socket connected to a socket of another application, which has this name.
    Outside(ByteBuf),
}

/// Queued bytes of a stream that arrived under the same circumstances, or one message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessageV1 {
    pub bytes: ByteBuf,
    /// Name of the sender of a datagram.
    pub from: Option<ByteBuf>,
    /// Descriptors in flight (`SCM_RIGHTS`).
    pub rights: Vec<DescriptionId>,
    pub sender: Option<CredentialsV1>,
}

impl SocketV1 {
    pub fn is_datagram(&self) -> bool {
        self.kind == libc::SOCK_DGRAM
    }

    /// The name it was given by the listener that accepted it.
    pub fn inherited_name(&self) -> Option<&NameV1> {
        self.name.as_ref().filter(|name| !name.held)
    }

    /// The name it is bound to.
    pub fn held_name(&self) -> Option<&NameV1> {
        self.name.as_ref().filter(|name| name.held)
    }

    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("UNIX socket \"{}\"", names::printable(&name.bytes)),
            None => format!("UNIX socket {}", self.id.0),
        }
    }
}
