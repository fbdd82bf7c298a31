//! Putting TCP connections back: made in repair mode, so that nothing is sent, and set going all together when everything
//! else is ready (tcp(7), `TCP_REPAIR`).

use super::connection::{
    CLOSING, ConnectionV1, ON, RECEIVE_QUEUE, SEND_QUEUE, TCP_QUEUE_SEQ, TCP_REPAIR, TCP_REPAIR_QUEUE,
    TCP_REPAIR_WINDOW, TCP_TIMESTAMP,
};
use super::lock::Lock;
use super::options::{Buffer, SOL_SOCKET, SOL_TCP};
use super::{SocketV1, address, complete, make, wire};
use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use crate::sockets::Sockets;
use abi::Fault;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use sys::network;
use sys::poll::Interest;
use sys::socket_options::{number, set_number, set_option};

const TCP_REPAIR_OPTIONS: i32 = 22;
/// Leaves repair mode with a probe, whose answer tells the peer's window.
const OFF: i32 = 0;
/// The kernel takes at most some 17 pages of a queue at once.
const CHUNK: usize = 16 << 10;
/// Room beyond the bytes themselves for the kernel's own bookkeeping of a queue.
const OVERHEAD: usize = 1 << 20;

/// Makes one connection in repair mode, with its queues. It stays so until [`go_live`].
pub fn apply(saved: &SocketV1, own: &ConnectionV1, sockets: &Sockets) -> Result<OwnedFd> {
    let what = || format!("Could not restore the TCP connection {}", title(own));
    let file = make(saved, saved.protocol, sockets)?;
    let socket = file.as_fd();
    if own.pending {
        connect_again(socket, own).explain(what)?;
        return Ok(file);
    }
    connect(socket, own).explain(what).map_err(|fault| not_here(fault, own))?;
    fill(socket, own).explain(what)?;
    Ok(file)
}

fn not_here(fault: Fault, own: &ConnectionV1) -> Fault {
    if own.inside {
        return fault;
    }
    fault.hint("It takes CAP_NET_ADMIN and the same address; --tcp close restores connections as closed ones")
}

fn title(own: &ConnectionV1) -> String {
    let name = |bytes| address::parse(bytes).map_or_else(|| "?".to_owned(), |address| address.to_string());
    format!("from {} to {}", name(&own.local), name(&own.peer))
}

/// The other end waits to be accepted by a listener that has just come back.
fn connect_again(socket: BorrowedFd, own: &ConnectionV1) -> sys::Result<()> {
    set_number(socket, SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    network::bind(socket, &own.local)?;
    sys::files::set_status_flags(socket, libc::O_NONBLOCK)?;
    match network::connect(socket, &own.peer) {
        // Within one host the answer comes at once, or the SYN was dropped.
        Err(sys::Errno(libc::EINPROGRESS)) => {}
        outcome => return outcome,
    }
    let answered = sys::poll::poll(&[(socket, Interest::Writable)], Some(Duration::from_secs(1)))?;
    match number(socket, SOL_SOCKET, libc::SO_ERROR)? {
        0 if answered == [true] => Ok(()),
        0 => Err(sys::Errno(libc::ETIMEDOUT)),
        error => Err(sys::Errno(error)),
    }
}

fn connect(socket: BorrowedFd, own: &ConnectionV1) -> sys::Result<()> {
    set_number(socket, SOL_TCP, TCP_REPAIR, ON)?;
    network::bind(socket, &own.local)?;
    let begin = |end: u32, bytes: &[u8]| end.wrapping_sub(bytes.len() as u32) as i32;
    set_number(socket, SOL_TCP, TCP_REPAIR_QUEUE, RECEIVE_QUEUE)?;
    set_number(socket, SOL_TCP, TCP_QUEUE_SEQ, begin(own.received.end, &own.received.bytes))?;
    set_number(socket, SOL_TCP, TCP_REPAIR_QUEUE, SEND_QUEUE)?;
    set_number(socket, SOL_TCP, TCP_QUEUE_SEQ, begin(own.written.end, &own.written.bytes))?;
    network::connect(socket, &own.peer)?;
    set_option(socket, SOL_TCP, TCP_REPAIR_OPTIONS, &negotiated(own))?;
    if let Some(timestamp) = own.timestamp {
        set_number(socket, SOL_TCP, TCP_TIMESTAMP, timestamp as i32)?;
    }
    Ok(())
}

/// An array of struct tcp_repair_opt: TCP option number, value.
fn negotiated(own: &ConnectionV1) -> Vec<u8> {
    const MSS: u32 = 2;
    const WINDOW: u32 = 3;
    const SACK_PERMITTED: u32 = 4;
    const TIMESTAMP: u32 = 8;
    let mut pairs = Vec::new();
    if own.selective {
        pairs.push((SACK_PERMITTED, 0));
    }
    if let Some((peers, ours)) = own.scales {
        pairs.push((WINDOW, u32::from(peers) | (u32::from(ours) << 16)));
    }
    if own.timestamp.is_some() {
        pairs.push((TIMESTAMP, 0));
    }
    pairs.push((MSS, own.mss));
    pairs.iter().flat_map(|(code, value)| [code.to_ne_bytes(), value.to_ne_bytes()].concat()).collect()
}

/// Fills the queues with what was received, and with what was sent but not acknowledged.
fn fill(socket: BorrowedFd, own: &ConnectionV1) -> sys::Result<()> {
    make_room(socket, Buffer::Receive, own.received.bytes.len())?;
    make_room(socket, Buffer::Send, own.written.bytes.len())?;
    put(socket, RECEIVE_QUEUE, &own.received.bytes)?;
    put(socket, SEND_QUEUE, own.sent())?;
    let [wl1, snd_wnd, max_window, rcv_wnd, rcv_wup] = own.window;
    // A FIN counted here, and is to come once more.
    let after = |a: u32, b: u32| (b.wrapping_sub(a) as i32) < 0;
    let clamp = |number: u32| if after(number, own.received.end) { own.received.end } else { number };
    let window = [clamp(wl1), snd_wnd, max_window, rcv_wnd, clamp(rcv_wup)];
    let window: Vec<u8> = window.iter().flat_map(|number| number.to_ne_bytes()).collect();
    set_option(socket, SOL_TCP, TCP_REPAIR_WINDOW, &window)
}

fn make_room(socket: BorrowedFd, buffer: Buffer, bytes: usize) -> sys::Result<()> {
    // Small writes take several times their size.
    let room = i32::try_from(bytes * 2 + OVERHEAD).unwrap_or(i32::MAX);
    buffer.set(socket, room)
}

fn put(socket: BorrowedFd, queue: i32, bytes: &[u8]) -> sys::Result<()> {
    set_number(socket, SOL_TCP, TCP_REPAIR_QUEUE, queue)?;
    send_all(socket, bytes)
}

fn send_all(socket: BorrowedFd, mut bytes: &[u8]) -> sys::Result<()> {
    while !bytes.is_empty() {
        let sent = network::send_to(socket, &bytes[..bytes.len().min(CHUNK)], &[])?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

impl ConnectionV1 {
    fn sent(&self) -> &[u8] {
        &self.written.bytes[..self.written.bytes.len() - self.not_sent().len()]
    }

    fn not_sent(&self) -> &[u8] {
        let all = &self.written.bytes;
        if self.pending { all } else { &all[all.len() - (self.unsent as usize).min(all.len())..] }
    }
}

/// Packets of peers reach this host again: for connections that are back, or for those that are not, to be told so.
/// A lock in a namespace of the application's own has gone with that.
pub fn let_in(image: &Chain) {
    if let (Some(name), None) = (&image.connections.lock, &image.network) {
        // A host without nftables has no such lock.
        drop(Lock::assume(name.clone(), &Sockets::default()));
    }
}

/// Sets all connections going. Until here nothing was sent, and a restore that failed could be tried again.
pub fn go_live(image: &Chain, rebuild: &Rebuild) -> Result<()> {
    let connections = || {
        let list = image.connections.list.iter();
        list.filter_map(|own| Some((own, rebuild.descriptions.get(&own.description)?.as_fd())))
    };
    let what = |own: &ConnectionV1| format!("Could not set the TCP connection {} going", title(own));
    // Every end must be ready to answer before the first one speaks.
    for (own, socket) in connections().filter(|(own, _)| !own.pending) {
        set_number(socket, SOL_TCP, TCP_REPAIR, OFF).explain(|| what(own))?;
    }
    for (own, socket) in connections() {
        resume(socket, own, &rebuild.sockets).explain(|| what(own))?;
    }
    Ok(())
}

/// What was to be sent is sent, and the ends that either side has come to come once more.
fn resume(socket: BorrowedFd, own: &ConnectionV1, sockets: &Sockets) -> sys::Result<()> {
    over_unless(send_all(socket, own.not_sent()))?;
    // In CLOSING both sides have said it without hearing the other.
    let fin_first = own.fin_received() && own.state != CLOSING;
    let from_peer = || if own.fin_received() && !own.inside { end_by_peer(own, sockets) } else { Ok(()) };
    if fin_first {
        from_peer()?;
    }
    if own.fin_sent() {
        over_unless(network::shutdown(socket, libc::SHUT_WR))?;
    }
    if !fin_first {
        from_peer()?;
    }
    if own.deaf {
        over_unless(network::shutdown(socket, libc::SHUT_RD))?;
    }
    Ok(())
}

/// A peer may have reset the connection the moment it woke up. The application finds out by itself.
fn over_unless(outcome: sys::Result<()>) -> sys::Result<()> {
    match outcome {
        Err(sys::Errno(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN | libc::ETIMEDOUT)) => Ok(()),
        outcome => outcome,
    }
}

const FIN: u8 = 1;
const RST: u8 = 4;
const ACK: u8 = 16;

/// The peer's FIN, which it has sent long ago and will not send again.
fn end_by_peer(own: &ConnectionV1, sockets: &Sockets) -> sys::Result<()> {
    let Some((local, peer)) = own.names() else { return Ok(()) };
    let acknowledged = own.written.end.wrapping_sub(own.written.bytes.len() as u32);
    let fin = wire::segment(peer, local, own.received.end, acknowledged, FIN | ACK);
    wire::send(peer, local, &fin, sockets)
}

/// A connection that is over, with bytes that were not read yet: made anew, and reset as from its peer. The peer's name
/// is gone, and so is any trace of it.
pub fn apply_closed(
    saved: &SocketV1,
    local: SocketAddr,
    unread: &[u8],
    error: bool,
    sockets: &Sockets,
) -> Result<OwnedFd> {
    const FIRST: u32 = 1;
    let what = || format!("Could not restore the closed TCP connection at {local}");
    let file = make(saved, saved.protocol, sockets)?;
    let socket = file.as_fd();
    // A port at which nobody talks (discard, RFC 863).
    let peer = SocketAddr::new(local.ip(), 9);
    let own = ConnectionV1::over(local, peer, FIRST, unread);
    connect(socket, &own).explain(what)?;
    make_room(socket, Buffer::Receive, unread.len()).explain(what)?;
    put(socket, RECEIVE_QUEUE, unread).explain(what)?;
    const OFF_SILENTLY: i32 = -1;
    set_number(socket, SOL_TCP, TCP_REPAIR, OFF_SILENTLY).explain(what)?;
    let (local, peer) = (address::on_wire(local), address::on_wire(peer));
    let reset = wire::segment(peer, local, own.received.end, own.written.end, RST | ACK);
    wire::send(peer, local, &reset, sockets).explain(what)?;
    if !error {
        // Reading the error takes it away.
        number(socket, SOL_SOCKET, libc::SO_ERROR).explain(what)?;
    }
    complete(socket, saved, true)?;
    Ok(file)
}
