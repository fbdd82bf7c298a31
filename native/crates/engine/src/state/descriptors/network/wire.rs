//! Packets made by hand and sent to this host's own sockets: how a queue is filled in other senders' names (raw(7)).

use crate::sockets::Sockets;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use sys::network;
use sys::socket_options::set_number;

const IPPROTO_RAW: i32 = 255;
pub const TCP: u8 = 6;
const UDPLITE: u8 = 136;
/// The longest that an IP packet may be with its header.
const LONGEST: usize = 65_535;

/// Sends what goes inside an IP packet of protocol `payload.0`.
pub fn send(from: SocketAddr, to: SocketAddr, payload: &(u8, Vec<u8>), sockets: &Sockets) -> sys::Result<()> {
    let (protocol, body) = payload;
    let (packet, domain) = match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            (ipv4(source.octets(), target.octets(), *protocol, body), libc::AF_INET)
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            (ipv6(source.octets(), target.octets(), *protocol, body), libc::AF_INET6)
        }
        _ => return Err(sys::Errno(libc::EAFNOSUPPORT)),
    };
    if packet.len() > LONGEST {
        return Err(sys::Errno(libc::EMSGSIZE));
    }
    let raw = sockets.make(domain, libc::SOCK_RAW, IPPROTO_RAW)?;
    // Where nobody has the address any more (IP_FREEBIND), the packet still goes through loopback.
    let _ = set_number(raw.as_fd(), libc::SOL_SOCKET, libc::SO_DONTROUTE, 0);
    let mut address = super::address::bytes(to);
    // Raw sockets have no ports; IPv6 ones insist.
    address[2..4].fill(0);
    network::send_to(raw.as_fd(), &packet, &address).map(drop)
}

fn ipv4(source: [u8; 4], target: [u8; 4], protocol: u8, body: &[u8]) -> Vec<u8> {
    // Version and header length, service, length and checksum (the kernel fills both in), id, no fragments, hops.
    let mut packet = vec![0x45, 0];
    packet.extend(((20 + body.len()) as u16).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    packet.extend(source);
    packet.extend(target);
    packet.extend(body);
    packet
}

fn ipv6(source: [u8; 16], target: [u8; 16], protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    packet.extend(source);
    packet.extend(target);
    packet.extend(body);
    packet
}

/// A UDP or UDP-Lite datagram with its header.
pub fn datagram(from: SocketAddr, to: SocketAddr, protocol: u8, bytes: &[u8]) -> (u8, Vec<u8>) {
    let length = (8 + bytes.len()) as u16;
    let mut body = ports(from, to);
    // UDP-Lite says here how much its checksum covers; 0 is everything (RFC 3828).
    body.extend(if protocol == UDPLITE { 0u16 } else { length }.to_be_bytes());
    body.extend([0, 0]);
    body.extend(bytes);
    let sum = match checksum(from, to, protocol, &body) {
        0 => 0xffff,
        sum => sum,
    };
    body[6..8].copy_from_slice(&sum.to_be_bytes());
    (protocol, body)
}

/// A TCP segment without data.
pub fn segment(
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    acknowledge: u32,
    flags: u8,
) -> (u8, Vec<u8>) {
    const WORDS: u8 = 5;
    let mut body = ports(from, to);
    body.extend(sequence.to_be_bytes());
    body.extend(acknowledge.to_be_bytes());
    body.extend([WORDS << 4, flags]);
    // Window, checksum, urgent pointer.
    body.extend([0xff, 0xff, 0, 0, 0, 0]);
    let sum = checksum(from, to, TCP, &body);
    body[16..18].copy_from_slice(&sum.to_be_bytes());
    (TCP, body)
}

fn ports(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    [from.port().to_be_bytes(), to.port().to_be_bytes()].concat()
}

/// The Internet checksum over the pseudo header and `body` (RFC 768, RFC 8200).
fn checksum(from: SocketAddr, to: SocketAddr, protocol: u8, body: &[u8]) -> u16 {
    let mut bytes = match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => [source.octets(), target.octets()].concat(),
        (IpAddr::V6(source), IpAddr::V6(target)) => [source.octets(), target.octets()].concat(),
        _ => Vec::new(),
    };
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes.extend(body);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let sum: u64 = bytes.chunks_exact(2).map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_datagram_sums_up_to_nothing() {
        let (from, to) = ("1.2.3.4:5".parse().expect("one"), "9.8.7.6:54".parse().expect("two"));
        let (protocol, body) = datagram(from, to, 17, b"odd");
        assert_eq!(checksum(from, to, protocol, &body), 0);
        assert_eq!(body[4..6], [0, 11]);
    }
}
