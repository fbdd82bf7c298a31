//! States of XFRM (ip-xfrm(8)): which key and which numbers packets have on one way. A state ends by itself.

use super::epochs::{Number, rank, ranked};
use super::keys::{KEY, slot_in};
use super::layout::{ESP, Packets, SELECTOR, address, address_at, family, family_at, lifetime, long};
use crate::messages::{Conversation, NLM_F_ACK, NLM_F_REQUEST, attribute, attributes, message, word};
use std::net::IpAddr;

const NEW: u16 = 0x10;
const DELETE: u16 = 0x11;
const LIST: u16 = 0x12;
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;

/// Attributes.
const LIFETIME: u16 = 9;
const AEAD: u16 = 18;
const NUMBERS: u16 = 23;

/// `struct xfrm_usersa_info`: its length, and where it has what is read.
const INFO: usize = 224;
const TO: usize = SELECTOR;
const SPI: usize = TO + 16;
const FROM: usize = SPI + 8;
const LIMIT: usize = FROM + 16 + 40;
const LIFETIME_NOW: usize = FROM + 16 + 64;
const MADE: usize = LIFETIME_NOW + 16;
const OWNER: usize = LIFETIME_NOW + 32 + 12 + 4;
const FAMILY: usize = OWNER + 4;

/// Numbers of packets have 64 bits (RFC 4304).
const EXTENDED: u8 = 128;
/// So many numbers behind the highest are still told apart, in words of 32: processors may put packets in another order.
const WINDOW: usize = 32;

/// Of the kernel's own spelling; 16 bytes tell whether a packet is genuine.
const CIPHER: &[u8] = b"rfc4106(gcm(aes))";
const TAG_BITS: u32 = 128;

/// A state that is to be.
pub(super) struct State {
    pub packets: Packets,
    pub from: IpAddr,
    pub spi: u32,
    pub key: [u8; KEY],
    pub epoch: u64,
    /// Seconds since 1970.
    pub end: u64,
    /// Packets up to this number count as received.
    pub seen: u64,
    /// Whose it is (`reqid`).
    pub owner: u32,
}

/// A state that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub from: IpAddr,
    pub to: IpAddr,
    pub spi: u32,
    pub epoch: u64,
    /// Seconds since 1970.
    pub end: u64,
    /// The highest number that was received.
    pub seen: u64,
    pub packets: u64,
}

impl State {
    /// The question that makes it, without its header.
    pub fn body(&self) -> Vec<u8> {
        let made = rank(self.epoch);
        let now = [0, 0, made, 0u64].into_iter().flat_map(u64::to_ne_bytes).collect::<Vec<_>>();
        let mut bytes = self.packets.selector();
        bytes.extend(address(self.packets.to));
        bytes.extend(self.spi.to_be_bytes());
        bytes.extend([ESP, 0, 0, 0]);
        bytes.extend(address(self.from));
        bytes.extend(lifetime(self.end.saturating_sub(made)));
        bytes.extend(&now);
        bytes.resize(OWNER, 0);
        bytes.extend(self.owner.to_ne_bytes());
        bytes.extend(family(self.from).to_ne_bytes());
        // Transport mode, and no window of the old kind.
        bytes.extend([0, 0, EXTENDED]);
        bytes.resize(INFO, 0);
        let parts =
            [attribute(AEAD, &self.cipher()), attribute(NUMBERS, &self.numbers()), attribute(LIFETIME, &now)];
        [bytes, parts.concat()].concat()
    }

    /// `struct xfrm_algo_aead`.
    fn cipher(&self) -> Vec<u8> {
        let mut bytes = CIPHER.to_vec();
        bytes.resize(64, 0);
        bytes.extend((8 * KEY as u32).to_ne_bytes());
        bytes.extend(TAG_BITS.to_ne_bytes());
        bytes.extend(self.key);
        bytes
    }

    /// `struct xfrm_replay_state_esn`: everything up to `seen` was received.
    fn numbers(&self) -> Vec<u8> {
        let [low, high] = [self.seen as u32, (self.seen >> 32) as u32];
        let received = if self.seen == 0 { 0 } else { u32::MAX };
        let head = [WINDOW as u32, 0, low, 0, high, 32 * WINDOW as u32];
        head.into_iter().chain([received; WINDOW]).flat_map(u32::to_ne_bytes).collect()
    }

    pub fn add(&self, kernel: &Conversation) -> sys::Result<()> {
        kernel.ask(&self.message())
    }

    /// The whole question.
    pub fn message(&self) -> Vec<u8> {
        message(NEW, NLM_F_REQUEST | NLM_F_ACK | CREATE | EXCLUSIVE, 1, &self.body())
    }
}

/// Those of one owner.
pub(super) fn list(kernel: &Conversation, owner: u32) -> sys::Result<Vec<Found>> {
    let all = kernel.dump(LIST, &[])?;
    Ok(all.iter().filter(|state| word(state, OWNER) == owner).filter_map(|state| read(state)).collect())
}

fn read(state: &[u8]) -> Option<Found> {
    let v4 = family_at(state, FAMILY)?;
    let parts = attributes(state.get(INFO..)?);
    let numbers = parts.iter().find(|(kind, _)| *kind == NUMBERS).map_or(&[][..], |(_, value)| value);
    Some(Found {
        from: address_at(state, FROM, v4)?,
        to: address_at(state, TO, v4)?,
        spi: word(state, SPI).swap_bytes(),
        epoch: ranked(long(state, MADE)),
        end: long(state, MADE).saturating_add(long(state, LIMIT)),
        seen: u64::from(word(numbers, 16)) << 32 | u64::from(word(numbers, 8)),
        packets: long(state, LIFETIME_NOW + 8),
    })
}

impl Found {
    /// Which key it has.
    pub fn number(&self) -> Number {
        Number { epoch: self.epoch, slot: slot_in(self.spi) }
    }

    /// Nothing happens where it has ended meanwhile.
    pub fn remove(&self, kernel: &Conversation) -> sys::Result<()> {
        let mut body = address(self.to);
        body.extend(self.spi.to_be_bytes());
        body.extend(family(self.to).to_ne_bytes());
        body.extend([ESP, 0]);
        match kernel.ask(&message(DELETE, NLM_F_REQUEST | NLM_F_ACK, 1, &body)) {
            Err(sys::Errno::ESRCH) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_were_written() {
        for (from, to) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            let packets = Packets { from: Some(from), to, port: 24_577 };
            let (epoch, seen, end) = (41_000, 3 << 32 | 7, 41_001 * 43_200);
            let state = State {
                packets,
                from,
                spi: 0xabcd_ef01,
                key: [7; KEY],
                epoch,
                end,
                seen,
                owner: 0x73a1_b2c3,
            };
            let body = state.body();
            assert_eq!(word(&body, OWNER), state.owner);
            assert_eq!(body[FAMILY + 4], EXTENDED);
            let wanted = Found { from, to, spi: state.spi, epoch, end, seen, packets: 0 };
            assert_eq!(read(&body), Some(wanted));
        }
    }
}
