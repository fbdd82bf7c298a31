//! Bringing the kernel to what an environment needs, and back.

use super::epochs::{AHEAD, SLOTS, slots};
use super::keys::Keyring;
use super::ledger::Ledger;
use super::policies::{self, Direction, Policy};
use super::states::Found;
use super::{Calendar, Number, Packets, Secret, State, guard, open, owner, port, probe, states};
use crate::error::{Attempt, Error, Result};
use crate::messages::Conversation;
use crate::names::Id;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use sys::Errno;

/// What of an environment is encrypted on this host.
#[derive(Clone, Debug)]
pub struct Protection<'a> {
    pub id: &'a Id,
    /// This host's address, of the same family as the peers'.
    pub own: IpAddr,
    pub peers: &'a [IpAddr],
    pub secret: &'a Secret,
    /// The folder with the accounts of keys of this host, of which each environment has one. It outlasts restarts and removals.
    pub accounts: &'a Path,
    /// How long an epoch is: [`PERIOD`](super::PERIOD), on all hosts.
    pub period: Duration,
}

/// The same for one peer.
struct Peer<'a> {
    protection: &'a Protection<'a>,
    address: IpAddr,
    sending: Keyring,
    receiving: Keyring,
}

impl Protection<'_> {
    /// Demands ESP of everything between the hosts, makes the keys that are due, and takes away what is of former peers. Any
    /// number of commands may do this at once. To be done before there is a VXLAN link, and again whenever something happens.
    ///
    /// Returns when the last key of some way will have ended; nothing where there are no peers.
    ///
    /// # Errors
    /// [`lacks_feature`](Error::lacks_feature) where the kernel cannot do it, `EEXIST` where another environment has the port,
    /// `ENOKEY` where all keys were used up.
    pub fn protect(&self) -> Result<Option<SystemTime>> {
        let kernel = open()?;
        if self.found(&kernel)?.is_empty() {
            probe(self.own.is_ipv6())?;
        }
        let mut ledger = Ledger::open(self.accounts, self.id)?;
        guard::ensure(self.id, port(self.id))?;
        let former = self.demand(&kernel)?;
        let found = self.keep_own(&kernel)?;
        self.account(&mut ledger, &found)?;
        for peer in self.peers() {
            peer.receive(&kernel, &ledger, &found)?;
            peer.send(&kernel, &mut ledger, &found)?;
        }
        // Last: nothing goes there in clear as long as a link still knows the way.
        former.iter().try_for_each(|policy| policy.remove(&kernel)).attempt(|| "remove a policy of XFRM")?;
        let sending: Vec<_> =
            self.found(&kernel)?.into_iter().filter(|state| state.from == self.own).collect();
        Ok(until(&sending))
    }

    fn found(&self, kernel: &Conversation) -> Result<Vec<Found>> {
        states::list(kernel, owner(self.id)).attempt(|| "list the states of XFRM")
    }

    fn peers(&self) -> impl Iterator<Item = Peer<'_>> {
        self.peers.iter().map(|address| Peer {
            protection: self,
            address: *address,
            sending: Keyring::new(self.secret, self.id, self.own, *address),
            receiving: Keyring::new(self.secret, self.id, *address, self.own),
        })
    }

    fn packets(&self, from: Option<IpAddr>, to: IpAddr) -> Packets {
        Packets { from, to, port: port(self.id) }
    }

    /// Makes the policies that are missing. Returns those that nobody needs any more.
    fn demand(&self, kernel: &Conversation) -> Result<Vec<Policy>> {
        let there = policies::list(kernel, owner(self.id)).attempt(|| "list the policies of XFRM")?;
        let arriving = Policy { direction: Direction::In, packets: self.packets(None, self.own) };
        let leaving = self
            .peers
            .iter()
            .map(|peer| Policy { direction: Direction::Out, packets: self.packets(Some(self.own), *peer) });
        let wanted: Vec<Policy> = std::iter::once(arriving).chain(leaving).collect();
        for policy in wanted.iter().filter(|policy| !there.contains(policy)) {
            policy.add(kernel, owner(self.id)).attempt(|| {
                format!(
                    "demand encryption on the UDP port {}, which only one environment can have",
                    port(self.id)
                )
            })?;
        }
        Ok(there.into_iter().filter(|policy| !wanted.contains(policy)).collect())
    }

    /// Removes states that are not of these hosts and this secret. Returns the others.
    fn keep_own(&self, kernel: &Conversation) -> Result<Vec<Found>> {
        let found = self.found(kernel)?;
        let peers: Vec<_> = self.peers().collect();
        let (ours, strange): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|state| peers.iter().any(|peer| peer.has(state)));
        strange.iter().try_for_each(|state| state.remove(kernel)).attempt(|| "remove a state of XFRM")?;
        Ok(ours)
    }

    /// Notes how far this host has received.
    fn account(&self, ledger: &mut Ledger, found: &[Found]) -> Result<()> {
        ledger.forget_before(Calendar::new(self.period).present().saturating_sub(1));
        if see(ledger, found) { ledger.save() } else { Ok(()) }
    }
}

/// Returns whether something was new.
fn see(ledger: &mut Ledger, found: &[Found]) -> bool {
    found.iter().filter(|state| ledger.see(state.spi, state.epoch, state.seen)).count() > 0
}

impl Peer<'_> {
    fn way(&self, keys: &Keyring, state: &Found) -> bool {
        (0..SLOTS).any(|slot| keys.spi(Number { epoch: state.epoch, slot }) == state.spi)
    }

    fn has(&self, state: &Found) -> bool {
        let own = self.protection.own;
        let sending = (state.from, state.to) == (own, self.address) && self.way(&self.sending, state);
        let receiving = (state.from, state.to) == (self.address, own) && self.way(&self.receiving, state);
        sending || receiving
    }

    /// Makes the states that a peer's packets may come under.
    fn receive(&self, kernel: &Conversation, ledger: &Ledger, found: &[Found]) -> Result<()> {
        let own = self.protection.own;
        let calendar = Calendar::new(self.protection.period);
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
    fn send(&self, kernel: &Conversation, ledger: &mut Ledger, found: &[Found]) -> Result<()> {
        let own = self.protection.own;
        let calendar = Calendar::new(self.protection.period);
        let way = self.sending.tag();
        let there = |epoch: u64| {
            found.iter().any(|state| state.from == own && state.to == self.address && state.epoch == epoch)
        };
        let mut taken = Vec::new();
        let mut ready = 0;
        for epoch in calendar.sending() {
            let slot = ledger.spent(way, epoch);
            if there(epoch) {
                ready += 1;
            } else if slot < slots(ready) {
                ready += 1;
                ledger.spend(way, epoch);
                taken.push(Number { epoch, slot });
            }
        }
        if ready == 0 {
            return Err(self.used_up());
        }
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

/// When the last state of some way ends.
pub(super) fn until(sending: &[Found]) -> Option<SystemTime> {
    let last = |to: IpAddr| sending.iter().filter(|state| state.to == to).map(|state| state.end).max();
    let ends = sending.iter().filter_map(|state| last(state.to));
    ends.min().map(|end| UNIX_EPOCH + Duration::from_secs(end))
}

/// Removes every state and policy of an environment, and its rules; those of others stay. To be done after its VXLAN link has
/// gone. Nothing happens where there is nothing.
pub fn unprotect(id: &Id) -> Result<()> {
    let kernel = match open() {
        // A kernel that has no XFRM has nothing of it.
        Err(error) if error.lacks_feature() => return guard::remove(id),
        kernel => kernel?,
    };
    let found = states::list(&kernel, owner(id)).attempt(|| "list the states of XFRM")?;
    found.iter().try_for_each(|state| state.remove(&kernel)).attempt(|| "remove a state of XFRM")?;
    let policies = policies::list(&kernel, owner(id)).attempt(|| "list the policies of XFRM")?;
    policies.iter().try_for_each(|policy| policy.remove(&kernel)).attempt(|| "remove a policy of XFRM")?;
    guard::remove(id)
}

/// Notes how far this host has received, before [`unprotect`], so that it takes no old packet for a new one if it comes back.
pub fn note(id: &Id, accounts: &Path) -> Result<()> {
    let kernel = match open() {
        Err(error) if error.lacks_feature() => return Ok(()),
        kernel => kernel?,
    };
    let found = states::list(&kernel, owner(id)).attempt(|| "list the states of XFRM")?;
    if found.is_empty() {
        return Ok(());
    }
    let mut ledger = Ledger::open(accounts, id)?;
    if see(&mut ledger, &found) { ledger.save() } else { Ok(()) }
}
