//! TCP connections as they stand: queues, sequence numbers, windows, negotiated options, read in repair mode (tcp(7),
//! `TCP_REPAIR`; needs CAP_NET_ADMIN).

use super::address;
use super::lock::Lock;
use super::messages::word;
use super::options::{SO_PEEK_OFF, SO_REUSEADDR, SOL_SOCKET, SOL_TCP};
use crate::explain::{Explain, Result, refused};
use crate::ids::DescriptionId;
use crate::sockets::Sockets;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashSet;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use sys::network;
use sys::socket_options::{number, option, set_number};

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
/// Leaves repair mode without a packet.
const OFF_SILENTLY: i32 = -1;
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
    pub lock: Option<Lock>,
}

/// A socket in repair mode, which leaves it as it was.
struct Repair<'a> {
    socket: BorrowedFd<'a>,
    reuse: i32,
    _peek: PeekFromStart<'a>,
}

impl<'a> Repair<'a> {
    fn enter(socket: BorrowedFd<'a>) -> sys::Result<Self> {
        let reuse = number(socket, SOL_SOCKET, SO_REUSEADDR)?;
        let peek = PeekFromStart::set(socket)?;
        set_number(socket, SOL_TCP, TCP_REPAIR, ON)?;
        Ok(Self { socket, reuse, _peek: peek })
    }

    /// Sequence number after a queue, which is the one that is looked at from then on.
    fn end_of(&self, queue: i32) -> sys::Result<u32> {
        set_number(self.socket, SOL_TCP, TCP_REPAIR_QUEUE, queue)?;
        Ok(number(self.socket, SOL_TCP, TCP_QUEUE_SEQ)? as u32)
    }
}

impl Drop for Repair<'_> {
    fn drop(&mut self) {
        // What was there before is taken again; entering repair mode was the harder part.
        let _ = set_number(self.socket, SOL_TCP, TCP_REPAIR, OFF_SILENTLY);
        let _ = set_number(self.socket, SOL_SOCKET, SO_REUSEADDR, self.reuse);
    }
}

/// A socket that is looked at from the beginning of its queue, whatever the application has set.
struct PeekFromStart<'a> {
    socket: BorrowedFd<'a>,
    before: Option<i32>,
}

impl<'a> PeekFromStart<'a> {
    fn set(socket: BorrowedFd<'a>) -> sys::Result<Self> {
        let before = number(socket, SOL_SOCKET, SO_PEEK_OFF).ok().filter(|offset| *offset >= 0);
        if before.is_some() {
            set_number(socket, SOL_SOCKET, SO_PEEK_OFF, -1)?;
        }
        Ok(Self { socket, before })
    }
}

impl Drop for PeekFromStart<'_> {
    fn drop(&mut self) {
        if let Some(offset) = self.before {
            // The kernel had that value.
            let _ = set_number(self.socket, SOL_SOCKET, SO_PEEK_OFF, offset);
        }
    }
}

/// What was received and not read.
fn unread(socket: BorrowedFd<'_>) -> sys::Result<Vec<u8>> {
    let _whole = PeekFromStart::set(socket)?;
    bytes_of(socket, network::unread_bytes(socket)?)
}

/// The first bytes of a queue.
fn bytes_of(socket: BorrowedFd<'_>, length: u32) -> sys::Result<Vec<u8>> {
    if length == 0 {
        return Ok(Vec::new());
    }
    match network::peek(socket, length as usize) {
        Ok(message) => Ok(message.bytes),
        Err(sys::Errno::EAGAIN) => Ok(Vec::new()),
        Err(errno) => Err(errno),
    }
}

/// How often a connection on which packets still arrive is read again.
const TRIES: usize = 100;

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
        match Lock::take(lock_name(&self.held[0]), &flows, sockets) {
            Ok(lock) => {
                self.connections.lock = Some(lock.name().to_owned());
                self.lock = Some(lock);
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
    pub fn silence(&mut self) {
        for held in &self.held {
            // A connection that was reset meanwhile has nobody to tell.
            let _ = set_number(held.file.as_fd(), SOL_TCP, TCP_REPAIR, ON);
        }
        if let Some(lock) = self.lock.take() {
            lock.keep();
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

fn read(held: &Held) -> Result<ConnectionV1> {
    let what = || format!("Could not read a TCP connection of process {}", held.pid);
    for _ in 0..TRIES {
        let before = Progress::of(held.file.as_fd()).explain(what)?;
        let connection = read_once(held).explain(what).map_err(|fault| {
            fault.hint("It takes CAP_NET_ADMIN; --tcp close captures connections as closed ones")
        })?;
        // Between its parts something may have arrived.
        if Progress::of(held.file.as_fd()).explain(what)? == before {
            return Ok(connection);
        }
    }
    Err(refused(held.pid, "a TCP connection", "data kept arriving on it"))
}

/// How far a connection is. What is read of it while this stays the same is of one moment.
#[derive(PartialEq, Eq)]
struct Progress {
    state: u8,
    /// Acknowledged by the peer, received from it (`tcpi_bytes_acked`, `tcpi_bytes_received`).
    bytes: Vec<u8>,
    unread: u32,
    unacknowledged: u32,
    unsent: u32,
}

impl Progress {
    fn of(socket: BorrowedFd<'_>) -> sys::Result<Self> {
        let info = option(socket, SOL_TCP, libc::TCP_INFO, 256)?;
        Ok(Self {
            state: info.first().copied().unwrap_or(0),
            bytes: info.get(120..136).unwrap_or_default().to_vec(),
            unread: network::unread_bytes(socket)?,
            unacknowledged: network::unacknowledged_bytes(socket)?,
            unsent: network::unsent_bytes(socket)?,
        })
    }
}

fn read_once(held: &Held) -> sys::Result<ConnectionV1> {
    let socket = held.file.as_fd();
    let local = network::local_address(socket)?;
    let peer = network::peer_address(socket)?;
    let conditions = network::conditions(socket)?;
    let info = option(socket, SOL_TCP, libc::TCP_INFO, 256)?;
    let state = info.first().copied().unwrap_or(0);
    let negotiated = Negotiated::parse(&info);
    let unsent = network::unsent_bytes(socket)?;
    let unacknowledged = network::unacknowledged_bytes(socket)?;
    let received = unread(socket)?;
    // As short as can be: were this command killed now, the application would find the socket in repair mode.
    let repair = Repair::enter(socket)?;
    let received_end = repair.end_of(RECEIVE_QUEUE)?;
    let written_end = repair.end_of(SEND_QUEUE)?;
    let written = bytes_of(socket, unacknowledged)?;
    let window = option(socket, SOL_TCP, TCP_REPAIR_WINDOW, 20)?;
    let mss = number(socket, SOL_TCP, libc::TCP_MAXSEG)? as u32;
    let timestamp =
        if negotiated.timestamps { Some(number(socket, SOL_TCP, TCP_TIMESTAMP)? as u32) } else { None };
    drop(repair);
    let mut connection = ConnectionV1 {
        description: held.description,
        local: ByteBuf::from(local),
        peer: ByteBuf::from(peer),
        state,
        received: QueueV1 { end: received_end, bytes: ByteBuf::from(received) },
        written: QueueV1 { end: written_end, bytes: ByteBuf::from(written) },
        unsent,
        acknowledged: negotiated.acknowledged,
        mss,
        scales: negotiated.scales,
        selective: negotiated.selective,
        timestamp,
        window: std::array::from_fn(|i| word(&window, i * 4)),
        deaf: conditions & libc::POLLRDHUP != 0,
        inside: false,
        pending: false,
    };
    // A FIN takes a sequence number of its own.
    if connection.fin_received() {
        connection.received.end = connection.received.end.wrapping_sub(1);
        connection.deaf = false;
    }
    if connection.fin_sent() {
        connection.written.end = connection.written.end.wrapping_sub(1);
        connection.unsent = connection.unsent.saturating_sub(1);
    }
    Ok(connection)
}

/// What both sides agreed on, from `struct tcp_info`.
#[derive(Debug, PartialEq, Eq)]
struct Negotiated {
    timestamps: bool,
    selective: bool,
    scales: Option<(u8, u8)>,
    acknowledged: u64,
}

impl Negotiated {
    fn parse(info: &[u8]) -> Self {
        let byte = |at: usize| info.get(at).copied().unwrap_or(0);
        let (options, scales) = (byte(5), byte(6));
        Self {
            timestamps: options & 1 != 0,
            selective: options & 2 != 0,
            scales: (options & 4 != 0).then_some((scales & 15, scales >> 4)),
            acknowledged: u64::from(word(info, 120)) | (u64::from(word(info, 124)) << 32),
        }
    }
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
    fn negotiated_options_are_read_from_tcp_info() {
        let mut info = vec![0u8; 128];
        info[5] = 7;
        info[6] = 0x97;
        info[120] = 5;
        let expected =
            Negotiated { timestamps: true, selective: true, scales: Some((7, 9)), acknowledged: 5 };
        assert_eq!(Negotiated::parse(&info), expected);
    }

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
