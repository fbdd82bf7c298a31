//! Addresses and routes, and the conversation with rtnetlink(7) that all of these go through.

use crate::error::{Attempt, Result};
use crate::messages::{Conversation, NLM_F_ACK, NLM_F_REQUEST, message};
use crate::subnet::Subnet;
use netlink_packet_core::{Emitable, Parseable};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use sys::Errno;

pub(crate) const CREATE: u16 = 0x400;
pub(crate) const EXCLUSIVE: u16 = 0x200;
pub(crate) const REPLACE: u16 = 0x100;
pub(crate) const APPEND: u16 = 0x800;

/// The links, addresses and routes of one network namespace.
#[derive(Debug)]
pub struct Rtnetlink(Conversation);

/// A way that the kernel's main table knows to a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub to: Subnet,
    /// Number of the link.
    pub link: Option<u32>,
}

impl Rtnetlink {
    /// Of the caller's namespace.
    pub fn open() -> Result<Self> {
        Conversation::open(libc::NETLINK_ROUTE).map(Self).attempt(|| "talk to the kernel about networks")
    }

    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Self> {
        Conversation::open_in(namespace, libc::NETLINK_ROUTE)
            .map(Self)
            .attempt(|| "talk to the kernel about a network namespace")
    }

    /// Sends one change and waits until it is made.
    pub(crate) fn change(&self, kind: u16, flags: u16, body: &impl Emitable) -> sys::Result<()> {
        self.0.ask(&message(kind, NLM_F_REQUEST | NLM_F_ACK | flags, 1, &bytes(body)))
    }

    /// Everything of one kind, as far as it can be understood.
    pub(crate) fn dump<M: Parseable<[u8]>>(&self, kind: u16, body: &impl Emitable) -> sys::Result<Vec<M>> {
        let answers = self.0.dump(kind, &bytes(body))?;
        Ok(answers.iter().filter_map(|answer| M::parse(answer).ok()).collect())
    }

    /// The one thing that `body` names; `None` where there is none of that name.
    pub(crate) fn get<M: Parseable<[u8]>>(&self, kind: u16, body: &impl Emitable) -> sys::Result<Option<M>> {
        match self.0.get(kind, &bytes(body)) {
            Ok(answer) => M::parse(&answer).map(Some).map_err(|_| Errno(libc::EBADMSG)),
            Err(Errno(libc::ENODEV)) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Gives a link an address; it is there already when that is not an error. IPv6 does not ask others whether they
    /// have it.
    pub fn add_address(&self, link: u32, address: IpAddr, length: u8) -> Result<()> {
        let mut wanted = AddressMessage::default();
        wanted.header.family = family(address);
        wanted.header.prefix_len = length;
        wanted.header.index = link;
        wanted.header.scope = AddressScope::Universe;
        wanted.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
        if address.is_ipv6() {
            wanted.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        self.change(libc::RTM_NEWADDR, CREATE | REPLACE, &wanted)
            .attempt(|| format!("give the address {address}/{length} to a link"))
    }

    /// Sends what goes to `to` straight out of a link, from the address `from` where nothing else is asked for.
    pub fn add_route(&self, link: u32, to: Subnet, from: Option<IpAddr>) -> Result<()> {
        let mut wanted = route(to, RouteScope::Link);
        wanted.attributes.push(RouteAttribute::Oif(link));
        wanted.attributes.extend(from.map(|from| RouteAttribute::PrefSource(spell(from))));
        self.change(libc::RTM_NEWROUTE, CREATE | REPLACE, &wanted).attempt(|| format!("route {to} to a link"))
    }

    /// Sends everything that no other route is for to `gateway`, which the link reaches.
    pub fn add_default_route(&self, link: u32, gateway: IpAddr) -> Result<()> {
        let nowhere: IpAddr = if gateway.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let to = Subnet::new(nowhere, 0).expect("a prefix without bits");
        let mut wanted = route(to, RouteScope::Universe);
        wanted.attributes = vec![RouteAttribute::Oif(link), RouteAttribute::Gateway(spell(gateway))];
        self.change(libc::RTM_NEWROUTE, CREATE | REPLACE, &wanted)
            .attempt(|| format!("make {gateway} the default route"))
    }

    /// Every route of the main table but default ones.
    pub fn routes(&self) -> Result<Vec<Way>> {
        let attempt = || "list the routes of this host";
        let mut list = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RouteMessage::default();
            question.header.address_family = family;
            let found: Vec<RouteMessage> = self.dump(libc::RTM_GETROUTE, &question).attempt(attempt)?;
            list.extend(found.iter().filter(|found| is_plain(found)).filter_map(way));
        }
        Ok(list)
    }
}

fn bytes(body: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; body.buffer_len()];
    body.emit(&mut bytes);
    bytes
}

fn route(to: Subnet, scope: RouteScope) -> RouteMessage {
    let mut wanted = RouteMessage::default();
    wanted.header.address_family = family(to.network());
    wanted.header.destination_prefix_length = to.length();
    wanted.header.table = RouteHeader::RT_TABLE_MAIN;
    wanted.header.protocol = RouteProtocol::Static;
    wanted.header.scope = scope;
    wanted.header.kind = RouteType::Unicast;
    wanted.attributes = vec![RouteAttribute::Destination(spell(to.network()))];
    wanted
}

fn is_plain(found: &RouteMessage) -> bool {
    let header = &found.header;
    let main = header.table == RouteHeader::RT_TABLE_MAIN && header.kind == RouteType::Unicast;
    main && header.destination_prefix_length > 0
}

fn way(found: &RouteMessage) -> Option<Way> {
    let mut destination = None;
    let mut link = None;
    for attribute in &found.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => destination = Some(IpAddr::V4(*v4)),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => destination = Some(IpAddr::V6(*v6)),
            RouteAttribute::Oif(number) => link = Some(*number),
            _ => {}
        }
    }
    Some(Way { to: Subnet::new(destination?, found.header.destination_prefix_length)?, link })
}

fn spell(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// Whether a failure says only that what was to be made is there.
pub(crate) fn is_there_already(result: sys::Result<()>) -> sys::Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(Errno::EEXIST) => Ok(true),
        Err(errno) => Err(errno),
    }
}
