//! What things are called on a host, and the addresses that are the same on every one. Nothing here is remembered: it follows
//! from the environment's id and the member's number.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What the name of every link of ours on the host begins with.
pub const LINK_PREFIX: &str = "st-";

/// Numbers of members are below this: a link's name has no room for more (IFNAMSIZ).
pub const MAX_NUMBER: u32 = 1 << 20;

/// This host, as members of any environment see it: one address for all, which takes none from their ranges.
pub const HOST_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 77, 1);
pub const HOST_V6: Ipv6Addr = Ipv6Addr::new(0xfd73, 0x7461, 0x7369, 0xffff, 0, 0, 0, 1);

/// A link-layer address.
pub type Mac = [u8; 6];

/// An environment's id: six hexadecimal digits, the same on every host that it spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(String);

impl Id {
    /// The bridge on the host.
    #[must_use]
    pub fn bridge(&self) -> String {
        format!("{LINK_PREFIX}{}", self.0)
    }

    /// What the names of all its members' links on the host begin with.
    #[must_use]
    pub fn port_prefix(&self) -> String {
        format!("{LINK_PREFIX}{}-", self.0)
    }

    /// The host's end of a member's link.
    #[must_use]
    pub fn port(&self, number: u32) -> String {
        format!("{}{number:x}", self.port_prefix())
    }

    /// Its tables of nftables, one in each family.
    #[must_use]
    pub fn table(&self) -> String {
        format!("stasis-{}", self.0)
    }

    /// The link that leads to other hosts. No table takes it for a member's, nor for a bridge.
    #[must_use]
    pub fn tunnel(&self) -> String {
        format!("stx-{}", self.0)
    }

    /// The tables of nftables for what comes from other hosts and goes there, one in each family.
    #[must_use]
    pub fn tunnel_table(&self) -> String {
        format!("stasis-{}-tunnel", self.0)
    }

    /// What tells its packets on the way between hosts from those of others (VNI, 24 bits).
    #[must_use]
    pub fn number(&self) -> u32 {
        u32::from_str_radix(&self.0, 16).expect("hexadecimal digits")
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 6 && text.bytes().all(digit) { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The link-layer address of a member: neighbours need not learn a new one when it moves.
#[must_use]
pub fn member_mac(number: u32) -> Mac {
    let [_, a, b, c] = number.to_be_bytes();
    [0x02, 0x73, 0x74, a, b, c]
}

/// The member that has a link-layer address, which may be any.
#[must_use]
pub fn number_of(mac: Mac) -> Option<u32> {
    let [x, y, z, a, b, c] = mac;
    let number = u32::from_be_bytes([0, a, b, c]);
    ([x, y, z] == [0x02, 0x73, 0x74] && number < MAX_NUMBER).then_some(number)
}

/// What link-layer addresses of members have in common: these bits, and their values.
pub const MEMBER_MACS: (Mac, Mac) = ([0xff, 0xff, 0xff, 0xf0, 0, 0], [0x02, 0x73, 0x74, 0, 0, 0]);

/// A link-layer address that nobody has: frames to it go to other hosts, and to no member.
pub const NOBODY_MAC: Mac = [0x02, 0x73, 0x74, 0xff, 0xff, 0xfe];

/// The link-local IPv6 addresses of members, as a network and the length of its prefix.
pub const MEMBERS_LINK_LOCAL: (Ipv6Addr, u8) =
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0073, 0x74ff, 0xfe00, 0), 108);

/// The link-layer address of the host's side of every bridge, which no member has: numbers do not get that high.
pub const HOST_MAC: Mac = [0x02, 0x73, 0x74, 0xff, 0xff, 0xff];

/// The link-local IPv6 address that belongs to a link-layer address (RFC 4291, appendix A).
#[must_use]
pub fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.map(u16::from);
    Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f)
}

/// This host in the family of `address`.
#[must_use]
pub fn host(address: IpAddr) -> IpAddr {
    if address.is_ipv4() { HOST_V4.into() } else { HOST_V6.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_room_in_the_kernel() {
        let id: Id = "a1b2c3".parse().unwrap();
        assert_eq!(id.bridge(), "st-a1b2c3");
        assert_eq!(id.port(7), "st-a1b2c3-7");
        assert_eq!((id.tunnel().as_str(), id.number()), ("stx-a1b2c3", 0xa1_b2c3));
        assert!(id.port(MAX_NUMBER - 1).len() < libc::IFNAMSIZ);
        for wrong in ["", "a1b2c", "A1b2c3", "a1b2c3d", "../../"] {
            assert!(wrong.parse::<Id>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_follow_from_numbers() {
        assert_eq!(member_mac(0x0a_0b0c), [2, 0x73, 0x74, 10, 11, 12]);
        assert_eq!(link_local(member_mac(7)).to_string(), "fe80::73:74ff:fe00:7");
        for number in [0, 7, MAX_NUMBER - 1] {
            let mac = member_mac(number);
            assert_eq!(number_of(mac), Some(number));
            let (mask, value) = MEMBER_MACS;
            assert!((0..6).all(|at| mac[at] & mask[at] == value[at]));
            let (network, length) = MEMBERS_LINK_LOCAL;
            let range = crate::Subnet::new(network.into(), length).expect("a range");
            assert!(range.contains(link_local(mac).into()));
        }
        assert_eq!(number_of(HOST_MAC), None);
        assert_eq!(number_of(NOBODY_MAC), None);
    }
}
