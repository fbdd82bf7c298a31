//! Rules that drop packets of an environment which are not under ESP: what holds where somebody has taken the policies away
//! (`ip xfrm policy flush`), as the policies hold where somebody has taken the rules away (`nft flush ruleset`).

use crate::error::{Error, Result};
use crate::names::Id;
use crate::nftables::expression::{FIRST, Header, Meta, count, drop, encrypts, equals, meta, payload};
use crate::nftables::table::{self, Hook, INPUT, OUTPUT, Table};
use crate::nftables::{Batch, Family};
use sys::Errno;

/// The counter of packets that were not under ESP.
pub const CLEAR: &str = "clear";

/// The first byte of a VXLAN header that has a number (RFC 7348, section 5).
const HAS_NUMBER: u8 = 8;
const UDP: u8 = 17;

fn name(id: &Id) -> String {
    format!("{}-esp", id.table())
}

pub(super) fn ensure(id: &Id, port: u16) -> Result<()> {
    let name = name(id);
    if exists(id)? {
        return Ok(());
    }
    match rules(&name, port, id).commit(|| format!("make the rules against plain packets, table {name}")) {
        // Another command was faster.
        Err(Error { errno: Errno::EEXIST, .. }) => Ok(()),
        other => other,
    }
}

pub(super) fn exists(id: &Id) -> Result<bool> {
    table::exists(Family::Inet, &name(id))
}

fn rules(name: &str, port: u16, id: &Id) -> Batch {
    let mut batch = Batch::new();
    let mut table = Table { batch: &mut batch, family: Family::Inet, name };
    table.create_new();
    table.counter(CLEAR);
    let to_port = [
        meta(Meta::Transport, FIRST),
        equals(&[UDP]),
        payload(Header::Transport, 2, 2, FIRST),
        equals(&port.to_be_bytes()),
    ];
    // Before everything that could let it pass.
    table.chain("in", Hook { number: INPUT, priority: -300, kind: "filter" });
    let plain = [meta(Meta::Decrypted, FIRST), equals(&[0]), count(CLEAR), drop()];
    table.rule("in", &[&to_port[..], &plain].concat());
    // What is not VXLAN of this number may go to that port of another host: it is no business of ours.
    table.chain("out", Hook { number: OUTPUT, priority: -300, kind: "filter" });
    let ours = [
        payload(Header::Transport, 8, 1, FIRST),
        equals(&[HAS_NUMBER]),
        payload(Header::Transport, 12, 3, FIRST),
        equals(&id.number().to_be_bytes()[1..]),
    ];
    let plain = [encrypts(FIRST), equals(&[0]), count(CLEAR), drop()];
    table.rule("out", &[&to_port[..], &ours, &plain].concat());
    batch
}

/// Nothing happens where there are none.
pub(super) fn remove(id: &Id) -> Result<()> {
    let name = name(id);
    let mut batch = Batch::new();
    Table { batch: &mut batch, family: Family::Inet, name: &name }.delete();
    match batch.commit(|| format!("remove the rules against plain packets, table {name}")) {
        Err(Error { errno: Errno::ENOENT, .. }) => Ok(()),
        other => other,
    }
}

/// How many packets were dropped because they were not under ESP.
pub(super) fn clear(id: &Id) -> Result<u64> {
    Ok(table::counts(Family::Inet, &name(id))?.iter().map(|count| count.packets).sum())
}
