//! Netlink sockets: port, multicast groups, peer (netlink(7)). Messages of the kernel cannot be sent again by anyone
//! else, so a socket with queued ones is refused.

use super::options::SOL_NETLINK;
use super::{Found, SocketV1, complete, make};
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::Errno;
use sys::socket_options as option;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NetlinkV1 {
    /// struct sockaddr_nl; port 0 when it was never bound.
    pub local: ByteBuf,
    /// struct sockaddr_nl; empty when it is not connected.
    pub peer: ByteBuf,
    /// Numbers of the multicast groups it belongs to.
    pub groups: Vec<u32>,
}

const NETLINK_ADD_MEMBERSHIP: i32 = 1;
const NETLINK_LIST_MEMBERSHIPS: i32 = 9;
/// Room for the bit map of 2,048 groups.
const GROUPS: usize = 256;

pub fn collect(found: &Found) -> Result<NetlinkV1> {
    let socket = found.file.as_fd();
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    if sys::network::conditions(socket).explain(what)? & libc::POLLIN != 0 {
        return found.refuse("messages of the kernel wait in this netlink socket");
    }
    let local = sys::network::local_address(socket).explain(what)?;
    let peer = sys::network::peer_address(socket).unwrap_or_default();
    let bits = option::option(socket, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, GROUPS).unwrap_or_default();
    let connected = super::messages::word(&peer, 4) != 0 || super::messages::word(&peer, 8) != 0;
    Ok(NetlinkV1 {
        local: ByteBuf::from(local),
        peer: ByteBuf::from(if connected { peer } else { Vec::new() }),
        groups: numbers(&bits),
    })
}

/// Group numbers, from 1, of the bits that are set.
fn numbers(bits: &[u8]) -> Vec<u32> {
    (0..bits.len() as u32 * 8)
        .filter(|bit| bits[*bit as usize / 8] & (1 << (bit % 8)) != 0)
        .map(|bit| bit + 1)
        .collect()
}

pub fn apply(saved: &SocketV1, own: &NetlinkV1, rebuild: &mut Rebuild) -> Result<OwnedFd> {
    let what = || "Could not restore a netlink socket".to_owned();
    let file = make(saved, saved.protocol, &rebuild.sockets)?;
    let socket = file.as_fd();
    let port = super::messages::word(&own.local, 4);
    if port != 0 {
        bind(socket, own, rebuild).explain(what)?;
    }
    for &group in &own.groups {
        option::set_number(socket, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group as i32).explain(what)?;
    }
    if !own.peer.is_empty() {
        sys::network::connect(socket, &own.peer).explain(what)?;
    }
    complete(socket, saved, false)?;
    Ok(file)
}

/// Binds to the port it had. In a network namespace that is shared with others, somebody else may have that now; the
/// kernel then picks another.
fn bind(socket: BorrowedFd, own: &NetlinkV1, rebuild: &mut Rebuild) -> sys::Result<()> {
    let mut address = own.local.to_vec();
    // Groups beyond 32 do not fit into an address: all of them are joined one by one.
    address[8..12].fill(0);
    match sys::network::bind(socket, &address) {
        Err(Errno(libc::EADDRINUSE)) => {
            let port = super::messages::word(&address, 4);
            address[4..8].fill(0);
            rebuild.notes.push(format!("netlink port {port} is taken; the socket has got another"));
            sys::network::bind(socket, &address)
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn groups_are_numbered_from_one() {
        assert_eq!(super::numbers(&[0b1000_0001, 0, 0, 0, 1, 0, 0, 0]), [1, 8, 33]);
    }
}
