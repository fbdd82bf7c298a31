//! What only sock_diag(7) tells of a socket: by inode, in the network namespace where the socket lives.

use super::messages::{Conversation, attributes, half, word};
use super::{Found, address};
use crate::explain::{Explain, Result};
use crate::sockets::Sockets;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;

const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// State of an IP socket that has a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpSocket {
    /// TCP_ESTABLISHED and so on, also for connected UDP sockets.
    pub state: u8,
    /// In the order in which the network has it.
    pub peer_port: [u8; 2],
    pub peer: [u8; 16],
    /// RCV_SHUTDOWN (1), SEND_SHUTDOWN (2).
    pub shutdown: u8,
}

impl IpSocket {
    /// The peer as a socket address of that family.
    pub fn peer_address(&self, family: i32) -> Vec<u8> {
        let mut address = (family as u16).to_ne_bytes().to_vec();
        address.extend(self.peer_port);
        if family == libc::AF_INET6 {
            address.extend([0; 4]);
            address.extend(self.peer);
            address.extend([0; 4]);
        } else {
            address.extend(&self.peer[..4]);
            address.extend([0; 8]);
        }
        address
    }
}

/// Asks about a UDP or UDP-Lite socket; none when it has no port, or the kernel was built without an answer.
pub fn ip_socket(found: &Found, family: i32, protocol: i32, sockets: &Sockets) -> Option<IpSocket> {
    // struct inet_diag_req_v2: family, protocol, extensions, pad, states, id (48 bytes, unused in a dump)
    let mut request = vec![family as u8, protocol as u8, 0, 0];
    request.extend(u32::MAX.to_ne_bytes());
    request.extend([0; 48]);
    let inode = found.meta.ino() as u32;
    let answers = dump(&request, sockets).ok()?;
    answers.iter().find(|answer| word(answer, 68) == inode).map(|answer| parse_ip_socket(answer))
}

/// struct inet_diag_msg: family, state, timer, retrans, id {sport, dport, src 16, dst 16, if, cookie 8}, expires,
/// rqueue, wqueue, uid, inode, attributes.
fn parse_ip_socket(answer: &[u8]) -> IpSocket {
    const INET_DIAG_SHUTDOWN: u16 = 8;
    let mut socket = IpSocket { state: answer.get(1).copied().unwrap_or(0), ..IpSocket::default() };
    socket.peer_port.copy_from_slice(answer.get(6..8).unwrap_or(&[0; 2]));
    socket.peer.copy_from_slice(answer.get(24..40).unwrap_or(&[0; 16]));
    let list = attributes(answer.get(72..).unwrap_or_default());
    let shutdown = list.iter().find(|(kind, _)| *kind == INET_DIAG_SHUTDOWN);
    socket.shutdown = shutdown.and_then(|(_, value)| value.first().copied()).unwrap_or(0);
    socket
}

/// What there is to know of a packet socket besides its options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketSocket {
    /// Protocol in host order.
    pub protocol: u16,
    /// Interface index, 0 for all.
    pub interface: u32,
    /// Interface index, count, type, address.
    pub memberships: Vec<(i32, u32, u16, Vec<u8>)>,
    /// Block size, blocks, frame size, frames, timeout, private bytes, features.
    pub receive_ring: Option<[u32; 7]>,
    pub send_ring: Option<[u32; 7]>,
}

pub fn packet_socket(found: &Found, sockets: &Sockets) -> Result<PacketSocket> {
    const SHOW: u32 = 0x1 | 0x2 | 0x4 | 0x8; // INFO, MCLIST, RING_CFG, FANOUT
    // struct packet_diag_req: family, protocol, pad, inode, show, cookie
    let mut request = vec![libc::AF_PACKET as u8, 0, 0, 0];
    request.extend(0u32.to_ne_bytes());
    request.extend(SHOW.to_ne_bytes());
    request.extend([0; 8]);
    let inode = found.meta.ino() as u32;
    let answers = dump(&request, sockets).explain(|| what(found))?;
    let answer = answers.iter().find(|answer| word(answer, 4) == inode);
    let answer = answer.ok_or(sys::Errno::ENOENT).explain(|| what(found))?;
    Ok(parse_packet_socket(answer))
}

/// struct packet_diag_msg: family, type, num, inode, cookie 8, attributes.
fn parse_packet_socket(answer: &[u8]) -> PacketSocket {
    const ENTRY: usize = 44; // struct packet_diag_mclist: index, count, type, address length, address 32
    let mut socket = PacketSocket { protocol: half(answer, 2), ..PacketSocket::default() };
    let ring = |value: &[u8]| -> [u32; 7] { std::array::from_fn(|i| word(value, i * 4)) };
    for (kind, value) in attributes(answer.get(16..).unwrap_or_default()) {
        match kind {
            0 => socket.interface = word(value, 0),
            1 => {
                socket.memberships = value
                    .chunks_exact(ENTRY)
                    .map(|entry| {
                        let length = usize::from(half(entry, 10)).min(32);
                        let address = entry[12..12 + length].to_vec();
                        (word(entry, 0) as i32, word(entry, 4), half(entry, 8), address)
                    })
                    .collect();
            }
            2 => socket.receive_ring = Some(ring(value)),
            3 => socket.send_ring = Some(ring(value)),
            _ => {}
        }
    }
    socket
}

/// A TCP socket that has a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    pub inode: u32,
    /// As packets have them.
    pub local: SocketAddr,
    pub peer: SocketAddr,
}

/// All TCP connections of the network namespace that somebody has a descriptor of.
///
/// # Errors
/// When this kernel was built without an answer.
pub fn connections(sockets: &Sockets) -> sys::Result<Vec<Connected>> {
    // What nobody has a peer for: TCP_CLOSE, TCP_LISTEN.
    const STATES: u32 = !(1 << 7 | 1 << 10);
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut request = vec![family as u8, libc::IPPROTO_TCP as u8, 0, 0];
        request.extend(STATES.to_ne_bytes());
        request.extend([0; 48]);
        found.extend(dump(&request, sockets)?.iter().filter_map(|answer| connected(answer)));
    }
    Ok(found)
}

fn connected(answer: &[u8]) -> Option<Connected> {
    let inode = word(answer, 68);
    let end = |port: usize, at: usize| {
        let port = u16::from_be_bytes(answer.get(port..port + 2)?.try_into().ok()?);
        let bytes: [u8; 16] = answer.get(at..at + 16)?.try_into().ok()?;
        let ip = if i32::from(answer[0]) == libc::AF_INET {
            IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])
        } else {
            IpAddr::from(bytes)
        };
        Some(address::on_wire(SocketAddr::new(ip, port)))
    };
    Some(Connected { inode, local: end(4, 8)?, peer: end(6, 24)? }).filter(|_| inode != 0)
}

fn dump(request: &[u8], sockets: &Sockets) -> sys::Result<Vec<Vec<u8>>> {
    Conversation::from(sockets.netlink(NETLINK_SOCK_DIAG)?).dump(SOCK_DIAG_BY_FAMILY, request)
}

fn what(found: &Found) -> String {
    format!("Could not ask the kernel about {} of process {}", found.name(), found.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ip_socket_is_read_from_its_message() {
        let mut answer = vec![0u8; 72];
        answer[1] = 1;
        answer[6..8].copy_from_slice(&[0x1f, 0x90]);
        answer[24..28].copy_from_slice(&[127, 0, 0, 1]);
        answer.extend(super::super::messages::attribute(8, &[2]));
        let socket = parse_ip_socket(&answer);
        assert_eq!((socket.state, socket.peer_port, socket.shutdown), (1, [0x1f, 0x90], 2));
        assert_eq!(socket.peer[..4], [127, 0, 0, 1]);
    }

    #[test]
    fn a_packet_socket_is_read_from_its_message() {
        use super::super::messages::attribute;
        let mut member = vec![0u8; 44];
        member[0] = 2;
        member[4] = 1;
        member[8] = 1;
        member[10] = 6;
        let mut answer = vec![17, 3, 0, 8];
        answer.extend([0; 12]);
        answer.extend(attribute(0, &[&2u32.to_ne_bytes()[..], &[0; 16]].concat()));
        answer.extend(attribute(1, &member));
        let socket = parse_packet_socket(&answer);
        assert_eq!((socket.protocol, socket.interface), (0x800, 2));
        assert_eq!(socket.memberships, [(2, 1, 1, vec![0; 6])]);
    }
}
