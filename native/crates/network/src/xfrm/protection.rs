//! Bringing the kernel to what an environment needs, and back.

use super::ledger::Ledger;
use super::peer::Peer;
use super::policies::{self, Direction, Policy};
use super::states::Found;
use super::{Calendar, Packets, Secret, guard, open, owner, port, probe, states};
use crate::error::{Attempt, Result};
use crate::messages::Conversation;
use crate::names::Id;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

impl Protection<'_> {
    /// Demands ESP of everything between the hosts, makes the keys that are due, and takes away what is of former peers. Any
    /// number of commands may do this at once. To be done before there is a VXLAN link, and again whenever something happens.
    ///
    /// Returns when the last key of some way will have ended; nothing where there are no peers.
    ///
    /// # Errors
    /// [`lacks_feature`](crate::Error::lacks_feature) where the kernel cannot do it, `EEXIST` where another environment has the port,
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
        let calendar = Calendar::new(self.period);
        for peer in self.peers() {
            peer.receive(&kernel, calendar, &ledger, &found)?;
            peer.send(&kernel, calendar, &mut ledger, &found)?;
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
        self.peers.iter().map(|peer| Peer::new(self, *peer))
    }

    pub(super) fn packets(&self, from: Option<IpAddr>, to: IpAddr) -> Packets {
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
