//! Which application a process of the host belongs to.

use crate::link::Link;
use crate::{Aid, helper, hosted, meta};
use abi::request::Home;
use std::collections::BTreeMap;

/// The application that the process `pid` is part of, if it is one of this home. The helper itself counts.
#[must_use]
pub fn owner_of(home: &Home, pid: i32) -> Option<Aid> {
    let mut helpers: BTreeMap<i32, Aid> = running(home).collect();
    let mut pid = pid;
    // Every process of a capsule descends from its helper, through namespaces of its own making as well.
    while pid > 1 && !helpers.contains_key(&pid) {
        pid = hosted::start_and_parent(pid).ok()?.1;
    }
    helpers.remove(&pid)
}

fn running(home: &Home) -> impl Iterator<Item = (i32, Aid)> {
    meta::all(home).into_iter().filter_map(|meta| {
        let report = helper::report(&mut Link::connect(home, &meta.aid).ok()?).ok()?;
        Some((report.init, meta.aid))
    })
}
