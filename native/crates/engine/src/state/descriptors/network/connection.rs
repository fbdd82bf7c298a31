//! TCP connections as they stand: queues, sequence numbers, windows, negotiated options.

use super::address;
use super::lock::{Flow, Lock, What};
use super::messages::word;
use super::options::{SOL_SOCKET, SOL_TCP};
use super::reading::read;
use crate::explain::{Explain, Result, refused};
use crate::ids::DescriptionId;
use crate::sockets::Sockets;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashSet;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use sys::network;
use sys::socket_options::{option, set_number};

/// All connections of a chain, and the name of the lock that keeps their peers' packets from this host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ConnectionsV1 {
    pub lock: Option<String>,
    pub list: Vec<ConnectionV1>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionV1 {
    pub description: DescriptionId,
    /// Socket addresses.
    pub local: ByteBuf,
    pub peer: ByteBuf,
    /// TCP state by number (include/net/tcp_states.h).
    pub state: u8,
    /// Received and not read.
    pub received: QueueV1,
    /// Written and not acknowledged.
    pub written: QueueV1,
    /// How many of the written bytes were not sent yet.
    pub unsent: u32,
    /// How many bytes the peer has acknowledged so far, its answer to our SYN included.
    pub acknowledged: u64,
    pub mss: u32,
    /// Window scales of the peer and our own, if both sides scale.
    pub scales: Option<(u8, u8)>,
    pub selective: bool,
    /// Value of our timestamp clock, if both sides stamp.
    pub timestamp: Option<u32>,
    /// snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup.
    pub window: [u32; 5],
    /// shutdown(2) for reading, with the connection still there.
    pub deaf: bool,
    /// The other end is in the snapshot as well.
    pub inside: bool,
    /// The other end waits in the queue of a listener of the snapshot: it comes back by connecting once more.
    pub pending: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueV1 {
    /// Sequence number after the last byte, FIN not counted.
    pub end: u32,
    pub bytes: ByteBuf,
}

pub const FIN_WAIT1: u8 = 4;
pub const FIN_WAIT2: u8 = 5;
pub const CLOSE_WAIT: u8 = 8;
pub const LAST_ACK: u8 = 9;
pub const CLOSING: u8 = 11;

impl ConnectionV1 {
    /// Has the peer said that it sends no more?
    pub fn fin_received(&self) -> bool {
        matches!(self.state, CLOSE_WAIT | LAST_ACK | CLOSING)
    }

    /// Has this side said so?
    pub fn fin_sent(&self) -> bool {
        matches!(self.state, FIN_WAIT1 | FIN_WAIT2 | LAST_ACK | CLOSING)
    }

    /// A connection of which nothing is left but bytes to read.
    pub fn over(local: SocketAddr, peer: SocketAddr, first: u32, unread: &[u8]) -> Self {
        let end = first.wrapping_add(unread.len() as u32);
        Self {
            description: DescriptionId::default(),
            local: ByteBuf::from(address::bytes(local)),
            peer: ByteBuf::from(address::bytes(peer)),
            state: 1,
            received: QueueV1 { end, bytes: ByteBuf::from(unread.to_vec()) },
            written: QueueV1 { end: first, bytes: ByteBuf::new() },
            unsent: 0,
            acknowledged: 0,
            mss: 1460,
            scales: None,
            selective: false,
            timestamp: None,
            window: [0; 5],
            deaf: false,
            inside: false,
            pending: false,
        }
    }

    /// Both names as packets have them: this side, then the other.
    pub fn names(&self) -> Option<(SocketAddr, SocketAddr)> {
        let parse = |bytes| address::parse(bytes).map(address::on_wire);
        Some((parse(&self.local)?, parse(&self.peer)?))
    }
}

pub const TCP_REPAIR: i32 = 19;
pub const TCP_REPAIR_QUEUE: i32 = 20;
pub const TCP_QUEUE_SEQ: i32 = 21;
pub const TCP_TIMESTAMP: i32 = 24;
pub const TCP_REPAIR_WINDOW: i32 = 29;
pub const ON: i32 = 1;
pub const RECEIVE_QUEUE: i32 = 1;
pub const SEND_QUEUE: i32 = 2;

/// A live connection, held in duplicate.
pub struct Held {
    pub description: DescriptionId,
    pub pid: i32,
    pub file: File,
}

/// Connections and listeners met so far, and what the user wants of them.
#[derive(Default)]
pub struct Collector {
    /// Capture connections as closed ones.
    pub close: bool,
    /// The processes will be ended.
    pub stop: bool,
    pub held: Vec<Held>,
    /// Listeners with connections that nobody has accepted, and how many.
    pub waiting: Vec<(SocketAddr, u32)>,
    pub connections: ConnectionsV1,
    /// With what it holds back.
    pub lock: Option<(Lock, Vec<Flow>)>,
}

/// How often a connection on which packets still arrive is read again.
pub const TRIES: usize = 100;

impl Collector {
    pub fn add(&mut self, description: DescriptionId, pid: i32, file: &File) -> Result<()> {
        let file = file.try_clone().explain(|| "Could not hold a connection".to_owned())?;
        self.held.push(Held { description, pid, file });
        Ok(())
    }

    /// Reads all connections, when every process is stopped.
    pub fn collect(&mut self, sockets: &Sockets, notes: &mut Vec<String>) -> Result<()> {
        self.hold_back(sockets, notes)?;
        for _ in 0..TRIES {
            let list: Result<Vec<_>> = self.held.iter().map(read).collect();
            let mut list = list?;
            mark_inside(&mut list);
            if list.iter().all(|connection| agrees(connection, &list)) {
                self.mark_pending(&mut list, sockets)?;
                self.connections.list = list;
                self.tell_of_waiting(notes);
                return Ok(());
            }
            // Acknowledgements are on their way between two ends; each try takes longer than they do.
            std::thread::yield_now();
        }
        Err(refused(self.held[0].pid, "TCP connections", "packets between them would not come to rest"))
    }

    /// Keeps packets of peers elsewhere from this host, if the processes are to end.
    fn hold_back(&mut self, sockets: &Sockets, notes: &mut Vec<String>) -> Result<()> {
        if !self.stop {
            return Ok(());
        }
        let mut list = self.held.iter().map(read).collect::<Result<Vec<_>>>()?;
        mark_inside(&mut list);
        let outside =
            list.iter().filter(|connection| !connection.inside && self.keeper(connection, sockets).is_none());
        let flows: Vec<_> =
            outside.filter_map(|connection| connection.names().map(|(l, p)| (p, l))).collect();
        if flows.is_empty() {
            return Ok(());
        }
        let name = lock_name(&self.held[0]);
        // Until the processes have ended, nothing of it may outlast this command.
        let lock = Lock::take_for_now(format!("{name}-now"), &What::Flows(flows.clone()), sockets);
        match lock {
            Ok(lock) => {
                self.connections.lock = Some(name);
                self.lock = Some((lock, flows));
            }
            Err(errno) => notes.push(format!(
                "{} TCP connections with peers elsewhere break if those send anything before the restore, \
                 since nftables could not hold that back: {errno}",
                flows.len()
            )),
        }
        Ok(())
    }

    /// The listener of the chain in whose queue the other end of a connection waits to be accepted.
    fn keeper(&self, connection: &ConnectionV1, sockets: &Sockets) -> Option<usize> {
        let (_, peer) = connection.names()?;
        let keeps = |listener: &SocketAddr| {
            listener.port() == peer.port() && (listener.ip().is_unspecified() || listener.ip() == peer.ip())
        };
        let keeper = self.waiting.iter().position(|(listener, left)| *left > 0 && keeps(listener))?;
        (!connection.inside && is_local(peer, sockets)).then_some(keeper)
    }

    /// Finds connections to listeners of the chain whose other end nobody has accepted.
    fn mark_pending(&mut self, list: &mut [ConnectionV1], sockets: &Sockets) -> Result<()> {
        for (index, connection) in list.iter_mut().enumerate() {
            let Some(keeper) = self.keeper(connection, sockets) else { continue };
            const ANSWER_TO_SYN: u64 = 1;
            let untouched = connection.received.bytes.is_empty() && !connection.fin_sent();
            if connection.acknowledged > ANSWER_TO_SYN || !untouched {
                let why = "its other end waits to be accepted, with bytes that cannot be read yet";
                return Err(refused(self.held[index].pid, "a TCP connection", why));
            }
            connection.pending = true;
            self.waiting[keeper].1 -= 1;
        }
        Ok(())
    }

    /// Says which connections are not in the snapshot, because nobody has a descriptor of them yet.
    fn tell_of_waiting(&self, notes: &mut Vec<String>) {
        for (listener, left) in self.waiting.iter().filter(|(_, left)| *left > 0) {
            notes
                .push(format!("{left} connections to {listener} that nobody has accepted yet were left out"));
        }
    }

    /// Makes sure that peers learn nothing of the end of the processes, which follows at once.
    pub fn silence(&self) {
        for held in &self.held {
            // A connection that was reset meanwhile has nobody to tell.
            let _ = set_number(held.file.as_fd(), SOL_TCP, TCP_REPAIR, ON);
        }
    }

    /// Leaves their packets held back, now that the processes have ended, for the restore to end that.
    pub fn stay_silent(&mut self, notes: &mut Vec<String>) {
        let (Some((lock, flows)), Some(name)) = (self.lock.take(), &self.connections.lock) else { return };
        if let Err(errno) = lock.leave(name, &flows) {
            notes.push(format!("TCP connections break, since nftables could not hold packets back: {errno}"));
        }
    }
}

/// Unique on this host: socket cookies are.
fn lock_name(held: &Held) -> String {
    const SO_COOKIE: i32 = 57;
    let cookie = option(held.file.as_fd(), SOL_SOCKET, SO_COOKIE, 8).unwrap_or_default();
    format!("stasis-{}-{:x}-{:x}", std::process::id(), word(&cookie, 4), word(&cookie, 0))
}

/// Is this one of the addresses of the application's network namespace? A socket can be bound to no other.
fn is_local(address: SocketAddr, sockets: &Sockets) -> bool {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let any_port = address::bytes(SocketAddr::new(address.ip(), 0));
    let bound =
        sockets.make(family, libc::SOCK_DGRAM, 0).and_then(|socket| network::bind(socket.as_fd(), &any_port));
    bound.is_ok()
}

fn mark_inside(list: &mut [ConnectionV1]) {
    let names: HashSet<_> = list.iter().filter_map(ConnectionV1::names).collect();
    for connection in list {
        connection.inside = connection.names().is_some_and(|(local, peer)| names.contains(&(peer, local)));
    }
}

/// Two ends agree when what one has received lies between what the other knows to be acknowledged and what it has sent.
fn agrees(connection: &ConnectionV1, list: &[ConnectionV1]) -> bool {
    let Some((local, peer)) = connection.names() else { return true };
    let Some(other) = list.iter().find(|other| other.names() == Some((peer, local))) else { return true };
    let acknowledged = other.written.end.wrapping_sub(other.written.bytes.len() as u32);
    let got = connection.received.end.wrapping_sub(acknowledged);
    got <= (other.written.bytes.len() as u32).saturating_sub(other.unsent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_disagree_when_bytes_would_be_lost() {
        let address = |text: &str| text.parse().expect("an address");
        let end =
            |local: &str, peer: &str, received: u32, written: u32, bytes: &[u8], unsent: u32| ConnectionV1 {
                written: QueueV1 { end: written, bytes: ByteBuf::from(bytes.to_vec()) },
                unsent,
                ..ConnectionV1::over(address(local), address(peer), received, b"")
            };
        let (a, b) = ("127.0.0.1:1", "127.0.0.1:2");
        // A has written up to 103, of which 3 bytes are not acknowledged and 1 is not sent.
        let sender = end(a, b, 0, 103, b"abc", 1);
        for (received, fine) in [(99, false), (100, true), (102, true), (103, false)] {
            let list = [sender.clone(), end(b, a, received, 0, b"", 0)];
            assert_eq!(agrees(&list[1], &list), fine, "received up to {received}");
        }
    }
}
