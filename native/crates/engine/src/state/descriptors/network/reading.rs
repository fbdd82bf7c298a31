//! Reading a TCP connection in repair mode (tcp(7), `TCP_REPAIR`; needs CAP_NET_ADMIN), which shows what no other way does.

use super::connection::{
    ConnectionV1, Held, ON, QueueV1, RECEIVE_QUEUE, SEND_QUEUE, TCP_QUEUE_SEQ, TCP_REPAIR, TCP_REPAIR_QUEUE,
    TCP_REPAIR_WINDOW, TCP_TIMESTAMP, TRIES,
};
use super::messages::word;
use super::options::{SO_PEEK_OFF, SO_REUSEADDR, SOL_SOCKET, SOL_TCP};
use crate::explain::{Explain, Result, refused};
use serde_bytes::ByteBuf;
use std::os::fd::{AsFd, BorrowedFd};
use sys::network;
use sys::socket_options::{number, option, set_number};

/// Leaves repair mode without a packet.
const OFF_SILENTLY: i32 = -1;

/// Reads one connection, at one moment.
pub fn read(held: &Held) -> Result<ConnectionV1> {
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
}
