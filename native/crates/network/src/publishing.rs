//! Ports of this host that lead to members: destination NAT, for as long as somebody holds the port.
//!
//! Each has a table of nftables that belongs to a netlink socket (`NFT_TABLE_F_OWNER`). The table's name is the host's port, so
//! that the kernel gives it to one member only; and the kernel removes it with the last duplicate of the socket, whichever way
//! those end who had them. Nothing has to be swept.

use crate::error::{Attempt, Error, Result};
use crate::member::Member;
use crate::messages::Conversation;
use crate::names;
use crate::nftables::expression::{
    FIRST, Header, Meta, SECOND, Tracking, and, destination_kind, differs, equals, immediate, masquerade,
    meta, payload, tracking, translate,
};
use crate::nftables::table::{Hook, OUTPUT, POSTROUTING, PREROUTING, Table, exists};
use crate::nftables::{Batch, Family};
use crate::ruleset::TRANSLATED;
use crate::subnet::octets;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use sys::Errno;

/// Where a port is looked for when any will do: below those that the kernel gives to connections (ip_local_port_range).
const ANY: RangeInclusive<u16> = 20_000..=32_767;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl Protocol {
    fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// A port of this host that leads to one of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub protocol: Protocol,
    pub host: u16,
    pub member: u16,
}

impl Published {
    fn table(&self) -> String {
        format!("stasis-{}-{}", self.protocol, self.host)
    }
}

/// Lets a port of this host lead to a member, for as long as the socket or a duplicate of it is open.
///
/// # Errors
/// `EADDRINUSE` when a program of this host has the port; `EEXIST` when it leads to a member already.
pub fn publish(member: &Member, port: Published) -> Result<OwnedFd> {
    let attempt = || format!("publish {} port {} of this host", port.protocol, port.host);
    require_free(port).attempt(attempt)?;
    let owner = Conversation::open(libc::NETLINK_NETFILTER).attempt(attempt)?;
    rules(member, port).commit_through(&owner, attempt).map_err(|error| held_by_another(port, error))?;
    member.environment().let_outside_in()?;
    Ok(owner.into())
}

/// The same with the first port of this host that is free; returns which.
///
/// # Errors
/// `EADDRINUSE` when none is.
pub fn publish_any(member: &Member, protocol: Protocol, at: u16) -> Result<(u16, OwnedFd)> {
    for host in ANY {
        match publish(member, Published { protocol, host, member: at }) {
            Ok(owner) => return Ok((host, owner)),
            Err(error) if error.port_taken().is_some() => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno(libc::EADDRINUSE)).attempt(|| format!("find a free {protocol} port of this host"))
}

/// The kernel says of a table that belongs to another socket that this one may not touch it.
fn held_by_another(port: Published, error: Error) -> Error {
    match exists(Family::Inet, &port.table()) {
        Ok(true) if error.errno == Errno::EPERM => Error { errno: Errno::EEXIST, ..error },
        _ => error,
    }
}

/// A listener of this host would hear nothing any more.
fn require_free(port: Published) -> sys::Result<()> {
    for address in [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
        let bound = match port.protocol {
            Protocol::Tcp => TcpListener::bind((address, port.host)).map(drop),
            Protocol::Udp => UdpSocket::bind((address, port.host)).map(drop),
        };
        match bound.map_err(Errno::from) {
            // A host without one of the families has nobody there.
            Ok(()) | Err(Errno(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn rules(member: &Member, port: Published) -> Batch {
    const DESTINATION: i32 = -100;
    const SOURCE: i32 = 100;
    let mut batch = Batch::new();
    let name = port.table();
    let mut table = Table { batch: &mut batch, family: Family::Inet, name: &name };
    table.create_owned();
    let chains = [
        ("from_outside", PREROUTING, DESTINATION),
        ("from_host", OUTPUT, DESTINATION),
        ("as_host", POSTROUTING, SOURCE),
    ];
    for (chain, number, priority) in chains {
        table.chain(chain, Hook { number, priority, kind: "nat" });
    }
    let bridge = [member.environment().id.bridge().as_bytes(), &[0]].concat();
    for address in member.addresses() {
        let inwards = [asked_for(address, port), leads_to(address, port)].concat();
        // What members send is for their own environment.
        let outsider = vec![meta(Meta::InputLink, FIRST), differs(names::LINK_PREFIX.as_bytes())];
        table.rule("from_outside", &[outsider, inwards.clone()].concat());
        table.rule("from_host", &[except_loopback_v6(address), inwards].concat());
        table.rule("as_host", &by_way_of(&bridge, address, port));
    }
    batch
}

fn family(address: IpAddr) -> Vec<Vec<u8>> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    vec![meta(Meta::NetworkFamily, FIRST), equals(&[family as u8])]
}

fn to_port(protocol: Protocol, number: u16) -> Vec<Vec<u8>> {
    vec![
        meta(Meta::Transport, FIRST),
        equals(&[protocol.number()]),
        payload(Header::Transport, 2, 2, FIRST),
        equals(&number.to_be_bytes()),
    ]
}

/// To an address of this host, whichever it is.
fn asked_for(address: IpAddr, port: Published) -> Vec<Vec<u8>> {
    let local = vec![destination_kind(FIRST), equals(&u32::from(libc::RTN_LOCAL).to_ne_bytes())];
    [family(address), to_port(port.protocol, port.host), local].concat()
}

/// Packets to `::1` cannot leave by another link; a program that tries it first shall be refused at once.
fn except_loopback_v6(address: IpAddr) -> Vec<Vec<u8>> {
    if address.is_ipv4() {
        return Vec::new();
    }
    let mut parts = family(address);
    parts.extend([payload(Header::Network, 24, 16, FIRST), differs(&Ipv6Addr::LOCALHOST.octets())]);
    parts
}

fn leads_to(address: IpAddr, port: Published) -> Vec<Vec<u8>> {
    vec![
        immediate(&octets(address), FIRST),
        immediate(&port.member.to_be_bytes(), SECOND),
        translate(address.is_ipv4(), FIRST, SECOND),
    ]
}

/// Members see this host as the peer: they know no way to anybody else, and loopback addresses mean themselves.
fn by_way_of(bridge: &[u8], address: IpAddr, port: Published) -> Vec<Vec<u8>> {
    let (at, length) = if address.is_ipv4() { (16, 4) } else { (24, 16) };
    let mut parts = family(address);
    parts.extend([meta(Meta::OutputLink, FIRST), equals(bridge)]);
    parts.extend([payload(Header::Network, at, length, FIRST), equals(&octets(address))]);
    parts.extend(to_port(port.protocol, port.member));
    parts.extend([tracking(Tracking::Status, FIRST), and(&TRANSLATED.to_ne_bytes()), differs(&[0; 4])]);
    parts.push(masquerade());
    parts
}
