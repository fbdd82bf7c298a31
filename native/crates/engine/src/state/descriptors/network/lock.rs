//! Holding back what peers send to connections that nobody has for a while: between the end of the processes and their
//! restore, this host would answer with a reset. A table of nftables drops those packets; peers send them again later.

use super::messages::{Conversation, NLM_F_ACK, NLM_F_REQUEST, attribute, message, nest};
use crate::sockets::Sockets;
use std::net::{IpAddr, SocketAddr};

const NETLINK_NETFILTER: i32 = 12;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NFPROTO_INET: u8 = 1;
const CHAIN: &[u8] = b"input\0";

/// The table goes with the socket that made it (Linux 5.12): whichever way this command ends, packets pass again.
const NFT_TABLE_F_OWNER: u32 = 2;

/// A connection as packets from its peer show it: peer, then local.
pub type Flow = (SocketAddr, SocketAddr);

/// Packets that are dropped for now.
pub enum What {
    /// All that come into a network namespace.
    AllFromOutside,
    Flows(Vec<Flow>),
}

/// Drops packets until it is dropped itself.
#[derive(Debug)]
pub struct Lock {
    table: String,
    conversation: Conversation,
}

impl Lock {
    /// Drops packets until it is dropped itself, or this process ends. `name` must be unique on this host.
    pub fn take_for_now(name: String, what: &What, sockets: &Sockets) -> sys::Result<Self> {
        let conversation = Conversation::from(sockets.netlink(NETLINK_NETFILTER)?);
        let table = [attribute(1, &zero_ended(&name)), attribute(2, &NFT_TABLE_F_OWNER.to_be_bytes())];
        let rules = match what {
            What::AllFromOutside => vec![from_outside(&name)],
            What::Flows(flows) => flows.iter().map(|flow| rule(&name, flow)).collect(),
        };
        commit(making(&name, &table, &rules), &conversation)?;
        Ok(Self { table: name, conversation })
    }

    /// Leaves packets of some connections held back, by a table that outlasts this process.
    pub fn leave(self, name: &str, flows: &[Flow]) -> sys::Result<()> {
        let rules: Vec<_> = flows.iter().map(|flow| rule(name, flow)).collect();
        commit(making(name, &[attribute(1, &zero_ended(name))], &rules), &self.conversation)
    }

    /// Takes charge of a lock that was kept; what its name does not find is gone already.
    ///
    /// # Errors
    /// When this kernel has no packet filter, and so no lock.
    pub fn assume(name: String, sockets: &Sockets) -> sys::Result<Self> {
        let conversation = Conversation::from(sockets.netlink(NETLINK_NETFILTER)?);
        Ok(Self { table: name, conversation })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let table = attribute(1, &zero_ended(&self.table));
        // Somebody else may have removed it, with a reload of the firewall.
        let _ = commit(vec![change(DELTABLE, 0, &[table])], &self.conversation);
    }
}

/// A table with a chain and its rules.
fn making(name: &str, table: &[Vec<u8>], rules: &[Vec<Vec<u8>>]) -> Vec<Change> {
    let mut changes =
        vec![change(NEWTABLE, NLM_F_CREATE, table), change(NEWCHAIN, NLM_F_CREATE, &chain(name))];
    changes.extend(rules.iter().map(|rule| change(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, rule)));
    changes
}

fn zero_ended(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// One message of a batch, without its length yet: kind, flags, body.
type Change = (u16, u16, Vec<u8>);

fn change(kind: u16, flags: u16, attributes: &[Vec<u8>]) -> Change {
    // struct nfgenmsg: family, version, resource
    let body = [&[NFPROTO_INET, 0, 0, 0][..], &attributes.concat()].concat();
    ((NFNL_SUBSYS_NFTABLES << 8) | kind, flags, body)
}

/// All changes happen, or none: they go between the marks of one batch. The last one is acknowledged.
fn commit(changes: Vec<Change>, conversation: &Conversation) -> sys::Result<()> {
    let mark = [&[0, 0][..], &NFNL_SUBSYS_NFTABLES.to_be_bytes()].concat();
    let mut batch = message(BATCH_BEGIN, NLM_F_REQUEST, 0, &mark);
    let last = changes.len();
    for (index, (kind, flags, body)) in changes.into_iter().enumerate() {
        let acknowledge = if index + 1 == last { NLM_F_ACK } else { 0 };
        batch.extend(message(kind, NLM_F_REQUEST | acknowledge | flags, index as u32 + 1, &body));
    }
    batch.extend(message(BATCH_END, NLM_F_REQUEST, last as u32 + 1, &mark));
    conversation.ask(&batch)
}

/// A chain on the way in to this host's own sockets, before connection tracking.
fn chain(table: &str) -> Vec<Vec<u8>> {
    const NF_INET_LOCAL_IN: u32 = 1;
    const BEFORE_OTHERS: i32 = -300;
    let hook = [attribute(1, &NF_INET_LOCAL_IN.to_be_bytes()), attribute(2, &BEFORE_OTHERS.to_be_bytes())];
    vec![attribute(1, &zero_ended(table)), attribute(3, CHAIN), nest(4, &hook), attribute(7, b"filter\0")]
}

/// Drop what comes by any link but loopback, which is the first of every namespace.
fn from_outside(table: &str) -> Vec<Vec<u8>> {
    const META_IIF: u32 = 4;
    const LOOPBACK: u32 = 1;
    let expressions = [meta(META_IIF), compare(DIFFERENT, &LOOPBACK.to_ne_bytes()), drop_it()];
    vec![attribute(1, &zero_ended(table)), attribute(2, CHAIN), nest(4, &expressions)]
}

/// Drop TCP from this peer and port to this address and port.
fn rule(table: &str, (peer, local): &Flow) -> Vec<Vec<u8>> {
    const META_NFPROTO: u32 = 15;
    const META_L4PROTO: u32 = 16;
    const NETWORK: u32 = 1;
    const TRANSPORT: u32 = 2;
    let (family, at, addresses) = match (peer.ip(), local.ip()) {
        (IpAddr::V4(peer), IpAddr::V4(local)) => (2, 12, [peer.octets(), local.octets()].concat()),
        (peer, local) => (10, 8, [v6(peer), v6(local)].concat()),
    };
    let half = addresses.len() as u32 / 2;
    let (source, target) = addresses.split_at(half as usize);
    let mut expressions = Vec::new();
    let mut want = |load: Vec<u8>, value: &[u8]| expressions.extend([load, equals(value)]);
    want(meta(META_NFPROTO), &[family]);
    want(meta(META_L4PROTO), &[super::wire::TCP]);
    want(payload(NETWORK, at, half), source);
    want(payload(NETWORK, at + half, half), target);
    want(payload(TRANSPORT, 0, 2), &peer.port().to_be_bytes());
    want(payload(TRANSPORT, 2, 2), &local.port().to_be_bytes());
    expressions.push(drop_it());
    vec![attribute(1, &zero_ended(table)), attribute(2, CHAIN), nest(4, &expressions)]
}

fn v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

const REGISTER: u32 = 1;

fn expression(name: &[u8], data: &[Vec<u8>]) -> Vec<u8> {
    nest(1, &[attribute(1, name), nest(2, data)])
}

fn meta(key: u32) -> Vec<u8> {
    expression(b"meta\0", &[attribute(1, &REGISTER.to_be_bytes()), attribute(2, &key.to_be_bytes())])
}

fn payload(base: u32, offset: u32, length: u32) -> Vec<u8> {
    let numbers = [REGISTER, base, offset, length];
    let parts: Vec<_> =
        (1..).zip(numbers).map(|(kind, number)| attribute(kind, &number.to_be_bytes())).collect();
    expression(b"payload\0", &parts)
}

fn equals(value: &[u8]) -> Vec<u8> {
    const EQUAL: u32 = 0;
    compare(EQUAL, value)
}

const DIFFERENT: u32 = 1;

fn compare(how: u32, value: &[u8]) -> Vec<u8> {
    let parts = [
        attribute(1, &REGISTER.to_be_bytes()),
        attribute(2, &how.to_be_bytes()),
        nest(3, &[attribute(1, value)]),
    ];
    expression(b"cmp\0", &parts)
}

fn drop_it() -> Vec<u8> {
    const VERDICT: u32 = 0;
    const NF_DROP: u32 = 0;
    let verdict = nest(2, &[attribute(1, &NF_DROP.to_be_bytes())]);
    expression(b"immediate\0", &[attribute(1, &VERDICT.to_be_bytes()), nest(2, &[verdict])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    #[test]
    fn a_lock_holds_back_what_a_peer_sends_until_it_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut client = TcpStream::connect(listener.local_addr().expect("a name")).expect("a connection");
        let (mut server, peer) = listener.accept().expect("the other end");
        let name = format!("stasis-test-{}", std::process::id());
        let flows = What::Flows(vec![(peer, server.local_addr().expect("a name"))]);
        let Ok(lock) = Lock::take_for_now(name, &flows, &Sockets::default()) else {
            return; // Not permitted, or a kernel without nftables.
        };
        client.write_all(b"x").expect("sent");
        server.set_read_timeout(Some(Duration::from_millis(50))).expect("set");
        assert!(server.read(&mut [0]).is_err());
        drop(lock);
        server.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        assert_eq!(server.read(&mut [0]).expect("sent again"), 1);
    }
}
