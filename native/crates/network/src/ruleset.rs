//! The rules of one environment: who may send what, and to whom.
//!
//! The table of the family `bridge` sees every frame that a member sends, before anything else does: its link, its link-layer
//! address and its address must belong together, and nothing but ARP, IPv4 and IPv6 passes. The table of the family `inet` sees
//! what goes to this host itself, or through it.

use crate::environment::Environment;
use crate::names::{self, Mac};
use crate::nftables::expression::{
    FIRST, Header, Meta, Tracking, accept, and, count, differs, drop, equals, lookup, masquerade, meta,
    payload, register, tracking,
};
use crate::nftables::table::{FORWARD, Field, Hook, INPUT, POSTROUTING, PREROUTING, Table};
use crate::nftables::{Batch, Family};
use crate::subnet::{Subnet, octets};
use std::net::{IpAddr, Ipv6Addr};

/// Frames of members that said to come from somebody else, or were of a kind that nobody needs.
pub const SPOOFED: &str = "spoofed";
/// Packets of members to this host.
pub const HOST: &str = "host";
/// Packets of members to the outside or another environment, and from there to members.
pub const OUTSIDE: &str = "outside";

/// Of the connection's status: its destination is another than its peer asked for (`IPS_DST_NAT`).
pub(crate) const TRANSLATED: u32 = 1 << 5;

/// Keys: link, link-layer address, address.
const MEMBERS_V4: &str = "members_v4";
const MEMBERS_V6: &str = "members_v6";
const NUMBER_V4: u32 = 1;
const NUMBER_V6: u32 = 2;

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

type Rule = Vec<Vec<u8>>;

fn rule(parts: impl IntoIterator<Item = Rule>) -> Rule {
    parts.into_iter().flatten().collect()
}

fn is(load: Vec<u8>, value: &[u8]) -> Rule {
    vec![load, equals(value)]
}

/// By the bytes of the frame itself: what else tells its type does not see the tag of a virtual LAN.
fn frame(kind: u16) -> Rule {
    is(payload(Header::Link, 12, 2, FIRST), &kind.to_be_bytes())
}

fn transport(protocol: u8) -> Rule {
    is(meta(Meta::Transport, FIRST), &[protocol])
}

/// The first byte behind the network header: the type of an ICMP message.
fn message(kind: u8) -> Rule {
    is(payload(Header::Transport, 0, 1, FIRST), &[kind])
}

/// Loads a member's key: the link that a frame came by, the sender of the frame, and what `address` loads.
fn sender(address: Vec<u8>) -> Rule {
    vec![meta(Meta::InputLink, FIRST), payload(Header::Link, 6, 6, register(16)), address]
}

fn within(load: Vec<u8>, range: &Subnet) -> Rule {
    vec![load, and(&range.mask_bytes()), equals(&octets(range.network()))]
}

fn stop(counter: &str) -> Rule {
    vec![count(counter), drop()]
}

/// A member's keys: the set that each belongs to.
pub fn keys(environment: &Environment, number: u32) -> Vec<(&'static str, Vec<u8>)> {
    let port = environment.id.port(number);
    let mac = names::member_mac(number);
    let mut addresses = environment.addresses_of(number);
    if addresses.iter().any(IpAddr::is_ipv6) {
        addresses.push(names::link_local(mac).into());
    }
    let set = |address: &IpAddr| if address.is_ipv4() { MEMBERS_V4 } else { MEMBERS_V6 };
    addresses.iter().map(|address| (set(address), key(&port, mac, *address))).collect()
}

fn key(port: &str, mac: Mac, address: IpAddr) -> Vec<u8> {
    let mut bytes = port.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes.extend(mac);
    bytes.resize(24, 0);
    bytes.extend(octets(address));
    bytes
}

/// What members send. `numbers` are those that are there.
pub fn frames(environment: &Environment, numbers: &[u32]) -> Batch {
    const CHAIN: &str = "from_members";
    let mut batch = Batch::new();
    let name = environment.id.table();
    let mut table = Table { batch: &mut batch, family: Family::Bridge, name: &name };
    table.create_new();
    table.set(MEMBERS_V4, NUMBER_V4, &[Field::Link, Field::Mac, Field::V4]);
    table.set(MEMBERS_V6, NUMBER_V6, &[Field::Link, Field::Mac, Field::V6]);
    table.counter(SPOOFED);
    table.chain(CHAIN, Hook { number: PREROUTING, priority: -300, kind: "filter" });
    let prefix = environment.id.port_prefix();
    let foreign = vec![meta(Meta::InputLink, FIRST), differs(prefix.as_bytes()), accept()];
    let rules = [vec![foreign], arp(environment), ipv4(), ipv6(), vec![stop(SPOOFED)]];
    rules.concat().iter().for_each(|rule| table.rule(CHAIN, rule));
    for number in numbers {
        keys(environment, *number).iter().for_each(|(set, key)| table.add(set, key));
    }
    batch
}

/// Members ask for and tell addresses of their environment, and ask for the host.
fn arp(environment: &Environment) -> Vec<Rule> {
    /// Ethernet, IPv4, and the lengths of their addresses.
    const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
    let ours = rule([
        frame(ARP),
        is(payload(Header::Network, 0, 6, FIRST), &KIND),
        sender(payload(Header::Network, 14, 4, register(24))),
        vec![lookup(MEMBERS_V4, NUMBER_V4, false)],
        // The sender that the message names is that of the frame.
        vec![payload(Header::Network, 8, 6, register(16)), lookup(MEMBERS_V4, NUMBER_V4, false)],
    ]);
    let about = || payload(Header::Network, 24, 4, FIRST);
    let ranges = environment.subnets.iter().filter(|subnet| subnet.network().is_ipv4());
    let mut targets: Vec<Rule> = ranges.map(|range| within(about(), range)).collect();
    targets.push(is(about(), &names::HOST_V4.octets()));
    targets.into_iter().map(|target| rule([ours.clone(), target, vec![accept()]])).collect()
}

fn ipv4() -> Vec<Rule> {
    const REDIRECT: u8 = 5;
    vec![
        rule([frame(IPV4), transport(ICMP), message(REDIRECT), stop(SPOOFED)]),
        rule([
            frame(IPV4),
            vec![meta(Meta::Transport, FIRST)],
            sender(payload(Header::Network, 12, 4, register(24))),
            vec![lookup(MEMBERS_V4, NUMBER_V4, false), accept()],
        ]),
    ]
}

/// No member is a router, and each tells its own addresses only.
fn ipv6() -> Vec<Rule> {
    const ROUTER_ADVERTISEMENT: u8 = 134;
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    const REDIRECT: u8 = 137;
    let icmp = |kind| rule([frame(IPV6), transport(ICMPV6), message(kind)]);
    let mut rules: Vec<Rule> =
        [ROUTER_ADVERTISEMENT, REDIRECT].map(|kind| rule([icmp(kind), stop(SPOOFED)])).to_vec();
    rules.push(rule([
        icmp(NEIGHBOUR_ADVERTISEMENT),
        sender(payload(Header::Transport, 8, 16, register(24))),
        vec![lookup(MEMBERS_V6, NUMBER_V6, true)],
        stop(SPOOFED),
    ]));
    // What a kernel sends by itself as long as it has no address is no offence.
    let nobody = is(payload(Header::Network, 8, 16, FIRST), &Ipv6Addr::UNSPECIFIED.octets());
    rules.push(rule([frame(IPV6), nobody, vec![drop()]]));
    rules.push(rule([
        frame(IPV6),
        // Fails where the headers make no sense.
        vec![meta(Meta::Transport, FIRST)],
        sender(payload(Header::Network, 8, 16, register(24))),
        vec![lookup(MEMBERS_V6, NUMBER_V6, false), accept()],
    ]));
    rules
}

/// What reaches this host from the environment, or would go through it.
pub fn packets(environment: &Environment) -> Batch {
    let mut batch = Batch::new();
    let name = environment.id.table();
    let mut table = Table { batch: &mut batch, family: Family::Inet, name: &name };
    table.create_new();
    table.counter(HOST);
    table.counter(OUTSIDE);
    let bridge = [environment.id.bridge().as_bytes(), &[0]].concat();
    table.chain("to_host", Hook { number: INPUT, priority: -10, kind: "filter" });
    to_host(&bridge).iter().for_each(|rule| table.rule("to_host", rule));
    table.chain("through_host", Hook { number: FORWARD, priority: -10, kind: "filter" });
    through_host(&bridge, environment.outside).iter().for_each(|rule| table.rule("through_host", rule));
    if environment.outside {
        table.chain("outwards", Hook { number: POSTROUTING, priority: 100, kind: "nat" });
        for range in &environment.subnets {
            table.rule("outwards", &outwards(&bridge, range));
        }
    }
    batch
}

/// Of connections that are known: `established` and `related`.
fn known() -> Rule {
    const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
    vec![
        tracking(Tracking::State, FIRST),
        and(&ESTABLISHED_OR_RELATED.to_ne_bytes()),
        differs(&[0; 4]),
        accept(),
    ]
}

/// Of connections that a port of this host has led to a member.
fn published() -> Rule {
    vec![tracking(Tracking::Status, FIRST), and(&TRANSLATED.to_ne_bytes()), differs(&[0; 4])]
}

/// Members answer this host, and find its link-layer address.
fn to_host(bridge: &[u8]) -> Vec<Rule> {
    let from = || is(meta(Meta::InputLink, FIRST), bridge);
    let discovery = |kind: u8| {
        rule([
            from(),
            is(meta(Meta::NetworkFamily, FIRST), &[libc::AF_INET6 as u8]),
            transport(ICMPV6),
            // The hop limit that nothing has which came through a router.
            is(payload(Header::Network, 7, 1, FIRST), &[255]),
            message(kind),
            vec![accept()],
        ])
    };
    vec![rule([from(), known()]), discovery(135), discovery(136), rule([from(), stop(HOST)])]
}

fn through_host(bridge: &[u8], outside: bool) -> Vec<Rule> {
    let from = || is(meta(Meta::InputLink, FIRST), bridge);
    let to = || is(meta(Meta::OutputLink, FIRST), bridge);
    let any_of_ours = is(meta(Meta::OutputLink, FIRST), names::LINK_PREFIX.as_bytes());
    let mut rules = vec![
        // Frames of a bridge are shown here too where br_netfilter is loaded.
        rule([from(), to(), vec![accept()]]),
        rule([from(), any_of_ours, stop(OUTSIDE)]),
        rule([from(), published(), known()]),
        rule([to(), published(), vec![accept()]]),
    ];
    let verdict = if outside { vec![accept()] } else { stop(OUTSIDE) };
    rules.push(rule([from(), verdict]));
    rules.push(rule([to(), known()]));
    rules.push(rule([to(), stop(OUTSIDE)]));
    rules
}

/// What leaves by another link than the bridge has this host's address.
fn outwards(bridge: &[u8], range: &Subnet) -> Rule {
    let (family, at, length) =
        if range.network().is_ipv4() { (libc::AF_INET, 12, 4) } else { (libc::AF_INET6, 8, 16) };
    rule([
        is(meta(Meta::NetworkFamily, FIRST), &[family as u8]),
        within(payload(Header::Network, at, length, FIRST), range),
        vec![meta(Meta::OutputLink, FIRST), differs(bridge), masquerade()],
    ])
}
