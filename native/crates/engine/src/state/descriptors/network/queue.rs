//! Datagrams that wait in a UDP socket. They are looked at one after the other (`SO_PEEK_OFF`, socket(7)), and put back by
//! packets with their senders' addresses, made by hand (raw(7), `IP_HDRINCL`).

use super::options::{Buffer, SO_BINDTODEVICE, SO_PEEK_OFF, SOL_IP, SOL_IPV6, SOL_SOCKET};
use super::{Found, address, wire};
use crate::explain::{Explain, Result};
use crate::sockets::Sockets;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::os::fd::BorrowedFd;
use sys::network::{self, Message};
use sys::socket_options::{number, option, set_number, set_option};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramV1 {
    /// Socket address of the sender.
    pub from: ByteBuf,
    /// Socket address that it was sent to; empty when the kernel does not tell.
    pub to: ByteBuf,
    pub bytes: ByteBuf,
}

/// The longest datagram.
const ROOM: usize = 65_536;
const IP_RECVORIGDSTADDR: i32 = 20;
const IPV6_RECVORIGDSTADDR: i32 = 74;

/// Options of the live socket that are changed while its queue is read, put back when dropped.
pub struct Borrowed<'a> {
    socket: BorrowedFd<'a>,
    before: Vec<(i32, i32, i32)>,
}

impl<'a> Borrowed<'a> {
    pub fn set(socket: BorrowedFd<'a>, changes: &[(i32, i32, i32)]) -> Self {
        let mut borrowed = Self { socket, before: Vec::new() };
        for &(level, name, value) in changes {
            let Ok(before) = number(socket, level, name) else { continue };
            if set_number(socket, level, name, value).is_ok() {
                borrowed.before.push((level, name, before));
            }
        }
        borrowed
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        for &(level, name, value) in &self.before {
            // The value was there before, so the kernel takes it.
            let _ = set_number(self.socket, level, name, value);
        }
    }
}

/// Copies all datagrams that wait, without taking them.
pub fn collect(found: &Found, socket: BorrowedFd) -> Result<Vec<DatagramV1>> {
    let _borrowed = Borrowed::set(
        socket,
        &[(SOL_IP, IP_RECVORIGDSTADDR, 1), (SOL_IPV6, IPV6_RECVORIGDSTADDR, 1), (SOL_SOCKET, SO_PEEK_OFF, 0)],
    );
    let mut datagrams = Vec::new();
    loop {
        match network::peek(socket, ROOM) {
            Ok(message) => datagrams.push(DatagramV1::new(message)),
            Err(sys::Errno::EAGAIN) => return Ok(datagrams),
            // Shut down for reading: nothing is there to be had.
            Err(sys::Errno(libc::ENOTCONN | libc::ESHUTDOWN)) => return Ok(datagrams),
            Err(errno) => {
                return Err(errno).explain(|| {
                    format!("Could not read the queue of {} of process {}", found.name(), found.pid)
                });
            }
        }
    }
}

impl DatagramV1 {
    fn new(message: Message) -> Self {
        let to = message.control.into_iter().find(|(level, kind, _)| {
            matches!((*level, *kind), (SOL_IP, IP_RECVORIGDSTADDR) | (SOL_IPV6, IPV6_RECVORIGDSTADDR))
        });
        Self {
            from: ByteBuf::from(message.from),
            to: ByteBuf::from(to.map(|(_, _, address)| address).unwrap_or_default()),
            bytes: ByteBuf::from(message.bytes),
        }
    }
}

/// Puts datagrams into the queue of a socket that has its name and its peer. Returns how many did not arrive.
pub fn apply(
    socket: BorrowedFd,
    protocol: i32,
    datagrams: &[DatagramV1],
    sockets: &Sockets,
) -> Result<usize> {
    if datagrams.is_empty() {
        return Ok(0);
    }
    let what = || "Could not put datagrams back into the queue of a socket".to_owned();
    // Through loopback, whatever interface the socket listens on; with room enough, whatever its buffer's size.
    let device = option(socket, SOL_SOCKET, SO_BINDTODEVICE, 16).explain(what)?;
    let room = number(socket, SOL_SOCKET, libc::SO_RCVBUF).explain(what)?;
    if !device.is_empty() {
        set_option(socket, SOL_SOCKET, SO_BINDTODEVICE, b"\0").explain(what)?;
    }
    Buffer::Receive.set(socket, room.max(1 << 20) * 2).explain(what)?;
    let local = network::local_address(socket).explain(what)?;
    let mut lost = 0;
    for datagram in datagrams {
        lost += usize::from(!inject(socket, protocol, datagram, &local, sockets).explain(what)?);
    }
    Buffer::Receive.set(socket, room / 2).explain(what)?;
    if !device.is_empty() {
        set_option(socket, SOL_SOCKET, SO_BINDTODEVICE, &device).explain(what)?;
    }
    Ok(lost)
}

/// Sends one datagram to the socket; false when it did not arrive (a firewall, another socket of the same name).
fn inject(
    socket: BorrowedFd,
    protocol: i32,
    datagram: &DatagramV1,
    local: &[u8],
    sockets: &Sockets,
) -> sys::Result<bool> {
    let (Some(from), Some(local)) = (address::parse(&datagram.from), address::parse(local)) else {
        return Ok(false);
    };
    let from = address::on_wire(from);
    let to =
        address::parse(&datagram.to).map_or(local, |to| std::net::SocketAddr::new(to.ip(), local.port()));
    let to = address::reachable(address::on_wire(to), from.ip());
    let before = waiting(socket)?;
    wire::send(from, to, &wire::datagram(from, to, protocol as u8, &datagram.bytes), sockets)?;
    Ok(waiting(socket)? > before)
}

/// Memory of the receive queue, in bytes: the one figure that grows with every datagram, empty ones too.
fn waiting(socket: BorrowedFd) -> sys::Result<u32> {
    const SO_MEMINFO: i32 = 55;
    let figures = option(socket, SOL_SOCKET, SO_MEMINFO, 36)?;
    Ok(super::messages::word(&figures, 0))
}
