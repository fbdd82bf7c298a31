//! IP sockets without a connection of bytes: listeners, datagram and raw sockets, TCP sockets that are not connected
//! (ip(7), ipv6(7), tcp(7), udp(7), icmp(7)).

use super::multicast::{self, GroupV1};
use super::options::{self, IP_FREEBIND, SO_REUSEADDR, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP};
use super::queue::{self, DatagramV1};
use super::{Found, SocketV1, address, complete, diagnosis, make, revival};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::ids::DescriptionId;
use crate::rebuild::Rebuild;
use crate::sockets::Sockets;
use abi::Fault;
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
    /// The rest is among the chain's connections.
    Connection,
    /// Waits for a peer's answer.
    Connecting,
    /// A connection that is over.
    Closed {
        unread: ByteBuf,
        /// The application has not been told yet that it ended badly.
        error: bool,
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
    id: DescriptionId,
    saved: &SocketV1,
    collection: &mut Collection,
) -> Result<InetV1> {
    match (saved.kind, saved.protocol) {
        (libc::SOCK_STREAM, IPPROTO_TCP | IPPROTO_MPTCP) => collect_stream(found, id, saved, collection),
        (libc::SOCK_DGRAM | libc::SOCK_RAW, _) => collect_datagrams(found, saved, collection),
        (kind, protocol) => {
            found.refuse(&format!("stasis does not know IP sockets of type {kind} and protocol {protocol}"))
        }
    }
}

/// TCP states by number (include/net/tcp_states.h).
mod state {
    pub const SYN_SENT: u8 = 2;
    pub const SYN_RECEIVED: u8 = 3;
    pub const CLOSE: u8 = 7;
    pub const LISTEN: u8 = 10;
}

fn collect_stream(
    found: &Found,
    id: DescriptionId,
    saved: &SocketV1,
    collection: &mut Collection,
) -> Result<InetV1> {
    let socket = found.file.as_fd();
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    let info = option::option(socket, SOL_TCP, libc::TCP_INFO, 256).explain(what)?;
    let mut own = InetV1 {
        local: ByteBuf::from(network::local_address(socket).explain(what)?),
        peer: ByteBuf::new(),
        shutdown: 0,
        role: RoleV1::Plain,
        datagrams: Vec::new(),
        groups: Vec::new(),
    };
    let connections = &mut collection.connections;
    own.role = match info.first().copied().unwrap_or(state::CLOSE) {
        state::LISTEN => {
            // Of a listener the kernel keeps its queue here: how many wait, and how many may (tcp_get_info).
            let waiting = super::messages::word(&info, 24);
            let local = address::parse(&own.local).map(address::on_wire);
            connections.waiting.extend(local.filter(|_| waiting > 0).map(|local| (local, waiting)));
            RoleV1::Listener { backlog: super::messages::word(&info, 28) }
        }
        state::CLOSE => collect_closed(found, own.name())?,
        _ if connections.close => RoleV1::Closed { unread: ByteBuf::new(), error: false },
        _ if saved.protocol == IPPROTO_MPTCP => {
            return found.refuse("it is a connection with several paths (MPTCP)");
        }
        state::SYN_RECEIVED => return found.refuse("it is a TCP connection that is only half made"),
        state::SYN_SENT => {
            let known = diagnosis::ip_socket(found, saved.domain, saved.protocol, &collection.sockets);
            own.peer = ByteBuf::from(known.map(|known| known.peer_address(saved.domain)).unwrap_or_default());
            RoleV1::Connecting
        }
        _ => {
            connections.add(id, found.pid, &found.file)?;
            RoleV1::Connection
        }
    };
    Ok(own)
}

/// A socket without a connection: fresh, or at the end of one.
fn collect_closed(found: &Found, name: String) -> Result<RoleV1> {
    let socket = found.file.as_fd();
    let what = || format!("Could not read what is left of the TCP connection at {name}");
    let conditions = network::conditions(socket).explain(what)?;
    if conditions & libc::POLLRDHUP == 0 {
        return Ok(RoleV1::Plain);
    }
    let _whole = queue::Borrowed::set(socket, &[(SOL_SOCKET, options::SO_PEEK_OFF, -1)]);
    let waiting = network::unread_bytes(socket).explain(what)?;
    let unread = match network::peek(socket, waiting as usize) {
        Ok(message) if waiting > 0 => message.bytes,
        _ => Vec::new(),
    };
    Ok(RoleV1::Closed { unread: ByteBuf::from(unread), error: conditions & libc::POLLERR != 0 })
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
    let ask = || diagnosis::ip_socket(found, saved.domain, saved.protocol, &collection.sockets);
    let known = if udp { ask() } else { None };
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

pub fn apply(id: DescriptionId, saved: &SocketV1, own: &InetV1, rebuild: &mut Rebuild) -> Result<OwnedFd> {
    match &own.role {
        RoleV1::Connection => apply_connection(id, saved, rebuild),
        RoleV1::Closed { unread, error } => apply_closed(saved, own, unread, *error, rebuild),
        RoleV1::Plain | RoleV1::Listener { .. } | RoleV1::Connecting => apply_plain(saved, own, rebuild),
    }
}

fn apply_connection(id: DescriptionId, saved: &SocketV1, rebuild: &mut Rebuild) -> Result<OwnedFd> {
    if rebuild.close_connections {
        return closed(saved, &rebuild.sockets);
    }
    let connection = rebuild.image.connections.list.iter().find(|connection| connection.description == id);
    let connection = connection
        .ok_or(Errno::ENOENT)
        .explain(|| "Could not find a TCP connection in the snapshot".to_owned())?;
    revival::apply(saved, connection, &rebuild.sockets)
}

fn apply_closed(
    saved: &SocketV1,
    own: &InetV1,
    unread: &[u8],
    error: bool,
    rebuild: &mut Rebuild,
) -> Result<OwnedFd> {
    let had_name =
        address::parse(&own.local).filter(|local| local.port() != 0 && !local.ip().is_unspecified());
    let Some(local) = had_name.filter(|_| !unread.is_empty() || error) else {
        return closed(saved, &rebuild.sockets);
    };
    let made = revival::apply_closed(saved, local, unread, error, &rebuild.sockets);
    made.or_else(|fault| {
        let lost = unread.len();
        rebuild
            .notes
            .push(format!("{lost} bytes that waited in a closed TCP connection are lost: {}", fault.message));
        closed(saved, &rebuild.sockets)
    })
}

/// A socket that reads nothing and cannot write, as after the end of a connection.
fn closed(saved: &SocketV1, sockets: &Sockets) -> Result<OwnedFd> {
    let file = make(saved, saved.protocol, sockets)?;
    // What a connection worked out for itself cannot be set.
    complete(file.as_fd(), saved, true)?;
    shut_down(file.as_fd(), RCV_SHUTDOWN | SEND_SHUTDOWN)
        .explain(|| "Could not restore a closed TCP connection".to_owned())?;
    Ok(file)
}

fn apply_plain(saved: &SocketV1, own: &InetV1, rebuild: &mut Rebuild) -> Result<OwnedFd> {
    let what = || format!("Could not restore socket {}", own.name());
    let file = make_ip(saved, rebuild)?;
    let socket = file.as_fd();
    if own.is_bound(saved) {
        let local =
            if own.peer.is_empty() { rebuild.ports.translate(&own.local) } else { own.local.to_vec() };
        let to = || format!("{}{}", what(), own.moved_to(&local));
        bind(socket, saved, &local).explain(to).map_err(|fault| explain_taken(fault, &local))?;
        rebuild.ports.note(&own.local, &network::local_address(socket).explain(what)?);
    }
    if !own.peer.is_empty() && own.role != RoleV1::Connecting {
        network::connect(socket, &own.peer).explain(what)?;
    }
    multicast::apply(socket, &own.groups)?;
    let lost = queue::apply(socket, saved.protocol, &own.datagrams, &rebuild.sockets)?;
    if lost > 0 {
        rebuild.notes.push(format!("{lost} datagrams could not be put back into socket {}", own.name()));
    }
    complete(socket, saved, false)?;
    if let RoleV1::Listener { backlog } = own.role {
        listen(socket, saved, backlog).explain(what)?;
    }
    shut_down(socket, own.shutdown).explain(what)?;
    Ok(file)
}

/// The backlog of a listener, the peer of a socket for datagrams. What waits in it now stays there.
pub fn settle_inherited(socket: BorrowedFd, saved: &SocketV1, own: &InetV1) -> Result<()> {
    let what = || format!("Could not restore socket {}", own.name());
    if let RoleV1::Listener { backlog } = own.role {
        listen(socket, saved, backlog).explain(what)?;
    }
    if own.peer.is_empty() { Ok(()) } else { network::connect(socket, &own.peer).explain(what) }
}

/// Calls a peer that had not answered. The call is repeated until it does.
pub fn connect_again(socket: BorrowedFd, own: &InetV1) -> Result<()> {
    let what = || format!("Could not connect socket {} again", own.name());
    let flags = sys::files::status_flags(socket).explain(what)?;
    sys::files::set_status_flags(socket, flags | libc::O_NONBLOCK).explain(what)?;
    let outcome = network::connect(socket, &own.peer);
    sys::files::set_status_flags(socket, flags).explain(what)?;
    match outcome {
        // Refused at once, which the application learns from its own call.
        Ok(()) | Err(Errno(libc::EINPROGRESS | libc::ECONNREFUSED)) => Ok(()),
        outcome => outcome.explain(what),
    }
}

/// MPTCP may be switched off on this host; a plain TCP listener serves the same clients.
fn make_ip(saved: &SocketV1, rebuild: &mut Rebuild) -> Result<OwnedFd> {
    match make(saved, saved.protocol, &rebuild.sockets) {
        Err(_) if saved.protocol == IPPROTO_MPTCP => {
            rebuild.notes.push("MPTCP is not available; a listener goes on with TCP".to_owned());
            make(saved, IPPROTO_TCP, &rebuild.sockets)
        }
        Err(fault) if saved.kind == libc::SOCK_DGRAM => make_as_group(saved, fault, &rebuild.sockets),
        made => made,
    }
}

/// Who may have an ICMP socket is decided by group (`net.ipv4.ping_group_range`, icmp(7)). A thread of its own takes on
/// the group of the socket's maker, and ends.
fn make_as_group(saved: &SocketV1, fault: abi::Fault, sockets: &Sockets) -> Result<OwnedFd> {
    let attempt = || {
        sys::privileges::take_group(saved.gid).ok().and_then(|()| make(saved, saved.protocol, sockets).ok())
    };
    let made = std::thread::scope(|scope| scope.spawn(attempt).join());
    made.ok().flatten().ok_or(fault)
}

/// Binds to the address that it had, even where that is not this host's, or still in use by connections that are over.
fn bind(socket: BorrowedFd, saved: &SocketV1, local: &[u8]) -> sys::Result<()> {
    const IPV6_FREEBIND: i32 = 78;
    let before = option::number(socket, SOL_IP, IP_FREEBIND);
    let (level, name) = if before.is_ok() { (SOL_IP, IP_FREEBIND) } else { (SOL_IPV6, IPV6_FREEBIND) };
    option::set_number(socket, level, name, 1)?;
    let stream = saved.kind == libc::SOCK_STREAM;
    if stream {
        option::set_number(socket, SOL_SOCKET, SO_REUSEADDR, 1)?;
    }
    network::bind(socket, local)?;
    option::set_number(socket, level, name, before.unwrap_or(0))
}

/// Says what to do about a port that somebody else has.
fn explain_taken(fault: Fault, local: &[u8]) -> Fault {
    let taken = Errno(libc::EADDRINUSE).to_string();
    if !fault.causes.contains(&taken) {
        return fault;
    }
    let port = address::parse(local).map_or(0, |local| local.port());
    fault.hint(format!(
        "Give port {port} another one under [ports] of a template's rules, or the application a network of its own \
         (--network none, --vne)"
    ))
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
    pub fn is_bound(&self, saved: &SocketV1) -> bool {
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

    /// What a message about it adds where rules lead it to another port.
    fn moved_to(&self, local: &[u8]) -> String {
        match (address::parse(&self.local), address::parse(local)) {
            (Some(own), Some(now)) if own != now => format!(" at {now}"),
            _ => String::new(),
        }
    }
}
