//! The rules of one environment: who may send what, and to whom.
//!
//! The table of the family `bridge` sees every frame that a member or another host sends, before anything else does. A member's
//! link, its link-layer address and its address must belong together, and nothing but ARP, IPv4 and IPv6 passes
//! ([`frames`]). The table of the family `inet` sees what goes to this host itself, or through it ([`packets`]). An environment
//! that goes on to other hosts has a second table in each family ([`tunnel`]).

mod discovery;
mod frames;
mod manners;
mod packets;
pub mod tunnel;

use crate::environment::Environment;
use crate::names::{self, Mac};
use crate::nftables::expression::{FIRST, Header, Meta, and, count, differs, drop, equals, meta, payload};
use crate::subnet::{Subnet, octets};
use std::net::IpAddr;

pub use frames::{ARRIVING, frames};
pub use packets::packets;

/// Frames of members that said to come from somebody else, or were of a kind that nobody needs.
pub const SPOOFED: &str = "spoofed";
/// Packets of members to this host.
pub const HOST: &str = "host";
/// Packets of members to the outside or another environment, and from there to members.
pub const OUTSIDE: &str = "outside";
/// What came as from another host, and no member there may send, or from a host that has no part in the environment.
pub const TUNNEL: &str = "tunnel";

/// Of the connection's status: its destination is another than its peer asked for (`IPS_DST_NAT`).
pub(crate) const TRANSLATED: u32 = 1 << 5;

/// Keys: link, link-layer address, address.
const MEMBERS_V4: &str = "members_v4";
const MEMBERS_V6: &str = "members_v6";
const NUMBER_V4: u32 = 1;
const NUMBER_V6: u32 = 2;
/// What members on this host have, and so nobody elsewhere.
pub const LOCAL: &str = "local";
const LOCAL_V4: &str = "local_v4";
const LOCAL_V6: &str = "local_v6";
const NUMBER_LOCAL: u32 = 3;
const NUMBER_LOCAL_V4: u32 = 4;
const NUMBER_LOCAL_V6: u32 = 5;

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Ethernet, IPv4, and the lengths of their addresses.
const ARP_FOR_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ICMP: u8 = 1;
const UDP: u8 = 17;
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

/// Nor goes on where the headers make no sense.
fn other_transport(protocol: u8) -> Rule {
    vec![meta(Meta::Transport, FIRST), differs(&[protocol])]
}

/// The first byte behind the network header: the type of an ICMP message.
fn message(kind: u8) -> Rule {
    is(payload(Header::Transport, 0, 1, FIRST), &[kind])
}

fn within(load: Vec<u8>, range: &Subnet) -> Rule {
    vec![load, and(&range.mask_bytes()), equals(&octets(range.network()))]
}

fn stop(counter: &str) -> Rule {
    vec![count(counter), drop()]
}

/// The name of a link, as the kernel compares it with a whole one.
fn whole(link: &str) -> Vec<u8> {
    [link.as_bytes(), &[0]].concat()
}

/// A member's keys: the set that each belongs to.
pub fn keys(environment: &Environment, number: u32) -> Vec<(&'static str, Vec<u8>)> {
    let port = environment.id.port(number);
    let mac = names::member_mac(number);
    let mut addresses = environment.addresses_of(number);
    if addresses.iter().any(IpAddr::is_ipv6) {
        addresses.push(names::link_local(mac).into());
    }
    let mut keys = vec![(LOCAL, mac.to_vec())];
    for address in addresses {
        let sets = if address.is_ipv4() { (MEMBERS_V4, LOCAL_V4) } else { (MEMBERS_V6, LOCAL_V6) };
        keys.push((sets.0, key(&port, mac, address)));
        keys.push((sets.1, octets(address)));
    }
    keys
}

/// The number of the member that a key of [`LOCAL`] is for.
pub fn number_of(key: &[u8]) -> Option<u32> {
    names::number_of(key.try_into().ok()?)
}

fn key(port: &str, mac: Mac, address: IpAddr) -> Vec<u8> {
    let mut bytes = port.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes.extend(mac);
    // Fields fill registers of 4 bytes.
    bytes.resize(24, 0);
    bytes.extend(octets(address));
    bytes
}
