//! Who may send: the keys of members in the sets of an environment's rules.

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::names::MAX_NUMBER;
use crate::nftables::table::{self, Table};
use crate::nftables::{Batch, Family};
use crate::route::Rtnetlink;
use crate::ruleset;
use std::collections::BTreeSet;
use std::net::IpAddr;
use sys::Errno;

impl Environment {
    /// Lets a member send.
    pub(crate) fn grant(&self, number: u32) -> Result<()> {
        self.change_keys(number, |table, set, key| table.add(set, key))
    }

    /// Lets a member send no more. Nothing happens where it may not.
    pub(crate) fn revoke(&self, number: u32) -> Result<()> {
        match self.change_keys(number, |table, set, key| table.remove(set, key)) {
            Err(Error { errno: Errno::ENOENT, .. }) => Ok(()),
            other => other,
        }
    }

    /// Removes what is left of ended members with these addresses: others have them on other hosts.
    pub fn vacate(&self, addresses: &[IpAddr]) -> Result<()> {
        let number = |address: &IpAddr| {
            let range = self.subnets.iter().find(|subnet| subnet.contains(*address))?;
            u32::try_from(range.number_of(*address)?).ok().filter(|number| *number < MAX_NUMBER)
        };
        let numbers: BTreeSet<u32> = addresses.iter().filter_map(number).collect();
        let host = Rtnetlink::open()?;
        numbers.into_iter().try_for_each(|number| {
            host.remove_link(&self.id.port(number))?;
            self.revoke(number)
        })
    }

    /// The same for members whose links have gone: they may be on another host by now, and come from there.
    pub(crate) fn revoke_absent(&self, host: &Rtnetlink) -> Result<()> {
        let keys = table::elements(Family::Bridge, &self.id.table(), ruleset::LOCAL)?;
        let known: Vec<u32> = keys.iter().filter_map(|key| ruleset::number_of(key)).collect();
        let here = self.numbers(host)?;
        let gone: Vec<u32> = known.into_iter().filter(|number| !here.contains(number)).collect();
        gone.iter().try_for_each(|number| self.revoke(*number))?;
        // One that has come back meanwhile had its link before it got its keys.
        let back = self.numbers(host)?.into_iter().filter(|number| gone.contains(number));
        back.into_iter().try_for_each(|number| self.grant(number))
    }

    /// Of the members that have a link on this host.
    pub(crate) fn numbers(&self, host: &Rtnetlink) -> Result<Vec<u32>> {
        Ok(self.ports(host)?.into_iter().map(|(number, _)| number).collect())
    }

    fn change_keys(&self, number: u32, change: impl Fn(&mut Table<'_>, &str, &[u8])) -> Result<()> {
        let mut batch = Batch::new();
        let name = self.id.table();
        let mut table = Table { batch: &mut batch, family: Family::Bridge, name: &name };
        for (set, key) in ruleset::keys(self, number) {
            change(&mut table, set, &key);
        }
        batch.commit(|| format!("change who may send, in the table {name} of nftables"))
    }
}
