//! The structures of linux/xfrm.h that states and policies have in common, as bytes.

use crate::subnet::octets;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `xfrm_address_t`.
const ADDRESS: usize = 16;

/// Length of `struct xfrm_selector`.
pub(super) const SELECTOR: usize = 56;

/// Where `struct xfrm_selector` has what is read from it.
const SOURCE: usize = 16;
const DESTINATION_PORT: usize = 32;
const FAMILY: usize = 40;
const DESTINATION_BITS: usize = 42;
const SOURCE_BITS: usize = 43;

pub(super) const UDP: u8 = 17;
pub(super) const ESP: u8 = 50;

/// Packets of UDP to one port of one address, from one address or from any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packets {
    pub from: Option<IpAddr>,
    pub to: IpAddr,
    pub port: u16,
}

impl Packets {
    /// `struct xfrm_selector`.
    pub fn selector(self) -> Vec<u8> {
        let bits = if self.to.is_ipv4() { 32 } else { 128 };
        let nowhere: IpAddr = if self.to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let mut bytes = [address(self.to), address(self.from.unwrap_or(nowhere))].concat();
        bytes.extend(self.port.to_be_bytes());
        bytes.extend([0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend(family(self.to).to_ne_bytes());
        bytes.extend([bits, if self.from.is_some() { bits } else { 0 }, UDP]);
        bytes.resize(SELECTOR, 0);
        bytes
    }

    /// The same read back, where it is of this kind.
    pub fn read(selector: &[u8]) -> Option<Self> {
        let v4 = family_at(selector, FAMILY)?;
        let bits = if v4 { 32 } else { 128 };
        let from = address_at(selector, SOURCE, v4)?;
        let port = selector.get(DESTINATION_PORT..DESTINATION_PORT + 2)?.try_into().ok()?;
        let one = *selector.get(DESTINATION_BITS)? == bits;
        let packets = Self {
            from: (*selector.get(SOURCE_BITS)? == bits).then_some(from),
            to: address_at(selector, 0, v4)?,
            port: u16::from_be_bytes(port),
        };
        one.then_some(packets)
    }
}

pub(super) fn family(address: IpAddr) -> u16 {
    if address.is_ipv4() { libc::AF_INET as u16 } else { libc::AF_INET6 as u16 }
}

/// Whether the family at byte `at` is IPv4; nothing where it is neither.
pub(super) fn family_at(bytes: &[u8], at: usize) -> Option<bool> {
    match i32::from(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?)) {
        libc::AF_INET => Some(true),
        libc::AF_INET6 => Some(false),
        _ => None,
    }
}

/// `xfrm_address_t`.
pub(super) fn address(address: IpAddr) -> Vec<u8> {
    let mut bytes = octets(address);
    bytes.resize(ADDRESS, 0);
    bytes
}

pub(super) fn address_at(bytes: &[u8], at: usize, v4: bool) -> Option<IpAddr> {
    let bytes: [u8; ADDRESS] = bytes.get(at..at + ADDRESS)?.try_into().ok()?;
    let [a, b, c, d, ..] = bytes;
    Some(if v4 { Ipv4Addr::new(a, b, c, d).into() } else { Ipv6Addr::from(bytes).into() })
}

/// `struct xfrm_lifetime_cfg`: no limit but one of time, in seconds after what the kernel takes for the time of making; 0 for
/// none.
pub(super) fn lifetime(seconds: u64) -> Vec<u8> {
    let mut bytes = vec![0xff; 32];
    bytes.extend([0u64, seconds, 0, 0].into_iter().flat_map(u64::to_ne_bytes));
    bytes
}

/// The native 64-bit number at byte `at`.
pub(super) fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).map_or(0, |eight| u64::from_ne_bytes(eight.try_into().expect("eight bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_as_they_were_written() {
        for (from, to) in [
            (Some("192.0.2.1"), "192.0.2.2"),
            (None, "192.0.2.2"),
            (Some("2001:db8::1"), "2001:db8::2"),
            (None, "2001:db8::2"),
        ] {
            let from = from.map(|text| text.parse().unwrap());
            let packets = Packets { from, to: to.parse().unwrap(), port: 24_577 };
            assert_eq!(packets.selector().len(), SELECTOR);
            assert_eq!(Packets::read(&packets.selector()), Some(packets));
        }
        assert_eq!(Packets::read(&[0; SELECTOR]), None);
    }
}
