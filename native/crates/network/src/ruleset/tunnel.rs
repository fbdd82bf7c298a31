//! What comes from other hosts, and what goes there.
//!
//! The hosts of an environment see to it that each of their members tells its own addresses only. Here it is made sure that none
//! of what comes is from a member of this host, from or for this host, or of a host that has no part in the environment.

use super::{
    ARP, ARP_FOR_IPV4, ICMP, ICMPV6, IPV4, IPV6, LOCAL, LOCAL_V4, LOCAL_V6, NUMBER_LOCAL, NUMBER_LOCAL_V4,
    NUMBER_LOCAL_V6, Rule, TUNNEL, UDP, discovery, frame, is, message, rule, stop, transport, whole, within,
};
use crate::environment::Environment;
use crate::names;
use crate::nftables::expression::{
    FIRST, Header, Meta, accept, and, differs, drop, equals, goto, lookup, meta, payload,
};
use crate::nftables::table::{Field, Hook, INPUT, OUTPUT, Table};
use crate::nftables::{Batch, Family};
use crate::subnet::{Subnet, octets};
use crate::tunnel::{PORT, Tunnel};

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

/// From a member that is elsewhere, and not to this host.
fn ends() -> Vec<Rule> {
    let (mask, value) = names::MEMBER_MACS;
    let sender = || payload(Header::Link, 6, 6, FIRST);
    vec![
        rule([vec![sender(), and(&mask), differs(&value)], stop(TUNNEL)]),
        rule([vec![sender(), lookup(LOCAL, NUMBER_LOCAL, false)], stop(TUNNEL)]),
        rule([is(payload(Header::Link, 0, 6, FIRST), &names::HOST_MAC), stop(TUNNEL)]),
    ]
}

fn ipv4(environment: &Environment) -> Vec<Rule> {
    const REDIRECT: u8 = 5;
    let from = || payload(Header::Network, 12, 4, FIRST);
    let elsewhere = elsewhere_v4(environment, from);
    let accepted = |range| rule([frame(IPV4), vec![meta(Meta::Transport, FIRST)], range, vec![accept()]]);
    let redirect = rule([frame(IPV4), transport(ICMP), message(REDIRECT), stop(TUNNEL)]);
    [redirect].into_iter().chain(elsewhere.map(accepted)).collect()
}

/// Goes on when an address of IPv4 is in the environment, and of no member on this host; `None` where the environment has none.
fn elsewhere_v4(environment: &Environment, load: impl Fn() -> Vec<u8>) -> Option<Rule> {
    let range = environment.subnets.iter().find(|subnet| subnet.network().is_ipv4())?;
    let not_here = vec![load(), lookup(LOCAL_V4, NUMBER_LOCAL_V4, true)];
    Some(rule([within(load(), range), not_here]))
}

fn ipv6(environment: &Environment) -> Vec<Rule> {
    let mut rules = vec![rule([frame(IPV6), transport(ICMPV6), vec![goto(FROM_HOSTS_NEIGHBOURS)]])];
    rules.extend(from_elsewhere_v6(environment).into_iter().map(|accepted| rule([frame(IPV6), accepted])));
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
        rule([vec![meta(Meta::Transport, FIRST)], within(from(), range), not_here, vec![accept()]])
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
    let link = whole(&environment.id.tunnel());
    let chains = [("to_host", INPUT, Meta::InputLink), ("from_host", OUTPUT, Meta::OutputLink)];
    for (chain, number, key) in chains {
        table.chain(chain, Hook { number, priority: -300, kind: "filter" });
        table.rule(chain, &rule([is(meta(key, FIRST), &link), vec![drop()]]));
    }
    batch
}

/// The chain for what hosts send: one of each family, so that it tells whether a table is for addresses of the tunnel's.
#[must_use]
pub fn from_peers(tunnel: &Tunnel) -> &'static str {
    if tunnel.address.is_ipv4() { "from_peers_v4" } else { "from_peers_v6" }
}

/// What a host has of the table for what hosts send.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Nothing,
    /// All but which hosts may.
    Same,
    /// One for addresses of the other family.
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
        table.chain(chain, Hook { number: INPUT, priority: -300, kind: "filter" });
        table.rule(chain, &from_strangers(environment, tunnel));
    }
    tunnel.peers.iter().for_each(|peer| table.add(PEERS, &octets(*peer)));
    batch
}

fn from_strangers(environment: &Environment, tunnel: &Tunnel) -> Rule {
    /// Behind the header of UDP: flags and three bytes of nothing, then the number (RFC 7348).
    const NUMBER: u32 = 8 + 4;
    let (family, at, length) =
        if tunnel.address.is_ipv4() { (libc::AF_INET, 12, 4) } else { (libc::AF_INET6, 8, 16) };
    rule([
        transport(UDP),
        is(payload(Header::Transport, 2, 2, FIRST), &PORT.to_be_bytes()),
        is(payload(Header::Transport, NUMBER, 3, FIRST), &environment.id.number().to_be_bytes()[1..]),
        is(meta(Meta::NetworkFamily, FIRST), &[family as u8]),
        vec![payload(Header::Network, at, length, FIRST), lookup(PEERS, NUMBER_PEERS, true)],
        stop(TUNNEL),
    ])
}
