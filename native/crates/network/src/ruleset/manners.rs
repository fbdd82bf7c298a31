//! What a member may not send though it says truly who it is: nobody routes for others, or gives addresses away.

use super::{Rule, SPOOFED, UDP, is, rule, stop, transport};
use crate::environment::Environment;
use crate::names;
use crate::nftables::expression::{FIRST, Header, Meta, and, differs, equals, extension, meta, payload};
use crate::subnet::{Subnet, octets};

/// Rules of the chain for IPv4 from members, before those that let anything pass.
pub(super) fn with_ipv4() -> Vec<Rule> {
    vec![options(), server(67)]
}

/// Rules of the chain for IPv6 from members, before those that let anything pass.
pub(super) fn with_ipv6() -> Vec<Rule> {
    vec![routing_header(), server(547)]
}

/// Frames to the groups that no bridge passes on (IEEE 802.1D, table 7-10).
pub(super) fn group() -> Rule {
    const GROUPS: [u8; 6] = [1, 0x80, 0xc2, 0, 0, 0];
    let to = vec![payload(Header::Link, 0, 6, FIRST), and(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xf0])];
    rule([to, vec![equals(&GROUPS)], stop(SPOOFED)])
}

/// Some of them the kernel takes up to this host in any case; what they carry reaches its sockets by the member's link rather
/// than the bridge.
pub(super) fn to_host(environment: &Environment) -> Rule {
    rule([is(meta(Meta::InputLink, FIRST), environment.id.port_prefix().as_bytes()), group()])
}

/// A route in the packet, above all; IGMP has an option that asks routers to look at it.
fn options() -> Rule {
    const IGMP: u8 = 2;
    const VERSION_AND_LENGTH: u8 = 0x45;
    rule([
        vec![payload(Header::Network, 0, 1, FIRST), differs(&[VERSION_AND_LENGTH])],
        vec![payload(Header::Network, 9, 1, FIRST), differs(&[IGMP])],
        stop(SPOOFED),
    ])
}

fn routing_header() -> Rule {
    const ROUTING: u8 = 43;
    rule([is(extension(ROUTING, FIRST), &[1]), stop(SPOOFED)])
}

/// What a server of DHCP sends.
fn server(port: u16) -> Rule {
    let from = is(payload(Header::Transport, 0, 2, FIRST), &port.to_be_bytes());
    rule([transport(UDP), from, stop(SPOOFED)])
}

/// Packets for the outside or another environment go to this host, which has its rules for them, and to no other member.
fn astray(rest: impl IntoIterator<Item = Rule>) -> Rule {
    let to_member = vec![payload(Header::Link, 0, 6, FIRST), differs(&names::HOST_MAC)];
    rule([to_member, rest.into_iter().flatten().collect(), stop(SPOOFED)])
}

pub(super) fn astray_v4(range: Option<&Subnet>) -> Rule {
    let to = || payload(Header::Network, 16, 4, FIRST);
    let mut rest: Vec<Rule> = range.iter().map(|range| beyond(to(), range)).collect();
    rest.push(vec![to(), and(&[0xf0, 0, 0, 0]), differs(&[0xe0, 0, 0, 0])]);
    rest.push(vec![to(), differs(&[0xff; 4])]);
    astray(rest)
}

pub(super) fn astray_v6(range: Option<&Subnet>) -> Rule {
    let to = |length| payload(Header::Network, 24, length, FIRST);
    let mut rest: Vec<Rule> = range.iter().map(|range| beyond(to(16), range)).collect();
    rest.push(vec![to(1), differs(&[0xff])]);
    rest.push(vec![to(2), and(&[0xff, 0xc0]), differs(&[0xfe, 0x80])]);
    astray(rest)
}

fn beyond(load: Vec<u8>, range: &Subnet) -> Rule {
    vec![load, and(&range.mask_bytes()), differs(&octets(range.network()))]
}
