//! IP addresses as they stand in a `struct sockaddr_in` or `sockaddr_in6`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Reads a socket address; none when it is of no IP family.
pub fn parse(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    match family {
        libc::AF_INET => {
            let four: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(SocketAddrV4::new(Ipv4Addr::from(four), port).into())
        }
        libc::AF_INET6 => {
            let sixteen: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            Some(SocketAddrV6::new(Ipv6Addr::from(sixteen), port, word(4)?, word(24)?).into())
        }
        _ => None,
    }
}

/// Writes a socket address for the system calls.
pub fn bytes(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(v4) => {
            let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
            bytes.extend(v4.port().to_be_bytes());
            bytes.extend(v4.ip().octets());
            bytes.resize(16, 0);
            bytes
        }
        SocketAddr::V6(v6) => {
            let mut bytes = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
            bytes.extend(v6.port().to_be_bytes());
            bytes.extend(v6.flowinfo().to_ne_bytes());
            bytes.extend(v6.ip().octets());
            bytes.extend(v6.scope_id().to_ne_bytes());
            bytes
        }
    }
}

/// The same address as the network has it: an IPv4 one that an IPv6 socket speaks of as IPv4.
pub fn on_wire(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The unspecified address is reached through loopback.
pub fn reachable(address: SocketAddr, like: IpAddr) -> SocketAddr {
    let ip = match (address.ip(), like) {
        (ip, IpAddr::V4(_)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        (ip, IpAddr::V6(_)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        (ip, _) => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_were_written() {
        for text in ["1.2.3.4:80", "[::1]:8080", "[::ffff:9.8.7.6]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(parse(&bytes(address)), Some(address));
        }
        assert_eq!(parse(&[1, 0, 0, 0]), None);
    }

    #[test]
    fn a_mapped_address_is_ipv4_on_the_wire() {
        let mapped: SocketAddr = "[::ffff:9.8.7.6]:1".parse().expect("an address");
        assert_eq!(on_wire(mapped).to_string(), "9.8.7.6:1");
    }
}
