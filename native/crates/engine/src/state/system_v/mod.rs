//! System V shared memory, semaphores and message queues (sysvipc(7)).
//!
//! Objects live in an IPC namespace, not in processes. A chain that has a namespace to itself owns all objects in it;
//! elsewhere it owns what it has attached and what its processes made or used last, as far as the kernel tells.
//! All of them come back under their ids, made by processes of the chain so that those are remembered as their users.

mod attach;
mod queues;
mod reach;
mod segments;
mod semaphores;
mod status;

pub use attach::attach;
pub use queues::QueueV1;
pub use segments::{SegmentV1, Source, is_segment};
pub use semaphores::SemaphoreSetV1;
pub use status::PermissionsV1;

use crate::explain::{Explain, Result, refused};
use crate::freeze::FrozenTree;
use crate::ids::OriginalPid;
use crate::inquiry::Inquiry;
use crate::nursery::Nursery;
use crate::procfs::{self, Status};
use crate::rebuild::Rebuild;
use crate::state::memory;
use crate::state::process::BodyV1;
use crate::state::translation::TranslationV1;
use reach::Reach;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use sys::system_v::Kind;
use tracee::{Stopped, Visit, find_gadgets};

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

/// Which objects of an IPC namespace are a chain's.
pub enum Claim {
    /// All of them: nobody else is in there.
    All,
    /// Those that its processes made or used last, as far as the kernel tells.
    Used,
    /// Those that its table of virtual ids names.
    Listed(HashSet<(Kind, i32)>),
}

impl Claim {
    /// Must every object be examined?
    fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// Does an object belong to the chain? `used` says whether it seems to be used by it.
    fn takes(&self, kind: Kind, id: i32, used: bool) -> bool {
        match self {
            Self::All => true,
            Self::Used => used,
            Self::Listed(objects) => objects.contains(&(kind, id)),
        }
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

    /// For pids that a process of the chain was told.
    fn as_they_know_them(&self) -> Self {
        Self(self.0.values().map(|original| (original.0, *original)).collect())
    }

    pub fn original(&self, pid: i32) -> Option<OriginalPid> {
        self.0.get(&pid).copied()
    }
}

/// Takes the objects of the chain. Everything but the contents of segments, which are copied with other pages.
/// `translation` names them where their ids are translated.
pub fn collect(
    tree: &FrozenTree,
    translation: Option<&TranslationV1>,
    collector: &mut Collector,
) -> Result<()> {
    let root = tree.processes[0].pid;
    let what = || format!("Could not list the System V objects of process {root}");
    let members = Members::of(tree);
    let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/ipc"));
    let theirs = link(&root.to_string()).explain(what)?;
    let ours = link("thread-self").explain(what)?;
    if theirs == ours {
        let claim = translation.map_or(Claim::Used, |translation| Claim::Listed(translation.objects()));
        return collect_here(&members, &claim, collector);
    }
    let namespace = File::open(format!("/proc/{root}/ns/ipc")).explain(what)?;
    let claim = if lives_elsewhere(&theirs, tree) { Claim::Used } else { Claim::All };
    let there = std::thread::scope(|scope| {
        let visit = || {
            sys::system_v::enter_namespace(&namespace).explain(what)?;
            collect_here(&members, &claim, collector)
        };
        scope.spawn(visit).join().expect("a visit to a namespace does not panic")
    });
    match there {
        Err(fault) if fault.code == abi::Code::NotPermitted => through_process(tree, &claim, collector),
        there => there,
    }
}

/// Has the chain's first process look, with what it may itself.
fn through_process(tree: &FrozenTree, claim: &Claim, collector: &mut Collector) -> Result<()> {
    let process = &tree.processes[0];
    let what = || format!("Could not list the System V objects of process {}", process.pid);
    let leader = process.leader();
    let maps = memory::read_mappings(process.pid)?;
    let gadgets = find_gadgets(&memory::code_ranges(&maps), |at, buffer| leader.read(at, buffer).is_ok());
    let (Some(gadgets), Some(stack)) = (gadgets, memory::main_stack(&maps)) else {
        let why = "its IPC namespace may only be entered by root";
        return Err(refused(process.pid, "the System V objects", why));
    };
    let members = Members::of(tree).as_they_know_them();
    let mut visit = Visit::enter(leader, process.threads.len(), gadgets, stack).explain(what)?;
    let mut inquiry = Inquiry { visit: &mut visit, thread: leader, index: 0 };
    let found = collect_by(&mut Reach::Through(&mut inquiry), &members, claim, collector);
    let left = visit.leave().explain(|| format!("Could not leave process {} as it was", process.pid));
    found.and(left)
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

/// Takes objects of the calling thread's IPC namespace.
fn collect_here(members: &Members, claim: &Claim, collector: &mut Collector) -> Result<()> {
    collect_by(&mut Reach::Here, members, claim, collector)
}

fn collect_by(reach: &mut Reach, members: &Members, claim: &Claim, collector: &mut Collector) -> Result<()> {
    segments::collect(reach, members, claim, &mut collector.segments)?;
    collector.sets = semaphores::collect(reach, members, claim)?;
    collector.queues = queues::collect(reach, members, claim)?;
    Ok(())
}

/// The objects that a restore has made. Dropped before [`Made::keep`], it removes them again.
#[derive(Default)]
pub struct Made {
    objects: Vec<(Kind, i32)>,
    /// Objects whose ids are translated, by their saved id: the kernel's id and key of today.
    translated: HashMap<(Kind, i32), (i32, i32)>,
}

impl Made {
    /// The kernel's id and key of an object whose id is translated; none when it was not made.
    pub fn translated(&self, kind: Kind, saved: i32) -> Option<(i32, i32)> {
        self.translated.get(&(kind, saved)).copied()
    }

    /// What the kernel calls an object today.
    fn current(&self, kind: Kind, saved: i32) -> i32 {
        self.translated(kind, saved).map_or(saved, |(id, _)| id)
    }

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
