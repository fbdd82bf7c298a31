//! Multicast groups that a socket has joined. The kernel lists groups by interface only, so every socket is asked about
//! every one of them (`MCAST_MSFILTER`, ip(7)).

use super::messages::{half, word};
use super::options::{SOL_IP, SOL_IPV6};
use crate::explain::{Explain, Result};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use sys::socket_options::{option_about, set_option};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupV1 {
    /// SOL_IP or SOL_IPV6.
    pub level: i32,
    /// `struct group_filter` as the kernel has it: interface, group, mode, sources.
    pub filter: ByteBuf,
}

const MCAST_JOIN_GROUP: i32 = 42;
const MCAST_MSFILTER: i32 = 48;
const MCAST_EXCLUDE: u32 = 0;
/// struct group_filter without its sources: u32 interface, padding, 128 bytes of address, u32 mode, u32 count.
const HEADER: usize = 144;
const SOURCE: usize = 128;
/// The kernel's default for the most sources of one group (igmp_max_msf is 10, mld_max_msf 64).
const SOURCES: usize = 64;

/// The groups that somebody on this host has joined, by interface.
fn known(pid: i32) -> Vec<(i32, u32, SocketAddr)> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    let mut groups = parse_igmp(&read("igmp"));
    groups.extend(parse_igmp6(&read("igmp6")));
    groups
}

/// /proc/net/igmp: a line for each interface, `1 lo : ...`, then an indented one for each group, `010000E0 ...`.
fn parse_igmp(text: &str) -> Vec<(i32, u32, SocketAddr)> {
    let mut interface = 0;
    let mut groups = Vec::new();
    for line in text.lines().skip(1) {
        let first = line.split_ascii_whitespace().next().unwrap_or_default();
        if line.starts_with(char::is_numeric) {
            interface = first.parse().unwrap_or(0);
        } else if let Ok(group) = u32::from_str_radix(first, 16) {
            let address = Ipv4Addr::from(group.to_ne_bytes());
            groups.push((SOL_IP, interface, SocketAddr::new(address.into(), 0)));
        }
    }
    groups
}

/// /proc/net/igmp6: `1    lo    ff020000000000000000000000000001     1 0000000C 0`.
fn parse_igmp6(text: &str) -> Vec<(i32, u32, SocketAddr)> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let group = u128::from_str_radix(fields.get(2)?, 16).ok()?;
        Some((SOL_IPV6, fields[0].parse().ok()?, SocketAddr::new(Ipv6Addr::from(group).into(), 0)))
    };
    text.lines().filter_map(line).collect()
}

/// The groups that this socket has joined itself.
pub fn collect(pid: i32, socket: BorrowedFd) -> Vec<GroupV1> {
    let question = |interface: u32, group| {
        let mut bytes = vec![0u8; HEADER + SOURCES * SOURCE];
        bytes[..4].copy_from_slice(&interface.to_ne_bytes());
        let address = super::address::bytes(group);
        bytes[8..8 + address.len()].copy_from_slice(&address);
        bytes[140..144].copy_from_slice(&(SOURCES as u32).to_ne_bytes());
        bytes
    };
    let ask = |(level, interface, group)| {
        let filter = option_about(socket, level, MCAST_MSFILTER, &question(interface, group)).ok()?;
        // What is joined has a mode; the kernel answers EADDRNOTAVAIL for what is not.
        (half(&filter, 8) != 0).then(|| GroupV1 { level, filter: ByteBuf::from(whole(filter)) })
    };
    known(pid).into_iter().filter_map(ask).collect()
}

/// Cut to the sources that there are.
fn whole(mut filter: Vec<u8>) -> Vec<u8> {
    let count = (word(&filter, 140) as usize).min(SOURCES);
    filter.resize(HEADER + count * SOURCE, 0);
    filter
}

pub fn apply(socket: BorrowedFd, groups: &[GroupV1]) -> Result<()> {
    for group in groups {
        let what = || "Could not join a multicast group again".to_owned();
        // struct group_req is the beginning of struct group_filter.
        let request = group.filter.get(..136).ok_or(sys::Errno::EINVAL).explain(what)?;
        set_option(socket, group.level, MCAST_JOIN_GROUP, request).explain(what)?;
        let plain = word(&group.filter, 136) == MCAST_EXCLUDE && word(&group.filter, 140) == 0;
        if !plain {
            set_option(socket, group.level, MCAST_MSFILTER, &group.filter).explain(what)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn igmp_lists_groups_below_interfaces() {
        let text = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
                    1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
                    2\teth0      :     1      V3\n\t\t\t\tFB0000E0     1 0:00000000\t\t0\n";
        let group = |text: &str| SocketAddr::new(text.parse().expect("an address"), 0);
        assert_eq!(parse_igmp(text), [(SOL_IP, 1, group("224.0.0.1")), (SOL_IP, 2, group("224.0.0.251"))]);
    }

    #[test]
    fn igmp6_names_the_interface_in_each_line() {
        let text = "1    lo              ff020000000000000000000000000001     1 0000000C 0\n";
        let group: std::net::IpAddr = "ff02::1".parse().expect("an address");
        assert_eq!(parse_igmp6(text), [(SOL_IPV6, 1, SocketAddr::new(group, 0))]);
    }

    #[test]
    fn a_socket_tells_which_groups_it_has_joined() {
        use std::os::fd::AsFd;
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        let group = Ipv4Addr::new(239, 1, 2, 3);
        if socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).is_err() {
            return; // No loopback interface in this sandbox.
        }
        let pid = std::process::id() as i32;
        let groups = collect(pid, socket.as_fd());
        assert_eq!(groups.len(), 1);
        let other = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        assert_eq!(collect(pid, other.as_fd()), []);
        apply(other.as_fd(), &groups).expect("joined");
        assert_eq!(collect(pid, other.as_fd()), groups);
    }
}
