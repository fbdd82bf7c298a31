//! What members send: the table of the family `bridge`.

use super::{
    ARP, ARP_FOR_IPV4, ICMP, ICMPV6, IPV4, IPV6, LOCAL, LOCAL_V4, LOCAL_V6, MEMBERS_V4, MEMBERS_V6,
    NUMBER_LOCAL, NUMBER_LOCAL_V4, NUMBER_LOCAL_V6, NUMBER_V4, NUMBER_V6, Rule, SPOOFED, TUNNEL, discovery,
    frame, is, keys, manners, message, other_transport, rule, stop, transport, tunnel, whole, within,
};
use crate::environment::Environment;
use crate::names;
use crate::nftables::expression::{
    FIRST, Header, Meta, accept, and, drop, equals, goto, immediate, lookup, meta, payload, register, write,
};
use crate::nftables::table::{Field, Hook, INPUT, PREROUTING, Table};
use crate::nftables::{Batch, Family};
use std::net::Ipv6Addr;

/// The chain that is asked first.
pub const ARRIVING: &str = "arriving";
/// The chain for what goes up to this host.
const ARRIVED: &str = "arrived";
const FROM_MEMBERS: &str = "from_members";
const FROM_MEMBERS_V4: &str = "from_members_v4";
const FROM_MEMBERS_V6: &str = "from_members_v6";
const FROM_NEIGHBOURS: &str = "from_neighbours";

/// What members send. `numbers` are those that are there; `anew` where there is a table.
pub fn frames(environment: &Environment, numbers: &[u32], anew: bool) -> Batch {
    let mut batch = Batch::new();
    let name = environment.id.table();
    let mut table = Table { batch: &mut batch, family: Family::Bridge, name: &name };
    if anew {
        table.delete();
    }
    table.create_new();
    table.set(MEMBERS_V4, NUMBER_V4, &[Field::Link, Field::Mac, Field::V4]);
    table.set(MEMBERS_V6, NUMBER_V6, &[Field::Link, Field::Mac, Field::V6]);
    table.set(LOCAL, NUMBER_LOCAL, &[Field::Mac]);
    table.set(LOCAL_V4, NUMBER_LOCAL_V4, &[Field::V4]);
    table.set(LOCAL_V6, NUMBER_LOCAL_V6, &[Field::V6]);
    table.counter(SPOOFED);
    table.counter(TUNNEL);
    table.branch(FROM_NEIGHBOURS);
    discovery::from_members(environment).iter().for_each(|rule| table.rule(FROM_NEIGHBOURS, rule));
    let branches = [
        (FROM_MEMBERS_V4, ipv4(environment)),
        (FROM_MEMBERS_V6, ipv6(environment)),
        (FROM_MEMBERS, by_kind(environment)),
    ];
    for (chain, rules) in branches {
        table.branch(chain);
        rules.iter().for_each(|rule| table.rule(chain, rule));
    }
    tunnel::from_hosts(environment, &mut table);
    table.chain(ARRIVING, Hook { number: PREROUTING, priority: -300, kind: "filter" });
    let from = |link: &[u8], chain| rule([is(meta(Meta::InputLink, FIRST), link), vec![goto(chain)]]);
    table.rule(ARRIVING, &from(environment.id.port_prefix().as_bytes(), FROM_MEMBERS));
    table.rule(ARRIVING, &from(&whole(&environment.id.tunnel()), tunnel::FROM_HOSTS));
    table.chain(ARRIVED, Hook { number: INPUT, priority: -300, kind: "filter" });
    table.rule(ARRIVED, &manners::to_host(environment));
    for number in numbers {
        keys(environment, *number).iter().for_each(|(set, key)| table.add(set, key));
    }
    batch
}

/// Loads a member's key: the link that a frame came by, the sender of the frame, and what `address` loads.
pub(super) fn sender(address: Vec<u8>) -> Rule {
    vec![meta(Meta::InputLink, FIRST), payload(Header::Link, 6, 6, register(16)), address]
}

/// Sends a frame to this host only, which its sender asks for by an address that is the same on every one.
pub(super) fn to_this_host() -> Rule {
    vec![immediate(&names::HOST_MAC, FIRST), write(FIRST, Header::Link, 0, 6)]
}

/// Members ask for and tell addresses of their environment, and ask for the host.
fn arp(environment: &Environment) -> Vec<Rule> {
    let ours = rule([
        frame(ARP),
        is(payload(Header::Network, 0, 6, FIRST), &ARP_FOR_IPV4),
        sender(payload(Header::Network, 14, 4, register(24))),
        vec![lookup(MEMBERS_V4, NUMBER_V4, false)],
        // The sender that the message names is that of the frame.
        vec![payload(Header::Network, 8, 6, register(16)), lookup(MEMBERS_V4, NUMBER_V4, false)],
    ]);
    let about = || payload(Header::Network, 24, 4, FIRST);
    let ranges = environment.subnets.iter().filter(|subnet| subnet.network().is_ipv4());
    let mut rules: Vec<Rule> =
        ranges.map(|range| rule([ours.clone(), within(about(), range), vec![accept()]])).collect();
    if !environment.apart {
        let host = is(about(), &names::HOST_V4.octets());
        rules.push(rule([ours, host, to_this_host(), vec![accept()]]));
    }
    rules
}

fn by_kind(environment: &Environment) -> Vec<Rule> {
    let kinds = [(IPV4, FROM_MEMBERS_V4), (IPV6, FROM_MEMBERS_V6)];
    let mut rules = kinds.map(|(kind, chain)| rule([frame(kind), vec![goto(chain)]])).to_vec();
    rules.push(manners::group());
    rules.extend(arp(environment));
    rules.push(stop(SPOOFED));
    rules
}

/// Goes on with a frame for one member.
fn to_member() -> Rule {
    let (mask, value) = names::MEMBER_MACS;
    vec![payload(Header::Link, 0, 4, FIRST), and(&mask[..4]), equals(&value[..4])]
}

/// What most frames are comes first.
fn ipv4(environment: &Environment) -> Vec<Rule> {
    const REDIRECT: u8 = 5;
    let own = || {
        let address = sender(payload(Header::Network, 12, 4, register(24)));
        rule([address, vec![lookup(MEMBERS_V4, NUMBER_V4, false), accept()]])
    };
    let range = environment.subnets.iter().find(|range| range.network().is_ipv4());
    let mut rules = manners::with_ipv4();
    rules.extend(range.map(|range| {
        let there = within(payload(Header::Network, 16, 4, FIRST), range);
        rule([to_member(), there, other_transport(ICMP), own()])
    }));
    rules.extend([
        manners::group(),
        manners::astray_v4(range),
        rule([other_transport(ICMP), own()]),
        rule([transport(ICMP), message(REDIRECT), stop(SPOOFED)]),
        rule([transport(ICMP), own()]),
        stop(SPOOFED),
    ]);
    rules
}

fn ipv6(environment: &Environment) -> Vec<Rule> {
    let own = || rule([own_address(), vec![accept()]]);
    // What a kernel sends by itself as long as it has no address is no offence.
    let nobody = is(payload(Header::Network, 8, 16, FIRST), &Ipv6Addr::UNSPECIFIED.octets());
    let range = environment.subnets.iter().find(|range| range.network().is_ipv6());
    let mut rules = manners::with_ipv6();
    rules.extend(range.map(|range| {
        let there = within(payload(Header::Network, 24, 16, FIRST), range);
        rule([to_member(), there, other_transport(ICMPV6), own()])
    }));
    rules.extend([
        manners::group(),
        manners::astray_v6(range),
        rule([other_transport(ICMPV6), own()]),
        rule([transport(ICMPV6), vec![goto(FROM_NEIGHBOURS)]]),
        rule([nobody, vec![drop()]]),
        stop(SPOOFED),
    ]);
    rules
}

/// Goes on when the sender of an IPv6 packet is the member.
pub(super) fn own_address() -> Rule {
    let address = sender(payload(Header::Network, 8, 16, register(24)));
    rule([address, vec![lookup(MEMBERS_V6, NUMBER_V6, false)]])
}
