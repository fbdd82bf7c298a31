//! ICMPv6, by which IPv6 finds neighbours: nobody is a router, and each tells its own addresses only.

use super::frames::{own_address, sender, to_this_host};
use super::tunnel::from_elsewhere_v6;
use super::{
    LOCAL_V6, MEMBERS_V6, NUMBER_LOCAL_V6, NUMBER_V6, Rule, SPOOFED, TUNNEL, is, message, rule, stop,
};
use crate::environment::Environment;
use crate::names;
use crate::nftables::expression::{FIRST, Header, accept, drop, lookup, payload, register};
use std::net::Ipv6Addr;

const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
/// By which a kernel asks switches for groups (MLD); bridges of ours pass on what is for any group.
const MEMBERSHIPS: [u8; 3] = [131, 132, 143];
/// Where a message names the address that it is about, from its start.
const TARGET: u32 = 8;

fn about(into: u32) -> Vec<u8> {
    payload(Header::Transport, TARGET, 16, into)
}

fn about_host() -> Rule {
    is(about(FIRST), &names::HOST_V6.octets())
}

/// What members send.
pub(super) fn from_members(environment: &Environment) -> Vec<Rule> {
    let never = [ROUTER_ADVERTISEMENT, REDIRECT].map(|kind| rule([message(kind), stop(SPOOFED)]));
    let foreign = vec![lookup(MEMBERS_V6, NUMBER_V6, true)];
    let mut rules = never.to_vec();
    rules.push(rule([message(ADVERTISEMENT), sender(about(register(24))), foreign, stop(SPOOFED)]));
    // What a kernel sends by itself is no offence.
    rules.extend(MEMBERSHIPS.map(|kind| rule([message(kind), vec![drop()]])));
    let nobody = is(payload(Header::Network, 8, 16, FIRST), &Ipv6Addr::UNSPECIFIED.octets());
    rules.push(rule([nobody, vec![drop()]]));
    let asked = if environment.apart { stop(SPOOFED) } else { rule([to_this_host(), vec![accept()]]) };
    rules.push(rule([message(SOLICITATION), about_host(), own_address(), asked]));
    rules.push(rule([own_address(), vec![accept()]]));
    rules.push(stop(SPOOFED));
    rules
}

/// What comes from other hosts: nothing about this one, which every host takes for itself, nor about its members.
pub(super) fn from_hosts(environment: &Environment) -> Vec<Rule> {
    let never = [ROUTER_ADVERTISEMENT, REDIRECT].map(|kind| rule([message(kind), stop(TUNNEL)]));
    let host = [SOLICITATION, ADVERTISEMENT].map(|kind| rule([message(kind), about_host(), stop(TUNNEL)]));
    let ours = vec![about(FIRST), lookup(LOCAL_V6, NUMBER_LOCAL_V6, false)];
    let mut rules = [never, host].concat();
    rules.push(rule([message(ADVERTISEMENT), ours, stop(TUNNEL)]));
    rules.extend(from_elsewhere_v6(environment));
    rules.push(stop(TUNNEL));
    rules
}
