//! What follows from the secret of an environment: keys and the numbers that name them.

use super::epochs::{Number, SLOTS};
use crate::names::Id;
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// AES-256, and the four bytes that begin each nonce (RFC 4106, section 8.1).
pub(super) const KEY: usize = 32 + 4;

/// What the hosts of an environment share: 32 bytes, spelled as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl FromStr for Secret {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| ())?;
        }
        Ok(Self(bytes))
    }
}

/// Says nothing of it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The keys of one environment for packets from one host to another: no two such ways have a key in common.
pub(super) struct Keyring {
    expand: Hkdf<Sha256>,
    way: Vec<u8>,
}

impl Keyring {
    pub fn new(secret: &Secret, id: &Id, from: IpAddr, to: IpAddr) -> Self {
        let expand = Hkdf::new(Some(b"stasis: ESP between hosts of an environment, 1"), &secret.0);
        let way = [id.to_string().as_bytes(), &wide(from), &wide(to)].concat();
        Self { expand, way }
    }

    /// Of a fixed length: no two questions are spelled alike.
    fn derive<const N: usize>(&self, what: u8, number: Number) -> [u8; N] {
        let info = [&[what][..], &self.way, &number.epoch.to_be_bytes(), &[number.slot]].concat();
        let mut bytes = [0; N];
        self.expand.expand(&info, &mut bytes).expect("far fewer bytes than HKDF gives");
        bytes
    }

    /// Key and salt.
    pub fn key(&self, number: Number) -> [u8; KEY] {
        self.derive(b'k', number)
    }

    /// What packets under the key say (RFC 4303, section 2.1): 24 bits of the way, 5 of the epoch, 3 of the slot. Those that
    /// are there at once differ, but by accident of two ways.
    pub fn spi(&self, number: Number) -> u32 {
        let [a, b, c] = self.derive(b's', Number { epoch: 0, slot: 0 });
        // 1 to 255 are reserved.
        let way = u32::from_be_bytes([0, a, b, c]).max(1);
        let epoch = (number.epoch % 32) as u32;
        way << 8 | epoch << 3 | u32::from(number.slot % SLOTS)
    }

    /// Tells the way, under this secret, from others where keys are accounted for.
    pub fn tag(&self) -> u64 {
        u64::from_be_bytes(self.derive(b't', Number { epoch: 0, slot: 0 }))
    }
}

/// The slot that a key's name says.
pub(super) fn slot_in(spi: u32) -> u8 {
    (spi % u32::from(SLOTS)) as u8
}

fn wide(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(digit: &str, id: &str, from: &str, to: &str) -> Keyring {
        let secret = digit.repeat(64).parse().unwrap();
        Keyring::new(&secret, &id.parse().unwrap(), from.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn a_secret_has_64_digits_and_is_never_shown() {
        for wrong in ["", &"a".repeat(63), &"a".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert!(wrong.parse::<Secret>().is_err(), "{wrong}");
        }
        assert_eq!(format!("{:?}", "a7".repeat(32).parse::<Secret>()), "Ok(Secret)");
    }

    #[test]
    fn every_way_epoch_and_slot_has_a_key_of_its_own() {
        let rings = [
            ring("1", "a1b2c3", "192.0.2.1", "192.0.2.2"),
            ring("1", "a1b2c3", "192.0.2.2", "192.0.2.1"),
            ring("1", "a1b2c4", "192.0.2.1", "192.0.2.2"),
            ring("1", "a1b2c3", "192.0.2.1", "2001:db8::2"),
            ring("2", "a1b2c3", "192.0.2.1", "192.0.2.2"),
        ];
        let mut keys = Vec::new();
        for ring in &rings {
            for (epoch, slot) in [(0, 0), (0, 1), (1, 0), (256, 0), (1, 7)] {
                keys.push(ring.key(Number { epoch, slot }).to_vec());
            }
        }
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }

    #[test]
    fn numbers_of_keys_that_are_there_at_once_differ() {
        let ring = ring("1", "a1b2c3", "192.0.2.1", "192.0.2.2");
        let mut spis: Vec<u32> = (1000..1020)
            .flat_map(|epoch| (0..SLOTS).map(move |slot| Number { epoch, slot }))
            .map(|number| ring.spi(number))
            .collect();
        assert!(spis.iter().all(|spi| *spi > 255));
        spis.sort_unstable();
        spis.dedup();
        assert_eq!(spis.len(), 20 * usize::from(SLOTS));
    }

    /// Hosts of other versions must come to the same keys. Computed with another program's HKDF.
    #[test]
    fn keys_stay_what_they_are() {
        let ring = ring("0", "a1b2c3", "192.0.2.1", "192.0.2.2");
        let number = Number { epoch: 41_000, slot: 0 };
        assert_eq!(ring.key(number)[..4], [0xa6, 0x3a, 0xb2, 0xf4]);
        assert_eq!(ring.spi(number), 0x0882_fe40);
    }
}
