//! What virtual networks need of the kernel. Each question is one netlink message, sent in a network namespace of a
//! child's own.

use super::{Check, text_of};
use ::network::messages::{NLM_F_ACK, NLM_F_REQUEST, attribute, message, nest};
use ::network::nftables::Family;
use ::network::xfrm;
use sys::probe;

/// Protocols of netlink(7), and numbers of linux/rtnetlink.h, linux/if_link.h and linux/netfilter/.
const ROUTE: i32 = 0;
const XFRM: i32 = 6;
const NETFILTER: i32 = 12;
const RTM_NEWLINK: u16 = 16;
const NLM_F_CREATE: u16 = 0x400;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_PORT: u16 = 15;
/// The port of RFC 7348.
const VXLAN_PORT: u16 = 4789;
/// NFNL_SUBSYS_NFTABLES and its messages.
const NFTABLES: u16 = 10;
const NEW_TABLE: u16 = 0;
const NEW_CHAIN: u16 = 3;
const GET_GENERATION: u16 = 16;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const OF_ENVIRONMENTS: &str = "virtual network environments cannot be made";

pub fn checks() -> Vec<Check> {
    vec![
        Check::call("veth", link("veth", &[]), "CONFIG_VETH").otherwise(OF_ENVIRONMENTS),
        Check::call("bridge", link("bridge", &[]), "CONFIG_BRIDGE").otherwise(OF_ENVIRONMENTS),
        Check::call("VXLAN", link("vxlan", &vxlan()), "CONFIG_VXLAN")
            .otherwise("virtual network environments stay on one host"),
        Check::call("XFRM", probe::netlink(XFRM, &[]), "CONFIG_XFRM_USER")
            .otherwise("virtual networks that span hosts cannot be encrypted"),
        esp("ESP with AES-GCM", false, "CONFIG_INET_ESP, CONFIG_CRYPTO_GCM and CONFIG_CRYPTO_SEQIV"),
        esp("ESP for IPv6", true, "CONFIG_INET6_ESP, CONFIG_CRYPTO_GCM and CONFIG_CRYPTO_SEQIV"),
        Check::call("nftables", probe::netlink(NETFILTER, &generation()), "CONFIG_NF_TABLES")
            .otherwise("connections cannot be held still while they are captured"),
        Check::call(
            "nftables for bridges",
            probe::netlink(NETFILTER, &batch(&[table(Family::Bridge, 0), chain(Family::Bridge)])),
            "CONFIG_NF_TABLES_BRIDGE",
        )
        .otherwise(OF_ENVIRONMENTS),
        Check::call(
            "nftables with owners",
            probe::netlink(NETFILTER, &batch(&[table(Family::Inet, TABLE_OWNER)])),
            "Linux 5.12, CONFIG_NF_TABLES_INET",
        )
        .otherwise("ports of this host cannot lead to applications (--publish)"),
        bridge_netfilter(),
    ]
}

fn esp(name: &'static str, v6: bool, needed: &'static str) -> Check {
    Check::call(name, xfrm::probe(v6).map_err(|error| error.errno), needed)
        .otherwise("virtual networks that span hosts cannot be encrypted (--encrypt)")
}

/// Whether frames that bridges forward are shown to the rules of iptables, as container engines ask for
/// (Documentation/networking/ip-sysctl.rst, "/proc/sys/net/bridge"). No file means that br_netfilter is not loaded.
fn bridge_netfilter() -> Check {
    let set = text_of("/proc/sys/net/bridge/bridge-nf-call-iptables");
    let found = match set.as_str() {
        "" => "not loaded".to_owned(),
        set => format!("net.bridge.bridge-nf-call-iptables = {set}"),
    };
    Check::new("bridge netfilter", set.is_empty() || set == "0", found, "not loaded, or 0")
        .otherwise("rules of this host for what it forwards hold between members of environments, too")
        .fix("sysctl net.bridge.bridge-nf-call-iptables=0, or let their ranges pass")
}

/// Makes a link of that kind, which vanishes with the namespace.
fn link(kind: &str, settings: &[Vec<u8>]) -> sys::Result<()> {
    let mut info = vec![attribute(IFLA_INFO_KIND, kind.as_bytes())];
    if !settings.is_empty() {
        info.push(nest(IFLA_INFO_DATA, settings));
    }
    let body = [&[0; 16][..], &nest(IFLA_LINKINFO, &info)].concat();
    probe::netlink(ROUTE, &message(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, &body))
}

fn vxlan() -> [Vec<u8>; 2] {
    [attribute(IFLA_VXLAN_ID, &1u32.to_ne_bytes()), attribute(IFLA_VXLAN_PORT, &VXLAN_PORT.to_be_bytes())]
}

/// "Which generation is the rule set of?"
fn generation() -> Vec<u8> {
    message(NFTABLES << 8 | GET_GENERATION, NLM_F_REQUEST, 1, &[0; 4])
}

/// NFT_TABLE_F_OWNER: the table belongs to the socket that it was made through.
const TABLE_OWNER: u32 = 2;

/// A change of the rules: its kind, and its body behind `struct nfgenmsg`.
type Change = (u16, Vec<u8>);

fn table(family: Family, flags: u32) -> Change {
    const NAME: u16 = 1;
    const FLAGS: u16 = 2;
    let parts = [attribute(NAME, b"probe\0"), attribute(FLAGS, &flags.to_be_bytes())];
    (NEW_TABLE, of_family(family, &parts))
}

/// A chain that is asked before anything else is decided.
fn chain(family: Family) -> Change {
    const TABLE: u16 = 1;
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const KIND: u16 = 7;
    const HOOK_NUMBER: u16 = 1;
    const HOOK_PRIORITY: u16 = 2;
    let hook = [attribute(HOOK_NUMBER, &[0; 4]), attribute(HOOK_PRIORITY, &[0; 4])];
    let parts = [
        attribute(TABLE, b"probe\0"),
        attribute(NAME, b"probe\0"),
        nest(HOOK, &hook),
        attribute(KIND, b"filter\0"),
    ];
    (NEW_CHAIN, of_family(family, &parts))
}

fn of_family(family: Family, parts: &[Vec<u8>]) -> Vec<u8> {
    [&[family as u8, 0, 0, 0][..], &parts.concat()].concat()
}

/// Changes that are made all together; the last one is acknowledged.
fn batch(changes: &[Change]) -> Vec<u8> {
    let mark = [&[0, 0][..], &NFTABLES.to_be_bytes()].concat();
    let mut bytes = message(BATCH_BEGIN, NLM_F_REQUEST, 0, &mark);
    for (index, (kind, body)) in changes.iter().enumerate() {
        let ack = if index + 1 == changes.len() { NLM_F_ACK } else { 0 };
        let flags = NLM_F_REQUEST | NLM_F_CREATE | ack;
        bytes.extend(message(NFTABLES << 8 | kind, flags, index as u32 + 1, body));
    }
    bytes.extend(message(BATCH_END, NLM_F_REQUEST, changes.len() as u32 + 1, &mark));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_link_that_no_kernel_knows_is_not_found() {
        assert!(link("nosuchkind", &[]).is_err());
    }

    #[test]
    fn a_family_of_rules_that_no_kernel_knows_is_not_found() {
        let unknown = |mut change: Change| {
            change.1[0] = 77;
            change
        };
        let batch = batch(&[unknown(table(Family::Inet, 0)), unknown(chain(Family::Inet))]);
        assert!(probe::netlink(NETFILTER, &batch).is_err());
    }
}
