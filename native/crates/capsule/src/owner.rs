//! Which application a process of the host belongs to.

use crate::link::Link;
use crate::{Aid, helper, hosted, meta};
use abi::request::Home;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use sys::namespaces;

/// More PID namespaces than the kernel nests (MAX_PID_NS_LEVEL, pid_namespaces(7)).
const DEEPEST: usize = 64;

/// The application that the process `pid` is part of, if it is one of this home. The helper itself counts. What decides
/// is the PID namespace, which a process cannot leave: whatever it has forked, executed or become, and whoever sent it
/// there. Where this user may not look at it, the process's ancestors decide.
#[must_use]
pub fn owner_of(home: &Home, pid: i32) -> Option<Aid> {
    let helpers: BTreeMap<i32, Aid> = running(home).collect();
    by_namespace(&helpers, pid).or_else(|| by_ancestry(helpers, pid))
}

fn running(home: &Home) -> impl Iterator<Item = (i32, Aid)> {
    meta::all(home).into_iter().filter_map(|meta| {
        let report = helper::report(&mut Link::connect(home, &meta.aid).ok()?).ok()?;
        Some((report.init, meta.aid))
    })
}

/// An application may make PID namespaces of its own: they lie within that of its capsule.
fn by_namespace(helpers: &BTreeMap<i32, Aid>, pid: i32) -> Option<Aid> {
    let namespaces: Vec<(u64, u64, &Aid)> = helpers
        .iter()
        .filter_map(|(init, aid)| {
            let meta = std::fs::metadata(format!("/proc/{init}/ns/pid")).ok()?;
            Some((meta.dev(), meta.ino(), aid))
        })
        .collect();
    let mut namespace = File::open(format!("/proc/{pid}/ns/pid")).ok().map(OwnedFd::from);
    for _ in 0..DEEPEST {
        let current = namespace?;
        let meta = File::from(current.try_clone().ok()?).metadata().ok()?;
        let own = namespaces.iter().find(|(device, inode, _)| (*device, *inode) == (meta.dev(), meta.ino()));
        if let Some((_, _, aid)) = own {
            return Some((*aid).clone());
        }
        // None beyond the one that this command is in.
        namespace = namespaces::parent(current.as_fd()).ok();
    }
    None
}

fn by_ancestry(mut helpers: BTreeMap<i32, Aid>, mut pid: i32) -> Option<Aid> {
    while pid > 1 && !helpers.contains_key(&pid) {
        pid = hosted::start_and_parent(pid).ok()?.1;
    }
    helpers.remove(&pid)
}
