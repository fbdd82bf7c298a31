//! What reaches this host itself from an environment, or would go through it: the table of the family `inet`.

use super::{HOST, ICMPV6, OUTSIDE, Rule, TRANSLATED, is, message, rule, stop, transport, whole, within};
use crate::environment::Environment;
use crate::names;
use crate::nftables::expression::{
    FIRST, Header, Meta, Tracking, accept, and, differs, masquerade, meta, payload, tracking, untracked,
};
use crate::nftables::table::{FORWARD, Hook, INPUT, POSTROUTING, PREROUTING, Table};
use crate::nftables::{Batch, Family};
use crate::subnet::Subnet;

/// What reaches this host from the environment, or would go through it.
pub fn packets(environment: &Environment) -> Batch {
    let mut batch = Batch::new();
    let name = environment.id.table();
    let mut table = Table { batch: &mut batch, family: Family::Inet, name: &name };
    table.create_new();
    table.counter(HOST);
    table.counter(OUTSIDE);
    let bridge = whole(&environment.id.bridge());
    if bridges_show_frames() {
        among_members(environment, &bridge, &mut table);
    }
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

/// Where bridges show their frames here (br_netfilter), those that stay among members need not be tracked.
fn among_members(environment: &Environment, bridge: &[u8], table: &mut Table<'_>) {
    const CHAIN: &str = "among_members";
    table.chain(CHAIN, Hook { number: PREROUTING, priority: -300, kind: "filter" });
    for range in &environment.subnets {
        let (family, at, length) =
            if range.network().is_ipv4() { (libc::AF_INET, 16, 4) } else { (libc::AF_INET6, 24, 16) };
        table.rule(
            CHAIN,
            &rule([
                is(meta(Meta::InputLink, FIRST), bridge),
                is(meta(Meta::NetworkFamily, FIRST), &[family as u8]),
                within(payload(Header::Network, at, length, FIRST), range),
                vec![untracked(), accept()],
            ]),
        );
    }
}

fn bridges_show_frames() -> bool {
    ["iptables", "ip6tables"].into_iter().any(|tables| {
        let file = format!("/proc/sys/net/bridge/bridge-nf-call-{tables}");
        std::fs::read_to_string(file).is_ok_and(|on| on.trim() != "0")
    })
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
