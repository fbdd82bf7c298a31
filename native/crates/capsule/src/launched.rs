//! Applications that this very process started and is about to attach to.
//!
//! One that ends at once takes its helper with it; what it wrote to its terminal is then only in the master that
//! was handed over when it started.

use crate::Aid;
use crate::link::Link;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

/// The first connection to a helper, and the master of its application's terminal.
pub struct Launched {
    pub link: Link,
    pub master: Option<OwnedFd>,
}

/// Masters of terminals of processes that no capsule holds: this very process is their terminal emulator.
static EMULATED: Mutex<BTreeMap<i32, OwnedFd>> = Mutex::new(BTreeMap::new());

/// Keeps the master of the terminal that a restored process sits at until this process attaches to it. The terminal
/// hangs up when this process ends.
pub fn emulate(pid: i32, master: OwnedFd) {
    EMULATED.lock().unwrap_or_else(PoisonError::into_inner).insert(pid, master);
}

pub fn emulated(pid: i32) -> Option<OwnedFd> {
    EMULATED.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid)
}

static LAUNCHED: Mutex<BTreeMap<Aid, Launched>> = Mutex::new(BTreeMap::new());

pub fn remember(aid: Aid, link: Link, master: Option<OwnedFd>) {
    LAUNCHED.lock().unwrap_or_else(PoisonError::into_inner).insert(aid, Launched { link, master });
}

pub fn recall(aid: &Aid) -> Option<Launched> {
    LAUNCHED.lock().unwrap_or_else(PoisonError::into_inner).remove(aid)
}
