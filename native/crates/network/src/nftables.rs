//! nftables in messages of our own (nfnetlink; `linux/netfilter/nf_tables.h`): batches of changes, and what tables count.

pub mod expression;
pub mod table;

use crate::error::{Attempt, Result};
use crate::messages::{Conversation, NLM_F_ACK, NLM_F_REQUEST, attributes, message};
use sys::Errno;

pub(crate) const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6 that this host sends, receives or forwards.
    Inet = 1,
    /// Frames that bridges of this host forward.
    Bridge = 7,
}

/// One message of a batch, without its length yet: kind, flags, body.
pub(crate) type Change = (u16, u16, Vec<u8>);

/// Changes that are made all together or not at all.
#[derive(Debug, Default)]
pub struct Batch(Vec<Change>);

impl Batch {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(&mut self, family: Family, kind: u16, flags: u16, parts: &[Vec<u8>]) {
        self.0.push(((SUBSYSTEM << 8) | kind, flags, body(family, parts)));
    }

    /// Makes the changes.
    pub fn commit(self, attempt: impl Fn() -> String) -> Result<()> {
        let netfilter = Conversation::open(libc::NETLINK_NETFILTER).attempt(&attempt)?;
        self.commit_through(&netfilter, attempt)
    }

    /// Makes the changes through a socket that nothing was asked through: tables can belong to it.
    pub(crate) fn commit_through(
        self,
        netfilter: &Conversation,
        attempt: impl FnOnce() -> String,
    ) -> Result<()> {
        send(netfilter, self.0).attempt(attempt)
    }
}

/// `struct nfgenmsg` (family, version, resource), then attributes.
pub(crate) fn body(family: Family, parts: &[Vec<u8>]) -> Vec<u8> {
    [&[family as u8, 0, 0, 0][..], &parts.concat()].concat()
}

pub(crate) fn zero_ended(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// The changes go between the marks of one batch. The last one is acknowledged.
fn send(netfilter: &Conversation, changes: Vec<Change>) -> sys::Result<()> {
    let mark = [&[0, 0][..], &SUBSYSTEM.to_be_bytes()].concat();
    let mut batch = message(BATCH_BEGIN, NLM_F_REQUEST, 0, &mark);
    let last = changes.len();
    for (index, (kind, flags, body)) in changes.into_iter().enumerate() {
        let acknowledge = if index + 1 == last { NLM_F_ACK } else { 0 };
        batch.extend(message(kind, NLM_F_REQUEST | acknowledge | flags, index as u32 + 1, &body));
    }
    batch.extend(message(BATCH_END, NLM_F_REQUEST, last as u32 + 1, &mark));
    netfilter.ask(&batch)
}

/// Asks for everything of one kind that a table has, or a set of it: the attributes of each.
pub(crate) fn list(family: Family, kind: u16, named: &[Vec<u8>]) -> sys::Result<Vec<Vec<u8>>> {
    let question = body(family, named);
    let answers = Conversation::open(libc::NETLINK_NETFILTER)?.dump((SUBSYSTEM << 8) | kind, &question);
    let strip = |answer: Vec<u8>| answer.get(4..).unwrap_or_default().to_vec();
    match answers {
        Ok(answers) => Ok(answers.into_iter().map(strip).collect()),
        Err(Errno::ENOENT) => Ok(Vec::new()),
        Err(errno) => Err(errno),
    }
}

/// The value of the first attribute of that kind.
pub(crate) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).into_iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
}
