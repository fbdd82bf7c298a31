//! Socket options, by table: read with getsockopt(2), and put back where a new socket's value differs (socket(7), ip(7),
//! ipv6(7), tcp(7), udp(7), netlink(7), packet(7) and the kernel's uapi headers).

use super::Found;
use crate::explain::{Explain, Result};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::os::fd::BorrowedFd;
use sys::Errno;
use sys::socket_options::{option, set_number, set_option};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionV1 {
    pub level: i32,
    pub name: i32,
    pub value: ByteBuf,
}

/// When an option goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the socket has a name: the name depends on it.
    Unbound,
    /// When the socket has its name, its peer and its queues.
    Complete,
}

pub const SOL_SOCKET: i32 = libc::SOL_SOCKET;
pub const SOL_IP: i32 = 0;
pub const SOL_TCP: i32 = 6;
pub const SOL_UDP: i32 = 17;
pub const SOL_IPV6: i32 = 41;
pub const SOL_ICMPV6: i32 = 58;
pub const SOL_UDPLITE: i32 = 136;
pub const SOL_RAW: i32 = 255;
pub const SOL_PACKET: i32 = 263;
pub const SOL_NETLINK: i32 = 270;

pub const SO_REUSEADDR: i32 = libc::SO_REUSEADDR;
pub const SO_BINDTODEVICE: i32 = libc::SO_BINDTODEVICE;
pub const SO_PEEK_OFF: i32 = libc::SO_PEEK_OFF;
const SO_SNDBUF: i32 = libc::SO_SNDBUF;
const SO_RCVBUF: i32 = libc::SO_RCVBUF;
const SO_SNDBUFFORCE: i32 = 32;
const SO_RCVBUFFORCE: i32 = 33;
const SO_BUF_LOCK: i32 = 72;
pub const IP_FREEBIND: i32 = 15;
pub const IP_TRANSPARENT: i32 = 19;
const TCP_ULP: i32 = 31;

/// Levels with their options: name, room in bytes. Order matters where one option resets another.
const TABLE: &[(i32, &[(i32, usize)])] = &[
    (SOL_SOCKET, SOCKET),
    (SOL_IP, IP),
    (SOL_IPV6, IPV6),
    (SOL_TCP, TCP),
    (SOL_UDP, UDP),
    (SOL_UDPLITE, UDPLITE),
    (SOL_RAW, &[(1, 4), (7, 4)]), // ICMP_FILTER, IPV6_CHECKSUM
    (SOL_ICMPV6, &[(1, 32)]),     // ICMPV6_FILTER
    (SOL_NETLINK, NETLINK),
    (SOL_PACKET, PACKET),
];

const SOCKET: &[(i32, usize)] = &[
    (libc::SO_DEBUG, 4),
    (SO_REUSEADDR, 4),
    (libc::SO_REUSEPORT, 4),
    (SO_BINDTODEVICE, 16),
    (libc::SO_DONTROUTE, 4),
    (libc::SO_BROADCAST, 4),
    (SO_SNDBUF, 4),
    (SO_RCVBUF, 4),
    (SO_BUF_LOCK, 4),
    (libc::SO_KEEPALIVE, 4),
    (libc::SO_OOBINLINE, 4),
    (libc::SO_NO_CHECK, 4),
    // SO_MARK of a listener is inherited, and SO_PRIORITY follows IP_TOS: hence here, and again after the IP level.
    (libc::SO_LINGER, 8),
    (libc::SO_PASSCRED, 4),
    (libc::SO_RCVLOWAT, 4),
    (libc::SO_RCVTIMEO, 16),
    (libc::SO_SNDTIMEO, 16),
    (libc::SO_PASSSEC, 4),
    (libc::SO_MARK, 4),
    (libc::SO_TIMESTAMPING, 8),
    (65, 8), // SO_TIMESTAMPING_NEW
    (libc::SO_TIMESTAMP, 4),
    (libc::SO_TIMESTAMPNS, 4),
    (63, 4), // SO_TIMESTAMP_NEW
    (64, 4), // SO_TIMESTAMPNS_NEW
    (libc::SO_RXQ_OVFL, 4),
    (libc::SO_WIFI_STATUS, 4),
    (libc::SO_NOFCS, 4),
    (45, 4), // SO_SELECT_ERR_QUEUE
    (libc::SO_BUSY_POLL, 4),
    (47, 8), // SO_MAX_PACING_RATE
    (libc::SO_INCOMING_CPU, 4),
    (60, 4), // SO_ZEROCOPY
    (61, 8), // SO_TXTIME
    (69, 4), // SO_PREFER_BUSY_POLL
    (70, 4), // SO_BUSY_POLL_BUDGET
    (74, 4), // SO_TXREHASH
    (75, 4), // SO_RCVMARK
    (76, 4), // SO_PASSPIDFD
    (82, 4), // SO_RCVPRIORITY
    (SO_PEEK_OFF, 4),
];

const IP: &[(i32, usize)] = &[
    (1, 4),  // IP_TOS
    (2, 4),  // IP_TTL
    (3, 4),  // IP_HDRINCL
    (4, 40), // IP_OPTIONS
    (6, 4),  // IP_RECVOPTS
    (7, 4),  // IP_RETOPTS
    (8, 4),  // IP_PKTINFO
    (10, 4), // IP_MTU_DISCOVER
    (11, 4), // IP_RECVERR
    (12, 4), // IP_RECVTTL
    (13, 4), // IP_RECVTOS
    (IP_FREEBIND, 4),
    (18, 4), // IP_PASSSEC
    (IP_TRANSPARENT, 4),
    (20, 4), // IP_RECVORIGDSTADDR
    (21, 4), // IP_MINTTL
    (22, 4), // IP_NODEFRAG
    (23, 4), // IP_CHECKSUM
    (24, 4), // IP_BIND_ADDRESS_NO_PORT
    (25, 4), // IP_RECVFRAGSIZE
    (26, 4), // IP_RECVERR_RFC4884
    (32, 4), // IP_MULTICAST_IF
    (33, 4), // IP_MULTICAST_TTL
    (34, 4), // IP_MULTICAST_LOOP
    (49, 4), // IP_MULTICAST_ALL
    (50, 4), // IP_UNICAST_IF
    (51, 4), // IP_LOCAL_PORT_RANGE
];

const IPV6: &[(i32, usize)] = &[
    (2, 4),    // IPV6_2292PKTINFO
    (3, 4),    // IPV6_2292HOPOPTS
    (4, 4),    // IPV6_2292DSTOPTS
    (5, 4),    // IPV6_2292RTHDR
    (8, 4),    // IPV6_2292HOPLIMIT
    (16, 4),   // IPV6_UNICAST_HOPS
    (17, 4),   // IPV6_MULTICAST_IF
    (18, 4),   // IPV6_MULTICAST_HOPS
    (19, 4),   // IPV6_MULTICAST_LOOP
    (22, 4),   // IPV6_ROUTER_ALERT
    (23, 4),   // IPV6_MTU_DISCOVER
    (25, 4),   // IPV6_RECVERR
    (26, 4),   // IPV6_V6ONLY
    (29, 4),   // IPV6_MULTICAST_ALL
    (30, 4),   // IPV6_ROUTER_ALERT_ISOLATE
    (31, 4),   // IPV6_RECVERR_RFC4884
    (33, 4),   // IPV6_FLOWINFO_SEND
    (36, 4),   // IPV6_HDRINCL
    (49, 4),   // IPV6_RECVPKTINFO
    (51, 4),   // IPV6_RECVHOPLIMIT
    (53, 4),   // IPV6_RECVHOPOPTS
    (54, 512), // IPV6_HOPOPTS
    (55, 512), // IPV6_RTHDRDSTOPTS
    (56, 4),   // IPV6_RECVRTHDR
    (57, 512), // IPV6_RTHDR
    (58, 4),   // IPV6_RECVDSTOPTS
    (59, 512), // IPV6_DSTOPTS
    (60, 4),   // IPV6_RECVPATHMTU
    (62, 4),   // IPV6_DONTFRAG
    (66, 4),   // IPV6_RECVTCLASS
    (67, 4),   // IPV6_TCLASS
    (70, 4),   // IPV6_AUTOFLOWLABEL
    (72, 4),   // IPV6_ADDR_PREFERENCES
    (73, 4),   // IPV6_MINHOPCOUNT
    (74, 4),   // IPV6_RECVORIGDSTADDR
    (75, 4),   // IPV6_TRANSPARENT
    (76, 4),   // IPV6_UNICAST_IF
    (77, 4),   // IPV6_RECVFRAGSIZE
    (78, 4),   // IPV6_FREEBIND
];

const TCP: &[(i32, usize)] = &[
    (libc::TCP_MAXSEG, 4),
    (libc::TCP_NODELAY, 4),
    (libc::TCP_CORK, 4),
    (libc::TCP_KEEPIDLE, 4),
    (libc::TCP_KEEPINTVL, 4),
    (libc::TCP_KEEPCNT, 4),
    (libc::TCP_SYNCNT, 4),
    (libc::TCP_LINGER2, 4),
    (libc::TCP_DEFER_ACCEPT, 4),
    (libc::TCP_WINDOW_CLAMP, 4),
    (libc::TCP_CONGESTION, 16),
    (16, 4), // TCP_THIN_LINEAR_TIMEOUTS
    (libc::TCP_USER_TIMEOUT, 4),
    (libc::TCP_FASTOPEN, 4),
    (25, 4), // TCP_NOTSENT_LOWAT
    (27, 4), // TCP_SAVE_SYN
    (30, 4), // TCP_FASTOPEN_CONNECT
    (TCP_ULP, 16),
    (33, 16), // TCP_FASTOPEN_KEY
    (34, 4),  // TCP_FASTOPEN_NO_COOKIE
    (36, 4),  // TCP_INQ
    (37, 4),  // TCP_TX_DELAY
    (44, 4),  // TCP_RTO_MAX_MS
    (45, 4),  // TCP_RTO_MIN_US
    (46, 4),  // TCP_DELACK_MAX_US
];

const UDP: &[(i32, usize)] = &[
    (1, 4),   // UDP_CORK
    (100, 4), // UDP_ENCAP
    (101, 4), // UDP_NO_CHECK6_TX
    (102, 4), // UDP_NO_CHECK6_RX
    (103, 4), // UDP_SEGMENT
    (104, 4), // UDP_GRO
];

/// UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV, and what it has from UDP.
const UDPLITE: &[(i32, usize)] = &[(1, 4), (10, 4), (11, 4)];

const NETLINK: &[(i32, usize)] = &[
    (3, 4),  // NETLINK_PKTINFO
    (4, 4),  // NETLINK_BROADCAST_ERROR
    (5, 4),  // NETLINK_NO_ENOBUFS
    (8, 4),  // NETLINK_LISTEN_ALL_NSID
    (10, 4), // NETLINK_CAP_ACK
    (11, 4), // NETLINK_EXT_ACK
    (12, 4), // NETLINK_GET_STRICT_CHK
];

/// PACKET_VERSION and PACKET_RESERVE come before the rings, which packet.rs makes, and so do the others.
const PACKET: &[(i32, usize)] = &[
    (10, 4), // PACKET_VERSION
    (12, 4), // PACKET_RESERVE
    (8, 4),  // PACKET_AUXDATA
    (9, 4),  // PACKET_ORIGDEV
    (7, 4),  // PACKET_COPY_THRESH
    (14, 4), // PACKET_LOSS
    (24, 4), // PACKET_VNET_HDR_SZ
    (15, 4), // PACKET_VNET_HDR
    (17, 4), // PACKET_TIMESTAMP
    (19, 4), // PACKET_TX_HAS_OFF
    (20, 4), // PACKET_QDISC_BYPASS
    (23, 4), // PACKET_IGNORE_OUTGOING
];

/// What a connection works out for itself, and what its own state does not let be set.
const NOT_OF_CONNECTIONS: &[(i32, i32)] = &[
    (SOL_TCP, libc::TCP_MAXSEG),
    (SOL_TCP, libc::TCP_WINDOW_CLAMP),
    (SOL_TCP, libc::TCP_FASTOPEN),
    (SOL_TCP, 33),
    (SOL_IPV6, 26),
];

/// What TCP sockets take from their first packet, and let nobody set.
const NOT_OF_STREAMS: &[(i32, i32)] = &[
    (SOL_IP, 32),
    (SOL_IP, 33),
    (SOL_IP, 34),
    (SOL_IP, 49),
    (SOL_IPV6, 17),
    (SOL_IPV6, 18),
    (SOL_IPV6, 19),
    (SOL_IPV6, 29),
];

/// What decides which name a socket can have.
const FOR_NAME: &[(i32, i32)] = &[
    (SOL_SOCKET, SO_REUSEADDR),
    (SOL_SOCKET, libc::SO_REUSEPORT),
    (SOL_SOCKET, SO_BINDTODEVICE),
    (SOL_SOCKET, libc::SO_MARK),
    (SOL_SOCKET, libc::SO_DONTROUTE),
    (SOL_IP, 3),
    (SOL_IP, IP_TRANSPARENT),
    (SOL_IP, 24),
    (SOL_IP, 51),
    (SOL_IPV6, 26),
    (SOL_IPV6, 36),
    (SOL_PACKET, 10),
    (SOL_PACKET, 12),
];

/// Reads every option that the socket has.
pub fn collect(found: &Found, socket: BorrowedFd, kind: i32) -> Result<Vec<OptionV1>> {
    let mut options = Vec::new();
    let stream = kind == libc::SOCK_STREAM;
    for &(level, names) in TABLE {
        for &(name, room) in names {
            if stream && NOT_OF_STREAMS.contains(&(level, name)) {
                continue;
            }
            match option(socket, level, name, room) {
                Ok(value) => options.push(OptionV1 { level, name, value: ByteBuf::from(value) }),
                // An option of another kind of socket, or one that this kernel does not know. At most levels the first
                // answer tells that the whole level is foreign.
                Err(Errno(libc::EOPNOTSUPP | libc::ENOPROTOOPT)) if foreign(level, name) => break,
                Err(_) => {}
            }
        }
    }
    // SO_PRIORITY follows IP_TOS when that is set.
    if let Ok(value) = option(socket, SOL_SOCKET, libc::SO_PRIORITY, 4) {
        let priority = OptionV1 { level: SOL_SOCKET, name: libc::SO_PRIORITY, value: ByteBuf::from(value) };
        options.push(priority);
    }
    let ulp = options.iter().position(|option| (option.level, option.name) == (SOL_TCP, TCP_ULP));
    let name = ulp.map(|index| options.remove(index).value).unwrap_or_default();
    match String::from_utf8_lossy(&name).trim_end_matches('\0') {
        // What an MPTCP socket is made with.
        "" | "mptcp" => Ok(options),
        name => found.refuse(&format!("its upper layer protocol \"{name}\" keeps state in the kernel")),
    }
}

/// Does failing at the first option of a level tell that the socket has none of that level?
fn foreign(level: i32, name: i32) -> bool {
    matches!(level, SOL_UDP | SOL_UDPLITE | SOL_NETLINK | SOL_PACKET)
        && TABLE.iter().any(|(at, names)| *at == level && names[0].0 == name)
}

/// Puts options back. Those that a fresh socket has by itself are left alone, whatever this host's defaults are called.
/// One that cannot be set does not keep the others from being set.
pub fn apply(socket: BorrowedFd, options: &[OptionV1], stage: Stage, connected: bool) -> Result<()> {
    let mut outcome = Ok(());
    for saved in options {
        let key = (saved.level, saved.name);
        let too_early = stage == Stage::Unbound && !FOR_NAME.contains(&key);
        if too_early || (connected && NOT_OF_CONNECTIONS.contains(&key)) {
            continue;
        }
        if option(socket, saved.level, saved.name, saved.value.len().max(4)).as_deref() == Ok(&*saved.value) {
            continue;
        }
        let what = || format!("Could not restore socket option {} of level {}", saved.name, saved.level);
        outcome = outcome.and(set(socket, saved).explain(what));
    }
    outcome
}

fn set(socket: BorrowedFd, saved: &OptionV1) -> sys::Result<()> {
    match (saved.level, saved.name) {
        // The kernel doubles what it is told (socket(7)).
        (SOL_SOCKET, SO_SNDBUF) => Buffer::Send.set(socket, number(saved) / 2),
        (SOL_SOCKET, SO_RCVBUF) => Buffer::Receive.set(socket, number(saved) / 2),
        (level, name) => set_option(socket, level, name, &saved.value),
    }
}

/// The buffers of a socket.
#[derive(Clone, Copy, Debug)]
pub enum Buffer {
    Receive,
    Send,
}

impl Buffer {
    /// Sets its size: beyond the host's maximum where that is allowed (CAP_NET_ADMIN outside of all user namespaces), else
    /// as far as that.
    pub fn set(self, socket: BorrowedFd, bytes: i32) -> sys::Result<()> {
        let (force, plain) = match self {
            Self::Receive => (SO_RCVBUFFORCE, SO_RCVBUF),
            Self::Send => (SO_SNDBUFFORCE, SO_SNDBUF),
        };
        set_number(socket, SOL_SOCKET, force, bytes).or_else(|_| set_number(socket, SOL_SOCKET, plain, bytes))
    }
}

pub fn number(saved: &OptionV1) -> i32 {
    saved.value.as_slice().try_into().map_or(0, i32::from_ne_bytes)
}

/// The saved value of an integer option, 0 when the socket has none.
pub fn saved_number(options: &[OptionV1], level: i32, name: i32) -> i32 {
    options.iter().find(|option| (option.level, option.name) == (level, name)).map_or(0, number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn read_all(socket: BorrowedFd) -> Vec<OptionV1> {
        TABLE
            .iter()
            .flat_map(|&(level, names)| names.iter().map(move |&(name, room)| (level, name, room)))
            .filter_map(|(level, name, room)| {
                let value = ByteBuf::from(option(socket, level, name, room).ok()?);
                Some(OptionV1 { level, name, value })
            })
            .collect()
    }

    #[test]
    fn options_of_a_socket_come_back_on_another() {
        let make = || sys::network::socket(libc::AF_INET6, libc::SOCK_STREAM, 0).expect("a socket");
        let (one, two) = (make(), make());
        for (level, name, value) in [
            (SOL_SOCKET, libc::SO_KEEPALIVE, 1),
            (SOL_SOCKET, SO_RCVBUF, 40_000),
            (SOL_SOCKET, libc::SO_RCVLOWAT, 7),
            (SOL_TCP, libc::TCP_NODELAY, 1),
            (SOL_TCP, libc::TCP_KEEPIDLE, 77),
            (SOL_IPV6, 26, 1),
            (SOL_IPV6, 67, 16),
            (SOL_IP, 2, 33),
        ] {
            set_number(one.as_fd(), level, name, value).expect("set");
        }
        let saved = read_all(one.as_fd());
        assert_ne!(saved, read_all(two.as_fd()));
        apply(two.as_fd(), &saved, Stage::Complete, false).expect("applied");
        assert_eq!(saved, read_all(two.as_fd()));
    }
}
