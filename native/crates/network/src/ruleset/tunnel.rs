//! What comes from other hosts, and what goes there.
//!
//! The hosts of an environment see to it that each of their members tells its own addresses only. Here it is made sure that none
//! of what comes is from a member of this host, from or for this host, or of a host that has no part in the environment.

use super::{
    ARP, ARP_FOR_IPV4, ICMP, ICMPV6, IPV4, IPV6, LOCAL, LOCAL_V4, LOCAL_V6, NUMBER_LOCAL, NUMBER_LOCAL_V4,
    NUMBER_LOCAL_V6, Rule, TUNNEL, UDP, discovery, frame, is, message, other_transport, rule, stop,
    transport, whole, within,
};
use crate::environment::Environment;
use crate::names::{self, Mac};
use crate::nftables::expression::{
    FIRST, Header, Meta, accept, and, differs, drop, equals, goto, lookup, meta, payload, untracked,
};
use crate::nftables::table::{Field, Hook, INPUT, OUTPUT, PREROUTING, Table};
use crate::nftables::{Batch, Family};
use crate::subnet::{Subnet, octets};
use crate::tunnel::Tunnel;

/// The chain for frames from other hosts.
pub const FROM_HOSTS: &str = "from_hosts";
const FROM_HOSTS_NEIGHBOURS: &str = "from_hosts_neighbours";

/// The set of the hosts that may send.
const PEERS: &str = "peers";
const NUMBER_PEERS: u32 = 1;

/// Fills the chain for frames from other hosts.
pub(super) fn from_hosts(environment: &Environment, table: &mut Table<'_>) {
    table.branch(FROM_HOSTS_NEIGHBOURS);
    discovery::from_hosts(environment).iter().for_each(|rule| table.rule(FROM_HOSTS_NEIGHBOURS, rule));
    table.branch(FROM_HOSTS);
    let rules = [ends(), ipv4(environment), ipv6(environment), arp(environment), vec![stop(TUNNEL)]];
    rules.concat().iter().for_each(|rule| table.rule(FROM_HOSTS, rule));
}

/// From a member that is elsewhere.
fn ends() -> Vec<Rule> {
    // Four bytes are compared faster than six; the others may be any.
    let kind = |mac: &Mac| [mac[0], mac[1], mac[2], mac[3]];
    let (mask, value) = names::MEMBER_MACS;
    let foreign = vec![payload(Header::Link, 6, 4, FIRST), and(&kind(&mask)), differs(&kind(&value))];
    let here = vec![payload(Header::Link, 6, 6, FIRST), lookup(LOCAL, NUMBER_LOCAL, false)];
    vec![rule([foreign, stop(TUNNEL)]), rule([here, stop(TUNNEL)])]
}

/// What most frames are comes first.
fn ipv4(environment: &Environment) -> Vec<Rule> {
    const REDIRECT: u8 = 5;
    let from = || payload(Header::Network, 12, 4, FIRST);
    let Some(elsewhere) = elsewhere_v4(environment, from) else { return Vec::new() };
    vec![
        rule([frame(IPV4), other_transport(ICMP), elsewhere.clone(), vec![accept()]]),
        rule([frame(IPV4), transport(ICMP), message(REDIRECT), stop(TUNNEL)]),
        rule([frame(IPV4), transport(ICMP), elsewhere, vec![accept()]]),
    ]
}

/// Goes on when an address of IPv4 is in the environment, and of no member on this host; `None` where the environment has none.
fn elsewhere_v4(environment: &Environment, load: impl Fn() -> Vec<u8>) -> Option<Rule> {
    let range = environment.subnets.iter().find(|subnet| subnet.network().is_ipv4())?;
    let not_here = vec![load(), lookup(LOCAL_V4, NUMBER_LOCAL_V4, true)];
    Some(rule([within(load(), range), not_here]))
}

fn ipv6(environment: &Environment) -> Vec<Rule> {
    let pass = |accepted| rule([frame(IPV6), other_transport(ICMPV6), accepted]);
    let mut rules: Vec<Rule> = from_elsewhere_v6(environment).into_iter().map(pass).collect();
    rules.push(rule([frame(IPV6), transport(ICMPV6), vec![goto(FROM_HOSTS_NEIGHBOURS)]]));
    rules
}

/// Lets pass what comes from an IPv6 address of a member that is elsewhere.
pub(super) fn from_elsewhere_v6(environment: &Environment) -> Vec<Rule> {
    let from = || payload(Header::Network, 8, 16, FIRST);
    let (network, length) = names::MEMBERS_LINK_LOCAL;
    let link_local = Subnet::new(network.into(), length).expect("a range");
    let ranges = environment.subnets.iter().filter(|subnet| subnet.network().is_ipv6());
    let accepted = |range: &Subnet| {
        let not_here = vec![from(), lookup(LOCAL_V6, NUMBER_LOCAL_V6, true)];
        rule([within(from(), range), not_here, vec![accept()]])
    };
    // An environment without a range of IPv6 has none of it.
    ranges.flat_map(|range| [*range, link_local]).map(|range| accepted(&range)).collect()
}

/// Members elsewhere ask for and tell addresses of the environment.
fn arp(environment: &Environment) -> Vec<Rule> {
    let (mask, value) = names::MEMBER_MACS;
    let named = || payload(Header::Network, 8, 6, FIRST);
    let Some(range) = environment.subnets.iter().find(|subnet| subnet.network().is_ipv4()) else {
        return Vec::new();
    };
    let about = within(payload(Header::Network, 24, 4, FIRST), range);
    let sender = elsewhere_v4(environment, || payload(Header::Network, 14, 4, FIRST)).unwrap_or_default();
    vec![rule([
        frame(ARP),
        is(payload(Header::Network, 0, 6, FIRST), &ARP_FOR_IPV4),
        vec![named(), and(&mask), equals(&value)],
        vec![named(), lookup(LOCAL, NUMBER_LOCAL, true)],
        sender,
        about,
        vec![accept()],
    ])]
}

/// Keeps this host itself out of what goes between hosts: it is the same to members on every one.
pub fn frames(environment: &Environment) -> Batch {
    let mut batch = Batch::new();
    let name = environment.id.tunnel_table();
    let mut table = Table { batch: &mut batch, family: Family::Bridge, name: &name };
    table.create_new();
    table.counter(TUNNEL);
    let link = whole(&environment.id.tunnel());
    let (from, to) = (is(meta(Meta::InputLink, FIRST), &link), is(meta(Meta::OutputLink, FIRST), &link));
    for (chain, number) in [("to_host", INPUT), ("from_host", OUTPUT)] {
        table.chain(chain, Hook { number, priority: -300, kind: "filter" });
    }
    // What is for all is no offence.
    let to_it_alone = is(payload(Header::Link, 0, 6, FIRST), &names::HOST_MAC);
    table.rule("to_host", &rule([from.clone(), to_it_alone, stop(TUNNEL)]));
    table.rule("to_host", &rule([from, vec![drop()]]));
    table.rule("from_host", &rule([to, vec![drop()]]));
    batch
}

/// The chain for what hosts send: its name tells whether a table is for addresses and the port of the tunnel's.
#[must_use]
pub fn from_peers(tunnel: &Tunnel) -> &'static str {
    match (tunnel.address.is_ipv4(), tunnel.encryption.is_some()) {
        (true, false) => "from_peers_v4",
        (false, false) => "from_peers_v6",
        (true, true) => "from_peers_v4_encrypted",
        (false, true) => "from_peers_v6_encrypted",
    }
}

/// What a host has of the table for what hosts send.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Nothing,
    /// All but which hosts may.
    Same,
    /// One for addresses of the other family, or another port.
    Otherwise,
}

/// Lets in what the tunnel's peers send, and nobody else.
pub fn packets(environment: &Environment, tunnel: &Tunnel, before: Before) -> Batch {
    let mut batch = Batch::new();
    let name = environment.id.tunnel_table();
    let mut table = Table { batch: &mut batch, family: Family::Inet, name: &name };
    if before == Before::Otherwise {
        table.delete();
    }
    if before == Before::Same {
        table.empty(PEERS);
    } else {
        let field = if tunnel.address.is_ipv4() { Field::V4 } else { Field::V6 };
        let chain = from_peers(tunnel);
        table.create_new();
        table.set(PEERS, NUMBER_PEERS, &[field]);
        table.counter(TUNNEL);
        for (chain, number) in [(chain, PREROUTING), ("to_peers", OUTPUT)] {
            table.chain(chain, Hook { number, priority: -300, kind: "filter" });
        }
        let ours = of_tunnel(environment, tunnel);
        table.rule(chain, &rule([ours.clone(), from_peer(tunnel), vec![untracked(), accept()]]));
        table.rule(chain, &rule([ours.clone(), stop(TUNNEL)]));
        table.rule("to_peers", &rule([ours, vec![untracked()]]));
    }
    tunnel.peers.iter().for_each(|peer| table.add(PEERS, &octets(*peer)));
    batch
}

/// Packets between hosts. They are not tracked: nobody asks for the state of their connections, which go one way only, and to
/// keep it takes a fifth of what a tunnel can carry.
fn of_tunnel(environment: &Environment, tunnel: &Tunnel) -> Rule {
    /// Behind the header of UDP: flags and three bytes of nothing, then the number and another byte of nothing (RFC 7348).
    const NUMBER: u32 = 8 + 4;
    let number = environment.id.number() << 8;
    rule([
        is(payload(Header::Transport, 2, 2, FIRST), &tunnel.port(&environment.id).to_be_bytes()),
        is(payload(Header::Transport, NUMBER, 4, FIRST), &number.to_be_bytes()),
        transport(UDP),
    ])
}

/// No tunnel takes packets of the other family, where this finds nobody.
fn from_peer(tunnel: &Tunnel) -> Rule {
    let (at, length) = if tunnel.address.is_ipv4() { (12, 4) } else { (8, 16) };
    vec![payload(Header::Network, at, length, FIRST), lookup(PEERS, NUMBER_PEERS, false)]
}
