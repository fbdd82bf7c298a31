//! What virtual networks need of the kernel. Each question is one netlink message, sent in a network namespace of a
//! child's own.

use super::Check;
use ::network::xfrm;
use sys::probe;

/// Protocols of netlink(7), and numbers of linux/rtnetlink.h, linux/if_link.h and linux/netfilter/.
const ROUTE: i32 = 0;
const XFRM: i32 = 6;
const NETFILTER: i32 = 12;
const RTM_NEWLINK: u16 = 16;
const REQUEST: u16 = 0x1;
const REQUEST_ACK_CREATE: u16 = 0x1 | 0x4 | 0x400;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
/// NFNL_SUBSYS_NFTABLES and NFT_MSG_GETGEN: "which generation is the rule set of?"
const NFT_GETGEN: u16 = 10 << 8 | 16;

pub fn checks() -> Vec<Check> {
    vec![
        link("veth", "veth", "CONFIG_VETH"),
        link("VXLAN", "vxlan", "CONFIG_VXLAN"),
        Check::call("XFRM", probe::netlink(XFRM, &[]), "CONFIG_XFRM_USER")
            .otherwise("virtual networks that span hosts cannot be encrypted"),
        esp("ESP with AES-GCM", false, "CONFIG_INET_ESP, CONFIG_CRYPTO_GCM and CONFIG_CRYPTO_SEQIV"),
        esp("ESP for IPv6", true, "CONFIG_INET6_ESP, CONFIG_CRYPTO_GCM and CONFIG_CRYPTO_SEQIV"),
        Check::call(
            "nftables",
            probe::netlink(NETFILTER, &message(NFT_GETGEN, REQUEST, &[0; 4])),
            "CONFIG_NF_TABLES",
        )
        .otherwise("connections cannot be held still while they are captured"),
    ]
}

fn esp(name: &'static str, v6: bool, needed: &'static str) -> Check {
    Check::call(name, xfrm::probe(v6).map_err(|error| error.errno), needed)
        .otherwise("virtual networks that span hosts cannot be encrypted (--encrypt)")
}

fn link(name: &'static str, kind: &str, needed: &'static str) -> Check {
    let info = attribute(IFLA_LINKINFO, &attribute(IFLA_INFO_KIND, kind.as_bytes()));
    let body = [&[0u8; 16][..], &info].concat();
    // A kernel that knows the kind makes a link or misses its settings; one that does not says "not supported".
    let answer = match probe::netlink(ROUTE, &message(RTM_NEWLINK, REQUEST_ACK_CREATE, &body)) {
        Err(sys::Errno::EINVAL) => Ok(()),
        other => other,
    };
    Check::call(name, answer, needed).otherwise("virtual networks cannot be built")
}

/// struct nlmsghdr and its body.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = 16 + body.len() as u32;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes
}

/// struct rtattr and its body, filled up to four bytes.
fn attribute(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = 4 + body.len() as u16;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::link;

    #[test]
    fn a_kind_of_link_that_no_kernel_knows_is_not_found() {
        let check = link("unknown", "nosuchkind", "nothing");
        assert!(!check.ok, "{check:?}");
    }
}
