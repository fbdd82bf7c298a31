//! IP sockets without a connection of bytes: listeners, datagram and raw sockets, TCP sockets that are not connected
//! (ip(7), ipv6(7), tcp(7), udp(7), icmp(7)).

use super::multicast::{self, GroupV1};
use super::options::{self, IP_FREEBIND, SO_REUSEADDR, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP};
use super::queue::{self, DatagramV1};
use super::{Found, SocketV1, address, complete, diagnosis, make};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::ids::DescriptionId;
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::socket_options as option;
use sys::{Errno, network};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InetV1 {
    /// Socket address (`struct sockaddr_in`, `sockaddr_in6`).
    pub local: ByteBuf,
    /// Empty when it is not connected.
    pub peer: ByteBuf,
    /// RCV_SHUTDOWN (1), SEND_SHUTDOWN (2).
    pub shutdown: u8,
    pub role: RoleV1,
    pub datagrams: Vec<DatagramV1>,
    pub groups: Vec<GroupV1>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleV1 {
    /// Neither listens nor has a connection of bytes.
    Plain,
    Listener {
        backlog: u32,
    },
}

pub const IPPROTO_MPTCP: i32 = 262;
const IPPROTO_TCP: i32 = 6;
const IPPROTO_UDP: i32 = 17;
const IPPROTO_UDPLITE: i32 = 136;
const RCV_SHUTDOWN: u8 = 1;
const SEND_SHUTDOWN: u8 = 2;

pub fn collect(
    found: &Found,
    _id: DescriptionId,
    saved: &SocketV1,
    collection: &mut Collection,
) -> Result<InetV1> {
    match (saved.kind, saved.protocol) {
        (libc::SOCK_STREAM, IPPROTO_TCP | IPPROTO_MPTCP) => collect_stream(found, saved),
        (libc::SOCK_DGRAM | libc::SOCK_RAW, _) => collect_datagrams(found, saved, collection),
        (kind, protocol) => {
            found.refuse(&format!("stasis does not know IP sockets of type {kind} and protocol {protocol}"))
        }
    }
}

/// TCP states by number (include/net/tcp_states.h).
mod state {
    pub const CLOSE: u8 = 7;
    pub const LISTEN: u8 = 10;
}

fn collect_stream(found: &Found, saved: &SocketV1) -> Result<InetV1> {
    let socket = found.file.as_fd();
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    let info = option::option(socket, SOL_TCP, libc::TCP_INFO, 256).explain(what)?;
    let local = network::local_address(socket).explain(what)?;
    let role = match info.first().copied().unwrap_or(state::CLOSE) {
        // Of a listener the kernel keeps the length of its queue here (tcp_get_info).
        state::LISTEN => RoleV1::Listener { backlog: super::messages::word(&info, 28) },
        state::CLOSE => RoleV1::Plain,
        _ => return found.refuse("it is an established TCP connection"),
    };
    let conditions = network::conditions(socket).explain(what)?;
    let closed = role == RoleV1::Plain && conditions & libc::POLLRDHUP != 0;
    if closed && network::unread_bytes(socket).explain(what)? > 0 {
        return found.refuse("it is a closed TCP connection with bytes that were not read");
    }
    Ok(InetV1 {
        // A connection that is over has given its port back.
        local: ByteBuf::from(if closed { Vec::new() } else { local }),
        peer: ByteBuf::new(),
        shutdown: if closed { RCV_SHUTDOWN | SEND_SHUTDOWN } else { 0 },
        role,
        datagrams: Vec::new(),
        groups: multicast_of(found, saved),
    })
}

fn collect_datagrams(found: &Found, saved: &SocketV1, collection: &mut Collection) -> Result<InetV1> {
    let socket = found.file.as_fd();
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    let udp = matches!(saved.protocol, IPPROTO_UDP | IPPROTO_UDPLITE) && saved.kind == libc::SOCK_DGRAM;
    let datagrams = if udp { queue::collect(found, socket)? } else { Vec::new() };
    if udp && network::unacknowledged_bytes(socket).explain(what)? > 0 {
        return found.refuse("it holds a datagram that is not complete yet (UDP_CORK, MSG_MORE)");
    }
    let conditions = network::conditions(socket).explain(what)?;
    if !udp && conditions & libc::POLLIN != 0 {
        let name = found.name();
        collection.notes.push(format!("packets that wait in {name} of process {} were left out", found.pid));
    }
    let known = if udp { diagnosis::ip_socket(found, saved.domain, saved.protocol) } else { None };
    Ok(InetV1 {
        local: ByteBuf::from(network::local_address(socket).explain(what)?),
        peer: ByteBuf::from(peer(socket, saved.domain, known.as_ref())),
        shutdown: known.map_or_else(|| shutdown_by_poll(conditions), |known| known.shutdown),
        role: RoleV1::Plain,
        datagrams,
        groups: multicast_of(found, saved),
    })
}

fn multicast_of(found: &Found, saved: &SocketV1) -> Vec<GroupV1> {
    // TCP sockets may join groups, but nobody does.
    let datagrams = saved.kind != libc::SOCK_STREAM;
    if datagrams { multicast::collect(found.pid, found.file.as_fd()) } else { Vec::new() }
}

/// The peer's address; getpeername(2) is silent about one with port 0.
fn peer(socket: BorrowedFd, domain: i32, known: Option<&diagnosis::IpSocket>) -> Vec<u8> {
    const ESTABLISHED: u8 = 1;
    match network::peer_address(socket) {
        Ok(peer) => peer,
        Err(_) => known
            .filter(|known| known.state == ESTABLISHED)
            .map(|known| known.peer_address(domain))
            .unwrap_or_default(),
    }
}

fn shutdown_by_poll(conditions: i16) -> u8 {
    if conditions & libc::POLLHUP != 0 {
        RCV_SHUTDOWN | SEND_SHUTDOWN
    } else if conditions & libc::POLLRDHUP != 0 {
        RCV_SHUTDOWN
    } else {
        0
    }
}

pub fn apply(saved: &SocketV1, own: &InetV1, rebuild: &mut Rebuild) -> Result<OwnedFd> {
    let what = || format!("Could not restore socket {}", own.name());
    let file = make_ip(saved, rebuild)?;
    let socket = file.as_fd();
    if own.is_bound(saved) {
        bind(socket, saved, own).explain(what)?;
    }
    if !own.peer.is_empty() {
        network::connect(socket, &own.peer).explain(what)?;
    }
    multicast::apply(socket, &own.groups)?;
    let lost = queue::apply(socket, saved.protocol, &own.datagrams)?;
    if lost > 0 {
        rebuild.notes.push(format!("{lost} datagrams could not be put back into socket {}", own.name()));
    }
    // A connection that is over leaves behind what it has worked out, as a live one does.
    complete(socket, saved, own.shutdown != 0 && saved.kind == libc::SOCK_STREAM)?;
    if let RoleV1::Listener { backlog } = own.role {
        listen(socket, saved, backlog).explain(what)?;
    }
    shut_down(socket, own.shutdown).explain(what)?;
    Ok(file)
}

/// MPTCP may be switched off on this host; a plain TCP listener serves the same clients.
fn make_ip(saved: &SocketV1, rebuild: &mut Rebuild) -> Result<OwnedFd> {
    match make(saved, saved.protocol) {
        Err(_) if saved.protocol == IPPROTO_MPTCP => {
            rebuild.notes.push("MPTCP is not available; a listener goes on with TCP".to_owned());
            make(saved, IPPROTO_TCP)
        }
        Err(fault) if saved.kind == libc::SOCK_DGRAM => make_as_group(saved, fault),
        made => made,
    }
}

/// Who may have an ICMP socket is decided by group (`net.ipv4.ping_group_range`, icmp(7)). A thread of its own takes on
/// the group of the socket's maker, and ends.
fn make_as_group(saved: &SocketV1, fault: abi::Fault) -> Result<OwnedFd> {
    let attempt =
        || sys::privileges::take_group(saved.gid).ok().and_then(|()| make(saved, saved.protocol).ok());
    let made = std::thread::scope(|scope| scope.spawn(attempt).join());
    made.ok().flatten().ok_or(fault)
}

/// Binds to the address that it had, even where that is not this host's, or still in use by connections that are over.
fn bind(socket: BorrowedFd, saved: &SocketV1, own: &InetV1) -> sys::Result<()> {
    const IPV6_FREEBIND: i32 = 78;
    let before = option::number(socket, SOL_IP, IP_FREEBIND);
    let (level, name) = if before.is_ok() { (SOL_IP, IP_FREEBIND) } else { (SOL_IPV6, IPV6_FREEBIND) };
    option::set_number(socket, level, name, 1)?;
    let stream = saved.kind == libc::SOCK_STREAM;
    if stream {
        option::set_number(socket, SOL_SOCKET, SO_REUSEADDR, 1)?;
    }
    network::bind(socket, &own.local)?;
    option::set_number(socket, level, name, before.unwrap_or(0))
}

/// Listens as long as the host lets it: net.core.somaxconn may be lower here. Once more sets SO_REUSEADDR, which
/// binding and listening needed.
fn listen(socket: BorrowedFd, saved: &SocketV1, backlog: u32) -> sys::Result<()> {
    option::set_number(socket, SOL_SOCKET, SO_REUSEADDR, 1)?;
    sys::sockets::listen(socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    let reuse = options::saved_number(&saved.options, SOL_SOCKET, SO_REUSEADDR);
    option::set_number(socket, SOL_SOCKET, SO_REUSEADDR, reuse)
}

/// Shutting down a socket without a peer is an error that works all the same (inet_shutdown in the kernel).
fn shut_down(socket: BorrowedFd, mask: u8) -> sys::Result<()> {
    let how = match mask {
        0 => return Ok(()),
        RCV_SHUTDOWN => libc::SHUT_RD,
        SEND_SHUTDOWN => libc::SHUT_WR,
        _ => libc::SHUT_RDWR,
    };
    match network::shutdown(socket, how) {
        Err(Errno(libc::ENOTCONN)) => Ok(()),
        done => done,
    }
}

impl InetV1 {
    fn is_bound(&self, saved: &SocketV1) -> bool {
        let Some(local) = address::parse(&self.local) else { return false };
        match saved.kind {
            // The port of a raw socket is its protocol, whether it has an address or not.
            libc::SOCK_RAW => !local.ip().is_unspecified(),
            _ => local.port() != 0,
        }
    }

    fn name(&self) -> String {
        address::parse(&self.local).map_or_else(|| "without a name".to_owned(), |local| local.to_string())
    }
}
