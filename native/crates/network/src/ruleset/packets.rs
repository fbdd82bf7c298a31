//! What reaches this host itself from an environment, or would go through it: the table of the family `inet`.

use super::{HOST, ICMPV6, OUTSIDE, Rule, TRANSLATED, is, message, rule, stop, transport, whole, within};
use crate::environment::Environment;
use crate::names;
use crate::nftables::expression::{
    FIRST, Header, Meta, Tracking, accept, and, differs, masquerade, meta, payload, tracking, tracking_reply,
    untracked,
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
    to_host(&bridge, environment).iter().for_each(|rule| table.rule("to_host", rule));
    // Where a packet goes from one environment to another, that of its sender stops it, and counts it.
    table.chain("from_members", Hook { number: FORWARD, priority: -20, kind: "filter" });
    from_members(&bridge, environment).iter().for_each(|rule| table.rule("from_members", rule));
    table.chain("to_members", Hook { number: FORWARD, priority: -10, kind: "filter" });
    to_members(&bridge).iter().for_each(|rule| table.rule("to_members", rule));
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
    vec![tracking(Tracking::State, FIRST), and(&ESTABLISHED_OR_RELATED.to_ne_bytes()), differs(&[0; 4])]
}

/// Of connections that members answer in. An error that a member reports is `related` to whichever connection it names.
fn answers(environment: &Environment) -> Vec<Rule> {
    let from = |range: &Subnet| {
        let v4 = range.network().is_ipv4();
        let key = if v4 { Tracking::SourceV4 } else { Tracking::SourceV6 };
        rule([known(), within(tracking_reply(key, FIRST), range)])
    };
    environment.subnets.iter().map(from).collect()
}

/// Of connections that a port of this host has led to a member.
fn published() -> Rule {
    vec![tracking(Tracking::Status, FIRST), and(&TRANSLATED.to_ne_bytes()), differs(&[0; 4])]
}

/// Members answer this host, and find its link-layer address.
fn to_host(bridge: &[u8], environment: &Environment) -> Vec<Rule> {
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
    let mut rules: Vec<Rule> =
        answers(environment).into_iter().map(|answer| rule([from(), answer, vec![accept()]])).collect();
    rules.extend([discovery(135), discovery(136), rule([from(), stop(HOST)])]);
    rules
}

/// Frames of a bridge are shown to both chains, too, where br_netfilter is loaded.
fn between_members(bridge: &[u8]) -> Rule {
    rule([
        is(meta(Meta::InputLink, FIRST), bridge),
        is(meta(Meta::OutputLink, FIRST), bridge),
        vec![accept()],
    ])
}

fn from_members(bridge: &[u8], environment: &Environment) -> Vec<Rule> {
    let from = || is(meta(Meta::InputLink, FIRST), bridge);
    let any_of_ours = is(meta(Meta::OutputLink, FIRST), names::LINK_PREFIX.as_bytes());
    let mut rules = vec![between_members(bridge), rule([from(), any_of_ours, stop(OUTSIDE)])];
    if !environment.outside {
        let answers = answers(environment).into_iter();
        rules.extend(answers.map(|answer| rule([from(), published(), answer, vec![accept()]])));
        rules.push(rule([from(), stop(OUTSIDE)]));
    }
    rules
}

fn to_members(bridge: &[u8]) -> Vec<Rule> {
    let to = || is(meta(Meta::OutputLink, FIRST), bridge);
    vec![
        between_members(bridge),
        rule([to(), published(), vec![accept()]]),
        rule([to(), known(), vec![accept()]]),
        rule([to(), stop(OUTSIDE)]),
    ]
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
