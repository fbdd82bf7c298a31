//! Which way frames go: what bridges and tunnels know of link-layer addresses (bridge(8), `fdb`).

use crate::error::{Attempt, Result};
use crate::names::Mac;
use crate::route::{APPEND, CREATE, REPLACE, Rtnetlink};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use std::net::IpAddr;
use sys::Errno;

/// Stands for every address that a tunnel knows nothing of.
const ALL: Mac = [0; 6];

/// Where a tunnel sends what is for a link-layer address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub mac: Mac,
    pub to: IpAddr,
    /// Whether it gets what is for all, and for those that nothing is known of.
    pub for_all: bool,
}

impl Rtnetlink {
    /// Tells a bridge once and for all behind which of its ports `mac` is: no frame that comes by another one changes that.
    pub fn add_forwarding(&self, port: u32, mac: Mac) -> Result<()> {
        let mut wanted = entry(port, mac);
        // Permanent entries belong to the host itself: frames to them would go up the stack.
        wanted.header.state = NeighbourState::Noarp;
        wanted.header.flags = NeighbourFlags::Controller | NeighbourFlags::Sticky;
        self.change(libc::RTM_NEWNEIGH, CREATE | REPLACE, &wanted)
            .attempt(|| "tell a bridge where a member is")
    }

    /// Takes that back. Nothing happens where a bridge does not know it.
    pub fn remove_forwarding(&self, port: u32, mac: Mac) -> Result<()> {
        let mut unwanted = entry(port, mac);
        unwanted.header.flags = NeighbourFlags::Controller;
        match self.change(libc::RTM_DELNEIGH, 0, &unwanted) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno).attempt(|| "forget where a member is"),
        }
    }

    /// Lets a tunnel send what is for all to these hosts, and forget everything that it knows of others.
    pub fn flood_to(&self, tunnel: u32, peers: &[IpAddr]) -> Result<()> {
        let known = self.flooded(tunnel)?;
        for gone in known.iter().filter(|known| !peers.contains(&known.to)) {
            let mut unwanted = towards(tunnel, gone.mac, gone.to);
            unwanted.header.flags = NeighbourFlags::Own;
            match self.change(libc::RTM_DELNEIGH, 0, &unwanted) {
                // What was learned vanishes by itself, too.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno).attempt(|| format!("forget the host {}", gone.to)),
            }
        }
        let is_known = |peer: &IpAddr| known.iter().any(|known| known.for_all && known.to == *peer);
        for peer in peers.iter().filter(|peer| !is_known(peer)) {
            let mut wanted = towards(tunnel, ALL, *peer);
            wanted.header.state = NeighbourState::Permanent;
            self.change(libc::RTM_NEWNEIGH, CREATE | APPEND, &wanted)
                .attempt(|| format!("send to the host {peer}"))?;
        }
        Ok(())
    }

    /// What a tunnel knows of other hosts.
    pub fn flooded(&self, tunnel: u32) -> Result<Vec<Known>> {
        // By the header of a link the kernel picks out what one link knows.
        let mut question = LinkMessage::default();
        question.header.interface_family = AddressFamily::Bridge;
        question.header.index = tunnel;
        let found: Vec<NeighbourMessage> =
            self.dump(libc::RTM_GETNEIGH, &question).attempt(|| "list where a tunnel leads to")?;
        Ok(found.iter().filter(|found| found.header.ifindex == tunnel).filter_map(known).collect())
    }
}

fn entry(link: u32, mac: Mac) -> NeighbourMessage {
    let mut entry = NeighbourMessage::default();
    entry.header.family = AddressFamily::Bridge;
    entry.header.ifindex = link;
    entry.attributes = vec![NeighbourAttribute::LinkLayerAddress(mac.to_vec())];
    entry
}

fn towards(tunnel: u32, mac: Mac, to: IpAddr) -> NeighbourMessage {
    let mut entry = entry(tunnel, mac);
    entry.header.flags = NeighbourFlags::Own;
    entry.attributes.push(NeighbourAttribute::Destination(to.into()));
    entry
}

fn known(found: &NeighbourMessage) -> Option<Known> {
    let mut mac = None;
    let mut to = None;
    for attribute in &found.attributes {
        match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            // The family of the message does not tell which kind of address it is.
            NeighbourAttribute::Destination(NeighbourAddress::Other(bytes)) => to = address(bytes),
            _ => {}
        }
    }
    let mac = mac?;
    Some(Known { mac, to: to?, for_all: mac == ALL })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
