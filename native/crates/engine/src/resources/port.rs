//! Ports that the application listens on: TCP listeners, and UDP sockets that are bound and not connected.

use super::running::{Process, Running};
use super::{Backend, Class, Id, Row, owner};
use crate::chain::Chain;
use crate::explain::Result;
use crate::procfs;
use crate::state::descriptors::KindV1;
use crate::state::descriptors::network::inet::{InetV1, RoleV1};
use crate::state::descriptors::network::{BodyV1, SocketV1, address};
use abi::edits::Port;
use abi::network::Published;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub struct Ports;

/// The kernel's lists, and the state that a socket is in which others can reach by its port (net/tcp_states.h).
const LISTS: [(&str, &str, &str); 4] =
    [("tcp", "tcp", "0A"), ("tcp6", "tcp", "0A"), ("udp", "udp", "07"), ("udp6", "udp", "07")];

impl Class for Ports {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        let namespace = application.own_network()?;
        let inodes: HashSet<u64> = application.processes.iter().flat_map(sockets).collect();
        let mut rows = Vec::new();
        for (list, protocol, state) in LISTS {
            let path = format!("/proc/{}/net/{list}", application.hosted.init);
            // A kernel without IPv6 has no list of it.
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let listed = text.lines().skip(1).filter_map(|line| parse(line, state));
            let own = listed.filter(|(_, _, inode)| inodes.contains(inode));
            rows.extend(own.map(|(address, uid, _)| row(protocol, address, uid, namespace.is_some())));
        }
        let moved = application.moved_ports();
        let published = application.published();
        let rows = once(rows).into_iter().map(|row| both(row, namespace, moved));
        Ok(rows.map(|row| led_to(row, &published)).collect())
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        let sockets = chain.descriptions.iter().filter_map(|description| match &description.kind {
            KindV1::Network(socket) => saved_row(socket, chain.network.is_some()),
            _ => None,
        });
        once(sockets.collect())
    }
}

/// Adds the port on the host; the application knows it by another one where a rule has moved it.
fn both(row: Row, namespace: Option<u64>, moved: &[Port]) -> Row {
    let system_id = Some(system_id(&row.virtual_id, namespace));
    let port = moved.iter().find(|port| row.virtual_id == Id::Number(port.to.into()));
    match port {
        Some(port) => {
            Row { virtual_id: Id::Number(port.from.into()), system_id, backend: Backend::Translate, ..row }
        }
        None => Row { system_id, ..row },
    }
}

/// A port of the host that leads there is what others call it.
fn led_to(row: Row, published: &[Published]) -> Row {
    let leads = |port: &&Published| {
        let protocol = row.key.as_deref().and_then(|key| key.split(' ').next());
        row.virtual_id == Id::Number(port.port.into()) && protocol == Some(port.protocol.name())
    };
    match published.iter().find(leads) {
        Some(port) => {
            Row { system_id: Some(Id::Number(port.host.into())), backend: Backend::Translate, ..row }
        }
        None => row,
    }
}

/// Several sockets may share a port.
fn once(mut rows: Vec<Row>) -> Vec<Row> {
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert((format!("{:?}", row.virtual_id), row.key.clone())));
    rows
}

/// What the host calls a port: the same, or the port of a namespace (its inode, as in `/proc/PID/ns/net`).
fn system_id(port: &Id, namespace: Option<u64>) -> Id {
    match (port, namespace) {
        (Id::Number(port), Some(namespace)) => Id::Name(format!("net:[{namespace}] {port}")),
        _ => port.clone(),
    }
}

fn row(protocol: &str, address: SocketAddr, uid: u32, own: bool) -> Row {
    Row {
        key: Some(format!("{protocol} {}", address.ip())),
        owner: Some(owner::name(uid)),
        backend: if own { Backend::Namespace } else { Backend::Host },
        ..Row::new("port", Id::Number(address.port().into()))
    }
}

fn saved_row(socket: &SocketV1, own: bool) -> Option<Row> {
    let BodyV1::Inet(InetV1 { local, peer, role, .. }) = &socket.body else { return None };
    let address = address::parse(local).filter(|address| address.port() != 0)?;
    match (socket.kind, role) {
        (libc::SOCK_STREAM, RoleV1::Listener { .. }) => Some(row("tcp", address, socket.uid, own)),
        (libc::SOCK_DGRAM, RoleV1::Plain) if peer.is_empty() && socket.protocol == libc::IPPROTO_UDP => {
            Some(row("udp", address, socket.uid, own))
        }
        _ => None,
    }
}

/// Inodes of the sockets that a process has open.
fn sockets(process: &Process) -> Vec<u64> {
    let descriptors = procfs::descriptors(process.pid).unwrap_or_default();
    let inode = |fd: i32| {
        let link = std::fs::read_link(format!("/proc/{}/fd/{fd}", process.pid)).ok()?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    descriptors.into_iter().filter_map(inode).collect()
}

/// Local address, user and inode of a socket in the wanted state, from a line of /proc/net/tcp and its like (proc_net(5)).
fn parse(line: &str, wanted: &str) -> Option<(SocketAddr, u32, u64)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, local, _, state, _, _, _, uid, _, inode, ..] = words.as_slice() else { return None };
    if *state != wanted {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    let address = SocketAddr::new(parse_ip(ip)?, u16::from_str_radix(port, 16).ok()?);
    Some((address, uid.parse().ok()?, inode.parse().ok()?))
}

/// Words of 32 bits as they lie in memory, in hexadecimal.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_a_namespace_says_which() {
        let port = Id::Number(80);
        assert_eq!(system_id(&port, None), port);
        assert_eq!(system_id(&port, Some(4711)), Id::Name("net:[4711] 80".to_owned()));
    }

    #[test]
    fn a_published_port_is_known_by_that_of_the_host() {
        let published =
            [Published { protocol: abi::network::Protocol::Tcp, port: 80, host: 18080, auto: true }];
        let row = |protocol| {
            led_to(row(protocol, "10.10.2.1:80".parse().expect("an address"), 0, true), &published)
        };
        assert_eq!((row("tcp").system_id, row("tcp").backend), (Some(Id::Number(18080)), Backend::Translate));
        assert_eq!((row("udp").system_id, row("udp").backend), (None, Backend::Namespace));
    }

    #[test]
    fn listeners_are_told_from_connections() {
        let line = "   1: 0100007F:52DC 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 204422 1";
        let expected = ("127.0.0.1:21212".parse().expect("an address"), 65534, 204422);
        assert_eq!(parse(line, "0A"), Some(expected));
        assert_eq!(parse(line, "07"), None);
        assert_eq!(parse_ip("00000000000000000000000001000000"), Some(Ipv6Addr::LOCALHOST.into()));
    }
}
