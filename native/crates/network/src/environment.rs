//! An environment on this host: its bridge, this host's place in it, and its rules.

use crate::error::{Attempt, Error, Result};
use crate::link::{Link, Traffic};
use crate::names::{self, Id, MAX_NUMBER};
use crate::nftables::table::{self, Count, Table};
use crate::nftables::{Batch, Family};
use crate::route::Rtnetlink;
use crate::ruleset;
use crate::subnet::Subnet;
use crate::tunnel::Standing;
use crate::xfrm;
use std::net::{IpAddr, Ipv6Addr};
use sys::Errno;

/// What an environment is, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    pub id: Id,
    /// Where its members' addresses are from: one range of each family at most.
    pub subnets: Vec<Subnet>,
    /// Whether members may reach what is not of the environment, by this host's address.
    pub outside: bool,
    /// The longest packet that members send, in bytes.
    pub mtu: u32,
    /// Whether this host has no way into it: another environment can have the same ranges.
    pub apart: bool,
}

/// The longest packet of an environment that is on one host only.
pub const MTU: u32 = 1500;

/// A range of the environment that this host reaches by other means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub subnet: Subnet,
    pub route: Subnet,
    /// The name of the link that the route leads to.
    pub link: Option<String>,
}

/// How an environment stands on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Whether the bridge and all tables are there.
    pub present: bool,
    /// The bridge, counted as this host sees it.
    pub bridge: Option<Link>,
    /// The members' links, by number. What a link receives, its member has sent.
    pub ports: Vec<(u32, Link)>,
    /// What leads to other hosts.
    pub tunnel: Option<Standing>,
    /// What the rules have stopped. A name may be there twice.
    pub stopped: Vec<Count>,
}

impl Inspection {
    /// What all members together have sent and received.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.ports.iter().fold(Traffic::default(), |sum, (_, port)| Traffic {
            received_packets: sum.received_packets + port.traffic.received_packets,
            received_bytes: sum.received_bytes + port.traffic.received_bytes,
            sent_packets: sum.sent_packets + port.traffic.sent_packets,
            sent_bytes: sum.sent_bytes + port.traffic.sent_bytes,
        })
    }
}

impl Environment {
    /// Makes what is missing of the bridge, the routes and the rules. Members that are there keep their rights. Any number of
    /// commands may do this at once.
    pub fn ensure(&self) -> Result<()> {
        let host = Rtnetlink::open()?;
        // Rules first: no frame passes without them.
        self.ensure_frame_rules(&host)?;
        self.ensure_packet_rules()?;
        self.ensure_bridge(&host)?;
        if self.outside { forward_ipv4() } else { Ok(()) }
    }

    fn ensure_frame_rules(&self, host: &Rtnetlink) -> Result<()> {
        let name = self.id.table();
        if table::has_chain(Family::Bridge, &name, ruleset::ARRIVING)? {
            return Ok(());
        }
        // Rules of a version that knew no other hosts are replaced.
        let anew = table::exists(Family::Bridge, &name)?;
        made(ruleset::frames(self, &self.numbers(host)?, anew), &name)
    }

    fn ensure_packet_rules(&self) -> Result<()> {
        let name = self.id.table();
        if table::exists(Family::Inet, &name)? { Ok(()) } else { made(ruleset::packets(self), &name) }
    }

    fn ensure_bridge(&self, host: &Rtnetlink) -> Result<()> {
        let name = self.id.bridge();
        host.add_bridge(&name, names::HOST_MAC)?;
        let bridge = host.number_of(&name)?;
        host.leave_unaddressed(bridge)?;
        host.switch_on(bridge)?;
        if self.apart {
            return Ok(());
        }
        for subnet in &self.subnets {
            let here = names::host(subnet.network());
            host.add_address(bridge, here, if here.is_ipv4() { 32 } else { 128 })?;
            host.add_route(bridge, *subnet, Some(here))?;
        }
        Ok(())
    }

    /// Lets this host pass on what is for a port that it publishes. Its own loopback addresses lead there, too: what members
    /// send to those is dropped by the rules of the environment, as what they send to any other address of this host.
    pub(crate) fn let_outside_in(&self) -> Result<()> {
        let file = format!("/proc/sys/net/ipv4/conf/{}/route_localnet", self.id.bridge());
        switch_on(&file, "let the loopback addresses of this host lead to members (route_localnet)")?;
        forward_ipv4()
    }

    /// Removes everything of the environment from this host; members that are there lose their links. Nothing happens where
    /// there is nothing.
    pub fn remove(&self) -> Result<()> {
        let host = Rtnetlink::open()?;
        for (_, port) in self.ports(&host)? {
            host.remove_link(&port.name)?;
        }
        self.remove_tunnel(&host)?;
        host.remove_link(&self.id.bridge())?;
        // Rules last: no frame passes without them.
        let name = self.id.table();
        [Family::Bridge, Family::Inet].into_iter().try_for_each(|family| self.remove_table(family, &name))
    }

    pub(crate) fn remove_table(&self, family: Family, name: &str) -> Result<()> {
        let mut batch = Batch::new();
        Table { batch: &mut batch, family, name }.delete();
        match batch.commit(|| format!("remove the rules of the environment, table {name} of nftables")) {
            Err(Error { errno: Errno::ENOENT, .. }) => Ok(()),
            other => other,
        }
    }

    pub fn inspect(&self) -> Result<Inspection> {
        let host = Rtnetlink::open()?;
        let bridge = host.link(&self.id.bridge())?;
        let tunnel = self.tunnel(&host)?;
        let mut present = bridge.is_some();
        let mut stopped = Vec::new();
        let own = [Family::Bridge, Family::Inet].map(|family| (family, self.id.table()));
        let beyond = [Family::Bridge, Family::Inet].map(|family| (family, self.id.tunnel_table()));
        for (family, name) in own.into_iter().chain(beyond.into_iter().filter(|_| tunnel.is_some())) {
            present &= table::exists(family, &name)?;
            stopped.extend(table::counts(family, &name)?);
        }
        if let Some(seen) = tunnel.as_ref().and_then(|tunnel| tunnel.encryption.as_ref()) {
            present &= seen.present;
            stopped.push(Count { name: xfrm::CLEAR.to_owned(), packets: seen.clear, bytes: 0 });
        }
        Ok(Inspection { present, bridge, ports: self.ports(&host)?, tunnel, stopped })
    }

    /// A route of this host into one of the ranges that is not the environment's own.
    pub fn conflict(&self) -> Result<Option<Conflict>> {
        if self.apart {
            return Ok(None);
        }
        let host = Rtnetlink::open()?;
        let own = host.link(&self.id.bridge())?.map(|bridge| bridge.number);
        for way in host.routes()? {
            let taken = self.subnets.iter().find(|subnet| subnet.overlaps(&way.to));
            if let (Some(subnet), true) = (taken, own.is_none() || way.link != own) {
                let links = host.links()?.into_iter();
                let link = links.filter(|link| Some(link.number) == way.link).map(|link| link.name).next();
                return Ok(Some(Conflict { subnet: *subnet, route: way.to, link }));
            }
        }
        Ok(None)
    }

    /// The addresses of the member with that number.
    #[must_use]
    pub fn addresses_of(&self, number: u32) -> Vec<IpAddr> {
        self.subnets.iter().filter_map(|subnet| nth(subnet, number)).collect()
    }

    /// The links of members on this host, by number.
    pub(crate) fn ports(&self, host: &Rtnetlink) -> Result<Vec<(u32, Link)>> {
        let Some(bridge) = host.link(&self.id.bridge())? else { return Ok(Vec::new()) };
        let prefix = self.id.port_prefix();
        let number = |link: &Link| {
            let digits = link.name.strip_prefix(&prefix)?;
            u32::from_str_radix(digits, 16).ok().filter(|number| *number < MAX_NUMBER)
        };
        let links = host.ports(bridge.number)?.into_iter();
        let mut ports: Vec<_> = links.filter_map(|link| Some((number(&link)?, link))).collect();
        ports.sort_by_key(|(number, _)| *number);
        Ok(ports)
    }
}

/// Commits new rules; another command may have been faster.
fn made(rules: Batch, name: &str) -> Result<()> {
    match rules.commit(|| format!("make the rules of the environment, table {name} of nftables")) {
        Err(Error { errno: Errno::EEXIST, .. }) => Ok(()),
        other => other,
    }
}

fn nth(subnet: &Subnet, number: u32) -> Option<IpAddr> {
    let address = match subnet.network() {
        IpAddr::V4(first) => IpAddr::V4(u32::from(first).checked_add(number)?.into()),
        IpAddr::V6(first) => IpAddr::V6(Ipv6Addr::from(u128::from(first).checked_add(number.into())?)),
    };
    subnet.contains(address).then_some(address)
}

/// Lets this host pass packets on. For IPv6 that is left to whoever runs the host: it would stop listening to routers.
fn forward_ipv4() -> Result<()> {
    switch_on("/proc/sys/net/ipv4/ip_forward", "let this host forward packets (net.ipv4.ip_forward)")
}

fn switch_on(file: &str, attempt: &str) -> Result<()> {
    let now = std::fs::read_to_string(file).map_err(Errno::from).attempt(|| attempt)?;
    if now.trim() == "1" {
        return Ok(());
    }
    std::fs::write(file, "1").map_err(Errno::from).attempt(|| attempt)
}
