//! Packet sockets: interface, protocol, rings, memberships, fanout (packet(7)). Packets that wait in one are copies of
//! what passed by; they are not captured, as if the socket had been too slow.

use super::diagnosis::packet_socket;
use super::options::{SOL_PACKET, saved_number};
use super::{Found, SocketV1, complete, make};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::sockets::Sockets;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use sys::socket_options as option;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PacketV1 {
    /// In host order; 0 receives nothing.
    pub protocol: u16,
    /// 0 for all interfaces.
    pub interface: u32,
    /// What getsockname(2) says: SOCK_PACKET is bound by the name in it.
    pub local: ByteBuf,
    pub memberships: Vec<MembershipV1>,
    /// Block size, blocks, frame size, frames, timeout in ms, private bytes, features.
    pub receive_ring: Option<[u32; 7]>,
    pub send_ring: Option<[u32; 7]>,
    /// Id in the low half, mode and flags in the high one (`PACKET_FANOUT`).
    pub fanout: u32,
    /// By which mappings of its rings name the socket.
    #[serde(default)]
    pub inode: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MembershipV1 {
    pub interface: i32,
    /// How often it was joined.
    pub count: u32,
    /// PACKET_MR_MULTICAST (0), PACKET_MR_PROMISC (1), PACKET_MR_ALLMULTI (2), PACKET_MR_UNICAST (3).
    pub kind: u16,
    pub address: ByteBuf,
}

const PACKET_ADD_MEMBERSHIP: i32 = 1;
const PACKET_RX_RING: i32 = 5;
const PACKET_TX_RING: i32 = 13;
const PACKET_VERSION: i32 = 10;
const PACKET_FANOUT: i32 = 18;
const TPACKET_V3: i32 = 2;
/// The old kind, which takes its interface by name.
const SOCK_PACKET: i32 = 10;

pub fn collect(found: &Found, collection: &mut Collection) -> Result<PacketV1> {
    let socket = found.file.as_fd();
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    let known = packet_socket(found, &collection.sockets)?;
    let waiting = sys::network::conditions(socket).explain(what)? & libc::POLLIN != 0;
    if waiting && known.protocol != 0 {
        let name = found.name();
        collection.notes.push(format!("packets that wait in {name} of process {} were left out", found.pid));
    }
    let fanout = option::number(socket, SOL_PACKET, PACKET_FANOUT).unwrap_or(0) as u32;
    const PACKET_FANOUT_CBPF: u32 = 6;
    const PACKET_FANOUT_EBPF: u32 = 7;
    if fanout != 0 && matches!((fanout >> 16) & 0xff, PACKET_FANOUT_CBPF | PACKET_FANOUT_EBPF) {
        return found.refuse("a BPF program chooses among its fanout group");
    }
    Ok(PacketV1 {
        protocol: known.protocol,
        interface: known.interface,
        local: ByteBuf::from(sys::network::local_address(socket).explain(what)?),
        memberships: known
            .memberships
            .into_iter()
            .map(|(interface, count, kind, address)| MembershipV1 {
                interface,
                count,
                kind,
                address: ByteBuf::from(address),
            })
            .collect(),
        receive_ring: known.receive_ring.filter(|ring| ring[1] != 0),
        send_ring: known.send_ring.filter(|ring| ring[1] != 0),
        fanout,
        inode: found.meta.ino(),
    })
}

pub fn apply(saved: &SocketV1, own: &PacketV1, sockets: &Sockets) -> Result<OwnedFd> {
    let what = || "Could not restore a packet socket".to_owned();
    // Without a protocol at first, so that nothing arrives before it is complete. SOCK_PACKET cannot have it later.
    let late = saved.kind != SOCK_PACKET;
    let file = make(saved, if late { 0 } else { i32::from(own.protocol.to_be()) }, sockets)?;
    let socket = file.as_fd();
    complete(socket, saved, false)?;
    for (name, ring) in [(PACKET_RX_RING, own.receive_ring), (PACKET_TX_RING, own.send_ring)] {
        if let Some(ring) = ring {
            let version = saved_number(&saved.options, SOL_PACKET, PACKET_VERSION);
            option::set_option(socket, SOL_PACKET, name, &ring_request(ring, version)).explain(what)?;
        }
    }
    bind(socket, saved, own).explain(what)?;
    if own.fanout != 0 {
        option::set_number(socket, SOL_PACKET, PACKET_FANOUT, own.fanout as i32).explain(what)?;
    }
    for membership in &own.memberships {
        for _ in 0..membership.count {
            option::set_option(socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership.request())
                .explain(what)?;
        }
    }
    Ok(file)
}

/// struct tpacket_req, of which tpacket_req3 has three words more.
fn ring_request(ring: [u32; 7], version: i32) -> Vec<u8> {
    let words = if version == TPACKET_V3 { &ring[..] } else { &ring[..4] };
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn bind(socket: BorrowedFd, saved: &SocketV1, own: &PacketV1) -> sys::Result<()> {
    if own.protocol == 0 && own.interface == 0 {
        return Ok(());
    }
    if saved.kind == SOCK_PACKET {
        return if own.interface == 0 { Ok(()) } else { bind_by_name(socket, own) };
    }
    // struct sockaddr_ll
    let mut address = (libc::AF_PACKET as u16).to_ne_bytes().to_vec();
    address.extend(own.protocol.to_be_bytes());
    address.extend(own.interface.to_ne_bytes());
    address.resize(20, 0);
    sys::network::bind(socket, &address)
}

/// SOCK_PACKET takes the interface's name as its address.
fn bind_by_name(socket: BorrowedFd, own: &PacketV1) -> sys::Result<()> {
    let mut address = own.local.to_vec();
    address.resize(16, 0);
    sys::network::bind(socket, &address)
}

impl MembershipV1 {
    /// struct packet_mreq, or packet_mreq_max where the address is longer.
    fn request(&self) -> Vec<u8> {
        let mut bytes = self.interface.to_ne_bytes().to_vec();
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend((self.address.len() as u16).to_ne_bytes());
        bytes.extend(self.address.iter());
        bytes.resize(bytes.len().max(16), 0);
        bytes
    }
}
