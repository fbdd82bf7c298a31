//! What an application may have made in a network namespace of its own, which a restore would not bring back.

use super::loopback;
use super::route::{Interface, Router};
use crate::explain::{Result, refused};
use crate::sockets::Sockets;
use crate::state::descriptors::network::messages::{Conversation, attributes};
use abi::network::OwnNetwork;
use std::fs;

/// Of routing rules, those that every namespace has: local, main, default.
const USUAL_RULES: [u32; 3] = [0, 32766, 32767];
/// How the names of our own packet filter tables begin.
const OUR_TABLES: &str = "stasis";

pub fn require_nothing(
    own: &OwnNetwork,
    interfaces: &[Interface],
    router: &Router,
    sockets: &Sockets,
    init: i32,
) -> Result<()> {
    let found = interface(own, interfaces)
        .or(routing(interfaces, router)?)
        .or_else(|| filter(sockets))
        .or_else(|| old_filter(init));
    let Some(why) = found else { return Ok(()) };
    Err(refused(init, "the network namespace", &why)
        .hint("Remove that, or let it be made from outside, and take the snapshot then"))
}

/// Those that the kernel puts into every namespace (`tunl0`, `sit0`, ...) are off.
fn interface(own: &OwnNetwork, interfaces: &[Interface]) -> Option<String> {
    let known = |name: &str| name == loopback::NAME || own.links.iter().any(|link| link.interface == name);
    let other = interfaces.iter().find(|interface| interface.up && !known(&interface.name))?;
    Some(format!("the application has an interface \"{}\" there", other.name))
}

/// Routes over the links belong to whoever has put those in.
fn routing(interfaces: &[Interface], router: &Router) -> Result<Option<String>> {
    let loopback = interfaces.iter().find(|interface| interface.name == loopback::NAME);
    let index = loopback.map_or(0, |interface| interface.index);
    if router.made_routes()?.into_iter().any(|output| output == 0 || output == index) {
        return Ok(Some("the application has made routes there".to_owned()));
    }
    let unusual = router.rules().into_iter().any(|priority| !USUAL_RULES.contains(&priority));
    Ok(unusual.then(|| "the application has made routing rules there".to_owned()))
}

/// Tables of nftables. A kernel without it has none.
fn filter(sockets: &Sockets) -> Option<String> {
    const NETLINK_NETFILTER: i32 = 12;
    const GETTABLE: u16 = (10 << 8) | 1;
    const NAME: u16 = 1;
    // struct nfgenmsg of no family in particular.
    let tables = Conversation::from(sockets.netlink(NETLINK_NETFILTER).ok()?).dump(GETTABLE, &[0; 4]).ok()?;
    let name = |table: &Vec<u8>| {
        let list = attributes(table.get(4..)?);
        let (_, name) = list.into_iter().find(|(kind, _)| *kind == NAME)?;
        Some(String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned())
    };
    let other = tables.iter().filter_map(name).find(|name| !name.starts_with(OUR_TABLES))?;
    Some(format!("the application has a table \"{other}\" of nftables there"))
}

/// Tables of iptables and its like.
fn old_filter(init: i32) -> Option<String> {
    let list = |name: &str| fs::read_to_string(format!("/proc/{init}/net/{name}_tables_names")).ok();
    let tables = ["ip", "ip6", "arp"].into_iter().filter_map(list).collect::<String>();
    let first = tables.split_whitespace().next()?;
    Some(format!("the application has a table \"{first}\" of iptables there"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::network::{Environment, Link};

    #[test]
    fn interfaces_that_are_on_must_be_known() {
        let interface = |name: &str, up| Interface { index: 1, name: name.to_owned(), up, mtu: 1500 };
        let environment = Environment {
            name: "shop".into(),
            id: "a1b2c3".into(),
            subnets: Vec::new(),
            outside: false,
            mtu: None,
            apart: false,
        };
        let link =
            Link { environment, interface: "eth0".to_owned(), addresses: Vec::new(), published: Vec::new() };
        let own = OwnNetwork { links: vec![link] };
        let known = [interface("lo", true), interface("eth0", true), interface("tunl0", false)];
        assert_eq!(super::interface(&own, &known), None);
        let other = super::interface(&own, &[interface("dummy0", true)]);
        assert_eq!(other.as_deref(), Some("the application has an interface \"dummy0\" there"));
    }
}
