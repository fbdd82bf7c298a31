//! Ranges of addresses: a network and the length of its prefix, `10.10.2.0/24`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of IPv4 or IPv6 addresses. The bits behind the prefix are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    network: IpAddr,
    length: u8,
}

impl Subnet {
    /// `None` when the prefix is longer than an address, or bits behind it are set.
    #[must_use]
    pub fn new(network: IpAddr, length: u8) -> Option<Self> {
        let subnet = Self { network, length };
        let sound = length <= width(network) && bits(network) & !subnet.mask() == 0;
        sound.then_some(subnet)
    }

    #[must_use]
    pub fn network(&self) -> IpAddr {
        self.network
    }

    /// Length of the prefix in bits.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// The prefix as the bytes of an address: those that count are all ones.
    #[must_use]
    pub fn mask_bytes(&self) -> Vec<u8> {
        let bytes = self.mask().to_be_bytes();
        if self.network.is_ipv4() { bytes[12..].to_vec() } else { bytes.to_vec() }
    }

    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.network.is_ipv4() && bits(address) & self.mask() == bits(self.network)
    }

    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }

    /// How far an address lies behind the first one of the range; `None` where it is not in it.
    #[must_use]
    pub fn number_of(&self, address: IpAddr) -> Option<u128> {
        self.contains(address).then(|| bits(address) - bits(self.network))
    }

    fn mask(&self) -> u128 {
        let host = u32::from(width(self.network) - self.length);
        let all = u128::MAX >> (128 - u32::from(width(self.network)));
        all.checked_shl(host).unwrap_or(0) & all
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// The bytes of an address, in the order of the network.
#[must_use]
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

impl FromStr for Subnet {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (network, length) = text.split_once('/').ok_or(())?;
        Self::new(network.parse().map_err(drop)?, length.parse().map_err(drop)?).ok_or(())
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().expect("a range")
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        let range = subnet("10.10.2.0/24");
        assert_eq!(range.number_of("10.10.2.7".parse().unwrap()), Some(7));
        assert_eq!(range.number_of("10.10.3.7".parse().unwrap()), None);
        assert!(!range.contains("::10".parse().unwrap()));
        let one = subnet("10.10.0.1/32");
        assert_eq!(one.number_of("10.10.0.1".parse().unwrap()), Some(0));
        assert_eq!(subnet("fd00:1::/64").number_of("fd00:1::1:0".parse().unwrap()), Some(65536));
        assert!(subnet("::/0").contains("ff::1".parse().unwrap()));
    }

    #[test]
    fn ranges_overlap_when_one_is_in_the_other() {
        assert!(subnet("10.10.0.0/16").overlaps(&subnet("10.10.2.0/24")));
        assert!(subnet("10.10.2.4/30").overlaps(&subnet("10.10.2.0/24")));
        assert!(!subnet("10.10.3.0/24").overlaps(&subnet("10.10.2.0/24")));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in ["10.10.2.1/24", "10.10.2.0/33", "10.10.2.0", "x/8", "fd00::/129", "10.10.2.0/"] {
            assert!(wrong.parse::<Subnet>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mask_has_as_many_bytes_as_an_address() {
        assert_eq!(subnet("10.10.2.0/23").mask_bytes(), [255, 255, 254, 0]);
        assert_eq!(subnet("fd00::/8").mask_bytes()[..2], [255, 0]);
    }
}
