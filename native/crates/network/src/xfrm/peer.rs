//! The states between this host and one other.

use super::epochs::{AHEAD, SLOTS, slots};
use super::keys::Keyring;
use super::ledger::Ledger;
use super::states::Found;
use super::{Calendar, Number, Protection, State, owner};
use crate::error::{Attempt, Error, Result};
use crate::messages::Conversation;
use std::net::IpAddr;
use sys::Errno;

/// Another host, and the keys of both ways.
pub(super) struct Peer<'a> {
    protection: &'a Protection<'a>,
    address: IpAddr,
    sending: Keyring,
    receiving: Keyring,
}

impl<'a> Peer<'a> {
    pub fn new(protection: &'a Protection<'a>, address: IpAddr) -> Self {
        let Protection { id, own, secret, .. } = *protection;
        let sending = Keyring::new(secret, id, own, address);
        let receiving = Keyring::new(secret, id, address, own);
        Self { protection, address, sending, receiving }
    }

    fn way(&self, keys: &Keyring, state: &Found) -> bool {
        (0..SLOTS).any(|slot| keys.spi(Number { epoch: state.epoch, slot }) == state.spi)
    }

    /// Whether a state is for one of the two ways.
    pub fn has(&self, state: &Found) -> bool {
        let own = self.protection.own;
        let sending = (state.from, state.to) == (own, self.address) && self.way(&self.sending, state);
        let receiving = (state.from, state.to) == (self.address, own) && self.way(&self.receiving, state);
        sending || receiving
    }

    /// Makes the states that a peer's packets may come under.
    pub fn receive(
        &self,
        kernel: &Conversation,
        calendar: Calendar,
        ledger: &Ledger,
        found: &[Found],
    ) -> Result<()> {
        let own = self.protection.own;
        for epoch in calendar.receiving() {
            for number in (0..SLOTS).map(|slot| Number { epoch, slot }) {
                let spi = self.receiving.spi(number);
                if found.iter().any(|state| (state.to, state.spi, state.epoch) == (own, spi, epoch)) {
                    continue;
                }
                let end = calendar.end_of_receiving(epoch);
                let seen = ledger.seen(spi, epoch);
                let state = self.state(&self.receiving, number, self.address, own);
                self.add(kernel, &State { end, seen, ..state })?;
            }
        }
        Ok(())
    }

    /// Makes the states that packets to a peer go under, each with a key that was never used.
    pub fn send(
        &self,
        kernel: &Conversation,
        calendar: Calendar,
        ledger: &mut Ledger,
        found: &[Found],
    ) -> Result<()> {
        let own = self.protection.own;
        let sending = found.iter().filter(|state| (state.from, state.to) == (own, self.address));
        let sending: Vec<Number> = sending.map(Found::number).collect();
        let taken = self.take(calendar, ledger, &sending)?;
        // On disk before the kernel may use any of them.
        if !taken.is_empty() {
            ledger.save()?;
        }
        for number in taken {
            let end = calendar.end(number.epoch);
            let state = self.state(&self.sending, number, own, self.address);
            self.add(kernel, &State { end, ..state })?;
        }
        Ok(())
    }

    /// Takes a slot of each epoch that there is no state for; of some there may be none left.
    fn take(&self, calendar: Calendar, ledger: &mut Ledger, there: &[Number]) -> Result<Vec<Number>> {
        let way = self.sending.tag();
        // The kernel's word counts where the account was lost.
        there.iter().for_each(|number| ledger.know(way, *number));
        let mut taken = Vec::new();
        let mut ready = 0;
        for epoch in calendar.sending() {
            let slot = ledger.spent(way, epoch);
            if there.iter().any(|number| number.epoch == epoch) {
                ready += 1;
            } else if slot < slots(ready) {
                ready += 1;
                let number = Number { epoch, slot };
                ledger.know(way, number);
                taken.push(number);
            }
        }
        if ready == 0 { Err(self.used_up()) } else { Ok(taken) }
    }

    fn state(&self, keys: &Keyring, number: Number, from: IpAddr, to: IpAddr) -> State {
        State {
            packets: self.protection.packets(Some(from), to),
            from,
            spi: keys.spi(number),
            key: keys.key(number),
            epoch: number.epoch,
            end: 0,
            seen: 0,
            owner: owner(self.protection.id),
        }
    }

    fn add(&self, kernel: &Conversation, state: &State) -> Result<()> {
        state.add(kernel).attempt(|| {
            format!("make the state {:#010x} of XFRM, between this host and {}", state.spi, self.address)
        })
    }

    fn used_up(&self) -> Error {
        let days = self.protection.period.as_secs() * (AHEAD + 1) / (24 * 60 * 60);
        let attempt = format!(
            "find a key for packets to {} that was never used: this host began anew too often within {days} days",
            self.address
        );
        Error { attempt, errno: Errno(libc::ENOKEY) }
    }
}
