//! What leads from an environment to other hosts: a VXLAN link (RFC 7348) that is a port of the bridge. Each host sends what is for
//! all to every other one, and learns behind which of them a member is from what the member sends.

use crate::environment::Environment;
use crate::error::{Attempt, Error, Result};
use crate::link::Link;
use crate::names::Id;
use crate::nftables::Family;
use crate::nftables::table;
use crate::route::Rtnetlink;
use crate::ruleset::tunnel::{self as rules, Before};
use crate::vxlan::Vxlan;
use crate::xfrm::{self, Secret};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use sys::Errno;

/// The port of UDP that hosts talk through (IANA) where nothing is encrypted.
pub const PORT: u16 = 4789;

/// How an environment goes on to other hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// This host, as the others reach it.
    pub address: IpAddr,
    /// The others. Of the same family.
    pub peers: Vec<IpAddr>,
    /// Whether what goes there is encrypted, and by what.
    pub encryption: Option<Encryption>,
}

/// What hosts need to encrypt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// What only these hosts know.
    pub secret: Secret,
    /// The folder with the accounts of keys of this host.
    pub accounts: PathBuf,
    /// How long a key is for: [`xfrm::PERIOD`], on all hosts.
    pub period: Duration,
}

/// How a tunnel stands on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub link: Link,
    /// This host, as the others reach it.
    pub address: Option<IpAddr>,
    /// Where it sends what is for all.
    pub peers: Vec<IpAddr>,
    /// Where it is encrypted.
    pub encryption: Option<xfrm::Inspection>,
}

impl Tunnel {
    /// The port of UDP that these hosts talk through.
    pub(crate) fn port(&self, id: &Id) -> u16 {
        if self.encryption.is_some() { xfrm::port(id) } else { PORT }
    }

    /// Whether hosts can talk so: all by addresses of one family, and none to itself.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let one = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast();
        let other = |peer: &IpAddr| peer.is_ipv4() == self.address.is_ipv4() && *peer != self.address;
        one(&self.address) && self.peers.iter().all(|peer| one(peer) && other(peer))
    }
}

impl Environment {
    /// Makes what is missing of the environment and its tunnel, and changes what is otherwise. Members that are there keep their
    /// rights; nothing is lost of what goes to hosts that stay.
    ///
    /// # Errors
    /// `EINVAL` when the tunnel is not sound.
    pub fn ensure_with(&self, tunnel: &Tunnel) -> Result<()> {
        if !tunnel.is_sound() {
            return Err(Errno::EINVAL).attempt(|| "use these addresses for a tunnel");
        }
        self.ensure()?;
        self.protect(tunnel)?;
        let host = Rtnetlink::open()?;
        self.revoke_absent(&host)?;
        // Rules first: no frame passes without them.
        self.ensure_tunnel_rules(tunnel)?;
        self.ensure_tunnel_link(&host, tunnel)?;
        // What was encrypted before is not any more.
        if tunnel.encryption.is_none() && xfrm::demands(&self.id)? {
            xfrm::unprotect(&self.id)
        } else {
            Ok(())
        }
    }

    /// Sees to it that nothing goes unencrypted between hosts that have a secret, before there is a link.
    fn protect(&self, tunnel: &Tunnel) -> Result<()> {
        let Some(Encryption { secret, accounts, period }) = &tunnel.encryption else { return Ok(()) };
        let Tunnel { address: own, peers, .. } = tunnel;
        let protection =
            xfrm::Protection { id: &self.id, own: *own, peers, secret, accounts, period: *period };
        protection.protect().map(drop)
    }

    fn ensure_tunnel_rules(&self, tunnel: &Tunnel) -> Result<()> {
        let name = self.id.tunnel_table();
        let attempt = || format!("make the rules of the tunnel, table {name} of nftables");
        if !table::exists(Family::Bridge, &name)? {
            not_made_twice(rules::frames(self).commit(attempt))?;
        }
        let before = match table::has_chain(Family::Inet, &name, rules::from_peers(tunnel))? {
            true => Before::Same,
            false if table::exists(Family::Inet, &name)? => Before::Otherwise,
            false => Before::Nothing,
        };
        match rules::packets(self, tunnel, before).commit(attempt) {
            // Another command was faster.
            Err(Error { errno: Errno::EEXIST, .. }) => {
                rules::packets(self, tunnel, Before::Same).commit(attempt)
            }
            other => other,
        }
    }

    fn ensure_tunnel_link(&self, host: &Rtnetlink, tunnel: &Tunnel) -> Result<()> {
        let name = self.id.tunnel();
        let bridge = host.number_of(&self.id.bridge())?;
        let wanted = Vxlan { address: Some(tunnel.address), port: tunnel.port(&self.id) };
        if host.tunnel(&name)?.is_some_and(|found| found != wanted) {
            host.remove_link(&name)?;
        }
        host.add_tunnel(&name, self.id.number(), wanted)?;
        let link = host.number_of(&name)?;
        host.leave_unaddressed(link)?;
        host.set_mtu(link, self.mtu)?;
        host.flood_to(link, &tunnel.peers)?;
        host.make_port(link, bridge)?;
        host.switch_on(link)
    }

    /// How the tunnel stands; `None` where there is none.
    pub(crate) fn tunnel(&self, host: &Rtnetlink) -> Result<Option<Standing>> {
        let name = self.id.tunnel();
        let (Some(link), Some(found)) = (host.link(&name)?, host.tunnel(&name)?) else { return Ok(None) };
        let peers =
            host.flooded(link.number)?.into_iter().filter(|known| known.for_all).map(|known| known.to);
        let own = found.address.filter(|_| found.port == xfrm::port(&self.id));
        let encryption = own.map(|own| xfrm::inspect(&self.id, own)).transpose()?;
        Ok(Some(Standing { address: found.address, peers: peers.collect(), link, encryption }))
    }

    /// Removes the tunnel; what else there is of the environment stays.
    pub(crate) fn remove_tunnel(&self, host: &Rtnetlink) -> Result<()> {
        host.remove_link(&self.id.tunnel())?;
        // Rules last: no frame passes without them.
        let name = self.id.tunnel_table();
        [Family::Bridge, Family::Inet].into_iter().try_for_each(|family| self.remove_table(family, &name))?;
        xfrm::unprotect(&self.id)
    }
}

/// Another command was faster.
fn not_made_twice(made: Result<()>) -> Result<()> {
    match made {
        Err(Error { errno: Errno::EEXIST, .. }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_talk_by_addresses_of_one_family_and_none_to_itself() {
        let tunnel = |address: &str, peers: &[&str]| Tunnel {
            address: address.parse().expect("an address"),
            peers: peers.iter().map(|peer| peer.parse().expect("an address")).collect(),
            encryption: None,
        };
        for sound in [tunnel("192.0.2.1", &[]), tunnel("192.0.2.1", &["192.0.2.2"]), tunnel("::5", &["::6"])]
        {
            assert!(sound.is_sound());
        }
        let wrong =
            [("192.0.2.1", "192.0.2.1"), ("192.0.2.1", "::1"), ("0.0.0.0", "192.0.2.1"), ("::5", "ff02::1")];
        assert!(wrong.iter().all(|(address, peer)| !tunnel(address, &[peer]).is_sound()));
    }
}
