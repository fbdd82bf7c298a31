//! System V shared memory, semaphores and message queues (sysvipc(7)).
//!
//! Objects live in an IPC namespace, not in processes. A chain that has a namespace to itself owns all objects in it;
//! elsewhere it owns what it has attached and what its processes made or used last, as far as the kernel tells.
//! All of them come back under their ids, made by processes of the chain so that those are remembered as their users.

mod attach;
mod queues;
mod segments;
mod semaphores;
mod status;

pub use attach::attach;
pub use queues::QueueV1;
pub use segments::{SegmentV1, Source, is_segment};
pub use semaphores::SemaphoreSetV1;

use crate::explain::{Explain, Result, refused};
use crate::freeze::FrozenTree;
use crate::ids::OriginalPid;
use crate::nursery::Nursery;
use crate::procfs::{self, Status};
use crate::rebuild::Rebuild;
use crate::state::process::BodyV1;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use sys::system_v::Kind;
use tracee::Stopped;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SystemVV1 {
    pub segments: Vec<SegmentV1>,
    pub sets: Vec<SemaphoreSetV1>,
    pub queues: Vec<QueueV1>,
}

#[derive(Default)]
pub struct Collector {
    pub segments: segments::Collector,
    sets: Vec<SemaphoreSetV1>,
    queues: Vec<QueueV1>,
}

impl Collector {
    pub fn finish(self) -> SystemVV1 {
        let segments = self.segments.sources.into_iter().map(|source| source.segment).collect();
        SystemVV1 { segments, sets: self.sets, queues: self.queues }
    }
}

/// The processes of a chain, by what the host calls them.
pub struct Members(HashMap<i32, OriginalPid>);

impl Members {
    fn of(tree: &FrozenTree) -> Self {
        let original = |pid: i32| {
            let status = Status::read(&pid.to_string()).unwrap_or_default();
            (pid, OriginalPid(status.innermost("NSpid")))
        };
        Self(tree.processes.iter().map(|process| original(process.pid)).collect())
    }

    pub fn original(&self, pid: i32) -> Option<OriginalPid> {
        self.0.get(&pid).copied()
    }
}

/// Takes the objects of the chain. Everything but the contents of segments, which are copied with other pages.
pub fn collect(tree: &FrozenTree, collector: &mut Collector) -> Result<()> {
    let root = tree.processes[0].pid;
    let what = || format!("Could not list the System V objects of process {root}");
    let members = Members::of(tree);
    let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/ipc"));
    let theirs = link(&root.to_string()).explain(what)?;
    let ours = link("thread-self").explain(what)?;
    if theirs == ours {
        return collect_here(&members, false, collector);
    }
    let namespace = File::open(format!("/proc/{root}/ns/ipc")).explain(what)?;
    let exclusive = !lives_elsewhere(&theirs, tree);
    let there = std::thread::scope(|scope| {
        let visit = || {
            sys::system_v::enter_namespace(&namespace).explain(what)?;
            collect_here(&members, exclusive, collector)
        };
        scope.spawn(visit).join().expect("a visit to a namespace does not panic")
    });
    match there {
        Err(fault) if fault.code == abi::Code::NotPermitted => {
            let why = "its IPC namespace may only be entered by root";
            Err(refused(root, "the System V objects", why))
        }
        there => there,
    }
}

/// Does a process that is not of the chain live in this IPC namespace? The first process of a PID namespace does not
/// count when it is the chain's parent: it is the helper that adopts orphans.
fn lives_elsewhere(namespace: &std::path::Path, tree: &FrozenTree) -> bool {
    let keeper = tree.processes[0].parent;
    let stranger = |pid: &i32| {
        let within = std::fs::read_link(format!("/proc/{pid}/ns/ipc")).is_ok_and(|link| link == namespace);
        let is_keeper = || {
            *pid == keeper
                && Status::read(&pid.to_string()).is_ok_and(|status| status.innermost("NSpid") == 1)
        };
        within && tree.processes.iter().all(|process| process.pid != *pid) && !is_keeper()
    };
    procfs::numbers_in("/proc").unwrap_or_default().iter().any(stranger)
}

/// Takes objects of the calling thread's IPC namespace; all of them, when it is the chain's own.
fn collect_here(members: &Members, all: bool, collector: &mut Collector) -> Result<()> {
    segments::collect(members, all, &mut collector.segments)?;
    collector.sets = semaphores::collect(members, all)?;
    collector.queues = queues::collect(members, all)?;
    Ok(())
}

/// Ids listed in /proc/sysvipc/`name` of the calling thread's namespace: its second column.
fn listed(name: &str) -> Result<Vec<i32>> {
    let path = format!("/proc/sysvipc/{name}");
    let text = match std::fs::read_to_string(&path) {
        // A kernel without System V objects has none.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.explain(|| format!("Could not read {path}"))?,
    };
    Ok(second_column(&text))
}

fn second_column(text: &str) -> Vec<i32> {
    let id = |line: &str| line.split_ascii_whitespace().nth(1)?.parse().ok();
    text.lines().skip(1).filter_map(id).collect()
}

/// The objects that a restore has made. Dropped before [`Made::keep`], it removes them again.
#[derive(Default)]
pub struct Made {
    objects: Vec<(Kind, i32)>,
}

impl Made {
    pub fn keep(&mut self) {
        self.objects.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for (kind, id) in self.objects.drain(..) {
            // One that is gone already is as good as removed.
            let _ = kind.remove(id);
        }
    }
}

/// Makes all objects, before any process has memory.
pub fn apply(saved: &SystemVV1, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    for segment in &saved.segments {
        segments::apply(segment, nursery, rebuild)?;
    }
    for set in &saved.sets {
        semaphores::apply(set, nursery, rebuild)?;
    }
    for queue in &saved.queues {
        queues::apply(queue, nursery, rebuild)?;
    }
    Ok(())
}

/// What must wait until every process has attached what it had: owners, permissions, removal.
pub fn settle(saved: &SystemVV1, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    for segment in &saved.segments {
        segments::settle(segment, nursery, rebuild)?;
    }
    for set in &saved.sets {
        semaphores::settle(set, nursery, rebuild)?;
    }
    saved.queues.iter().try_for_each(|queue| queues::settle(queue, nursery, rebuild))
}

/// The process of the chain that acts as `wanted`, or as the chain's root where that has ended.
fn actor(wanted: Option<OriginalPid>, rebuild: &Rebuild) -> Stopped {
    let lives = |pid: OriginalPid| {
        let mut processes = rebuild.image.processes.iter();
        processes.any(|process| process.pid == pid && matches!(process.body, BodyV1::Live(_)))
    };
    let pid = wanted.filter(|pid| lives(*pid)).unwrap_or(rebuild.image.processes[0].pid);
    Stopped::assume(rebuild.pids[&pid])
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_the_second_column() {
        let text = "       key      shmid perms\n         0          3  1600\n 123456789      32769   600\n";
        assert_eq!(super::second_column(text), [3, 32769]);
    }
}
