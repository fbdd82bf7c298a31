//! The loopback interface: whether it is on, and its addresses. A new namespace has 127.0.0.1, and ::1 where IPv6 is
//! not switched off.

use super::route::{Address, Interface, Router};
use crate::explain::{Explain, Result};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::net::IpAddr;

pub const NAME: &str = "lo";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopbackV1 {
    pub up: bool,
    /// Bytes of the longest packet.
    pub mtu: u32,
    pub addresses: Vec<AddressV1>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressV1 {
    /// 4 or 16 bytes.
    pub bytes: ByteBuf,
    /// Bits of the network's part.
    pub prefix: u8,
    /// RT_SCOPE_HOST and so on (rtnetlink(7)).
    pub scope: u8,
}

pub fn collect(interfaces: &[Interface], router: &Router) -> Result<LoopbackV1> {
    let own = find(interfaces)?;
    let addresses = router.addresses(own.index)?.into_iter().map(|address| AddressV1 {
        bytes: ByteBuf::from(address.bytes),
        prefix: address.prefix,
        scope: address.scope,
    });
    Ok(LoopbackV1 { up: own.up, mtu: own.mtu, addresses: addresses.collect() })
}

/// The interface is on; it is switched off last, if it was off.
pub fn apply(saved: &LoopbackV1, router: &Router) -> Result<()> {
    let fresh = find(&router.interfaces()?)?;
    let present = router.addresses(fresh.index)?;
    let wanted: Vec<Address> = saved.addresses.iter().map(AddressV1::address).collect();
    for address in present.iter().filter(|address| !wanted.contains(address)) {
        router
            .remove_address(fresh.index, address)
            .explain(|| format!("Could not take the address {} from loopback", name(address)))?;
    }
    // One that is off has lost ::1 and keeps the rest.
    for address in wanted.iter().filter(|address| !present.contains(address)) {
        router
            .add_address(fresh.index, address)
            .explain(|| format!("Could not give loopback the address {}", name(address)))?;
    }
    let changed = Interface { up: saved.up, mtu: saved.mtu, ..fresh.clone() };
    if changed != fresh {
        let what = || "Could not set the loopback interface up as it was".to_owned();
        router.set_interface(&changed).explain(what)?;
    }
    Ok(())
}

fn find(interfaces: &[Interface]) -> Result<Interface> {
    let found = interfaces.iter().find(|interface| interface.name == NAME);
    found
        .cloned()
        .ok_or(sys::Errno(libc::ENODEV))
        .explain(|| "Could not find the loopback interface of the application's network namespace".to_owned())
}

impl AddressV1 {
    fn address(&self) -> Address {
        let family = if self.bytes.len() == 4 { libc::AF_INET } else { libc::AF_INET6 };
        Address { family: family as u8, prefix: self.prefix, scope: self.scope, bytes: self.bytes.to_vec() }
    }

    /// Whether it can be one.
    pub fn is_sound(&self) -> bool {
        let bits = self.bytes.len() * 8;
        matches!(bits, 32 | 128) && usize::from(self.prefix) <= bits
    }
}

fn name(address: &Address) -> String {
    let bytes = &address.bytes;
    let four = <[u8; 4]>::try_from(bytes.as_slice()).map(IpAddr::from);
    let ip = four.or_else(|_| <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from));
    ip.map_or_else(|_| "?".to_owned(), |ip| format!("{ip}/{}", address.prefix))
}
