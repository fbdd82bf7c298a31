//! VXLAN links (ip-link(8)).

use crate::error::{Attempt, Result};
use crate::link::named;
use crate::route::{CREATE, EXCLUSIVE, Rtnetlink, is_there_already};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkInfo, LinkMessage};
use std::net::IpAddr;

/// A VXLAN link that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// Where it sends from.
    pub address: Option<IpAddr>,
    /// The port of UDP that it listens on and sends to.
    pub port: u16,
}

impl Rtnetlink {
    /// Makes a link that learns which host a member is on from what comes from there. It is off, and leads nowhere yet. Returns
    /// whether there was one of that name.
    pub fn add_tunnel(&self, name: &str, number: u32, wanted: Vxlan) -> Result<bool> {
        let from = wanted.address.map(|address| match address {
            IpAddr::V4(v4) => InfoVxlan::Local(v4),
            IpAddr::V6(v6) => InfoVxlan::Local6(v6),
        });
        let mut data = vec![InfoVxlan::Id(number), InfoVxlan::Port(wanted.port), InfoVxlan::Learning(true)];
        data.extend(from);
        let mut wanted = named(name);
        wanted.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Vxlan),
            LinkInfo::Data(InfoData::Vxlan(data)),
        ]));
        is_there_already(self.change(libc::RTM_NEWLINK, CREATE | EXCLUSIVE, &wanted))
            .attempt(|| format!("make the tunnel {name}"))
    }

    /// The VXLAN link of that name.
    pub fn tunnel(&self, name: &str) -> Result<Option<Vxlan>> {
        let found: Option<LinkMessage> =
            self.get(libc::RTM_GETLINK, &named(name)).attempt(|| format!("look for the tunnel {name}"))?;
        Ok(found.as_ref().and_then(describe))
    }
}

fn describe(found: &LinkMessage) -> Option<Vxlan> {
    let infos = found.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    })?;
    let data = infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vxlan(data)) => Some(data),
        _ => None,
    })?;
    let address = data.iter().find_map(|part| match part {
        InfoVxlan::Local(v4) => Some(IpAddr::V4(*v4)),
        InfoVxlan::Local6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    });
    let port = data.iter().find_map(|part| match part {
        InfoVxlan::Port(port) => Some(*port),
        _ => None,
    });
    Some(Vxlan { address, port: port? })
}
