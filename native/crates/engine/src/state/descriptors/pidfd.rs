//! Descriptors that stand for processes (pidfd_open(2)): of processes of the chain, also ended ones.

use super::{DescriptionV1, Found, KindV1};
use crate::collection::Collection;
use crate::explain::{Explain, Result, refused};
use crate::ids::{DescriptionId, OriginalPid};
use crate::rebuild::Rebuild;
use crate::state::process::{BodyV1, ProcessV1};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PidfdV1 {
    /// Of a process of the chain.
    Member(OriginalPid),
    /// Of a thread of the chain that is no process's main thread.
    Thread(OriginalPid),
    /// Of a process that has ended and was waited for. Descriptors of the same process have the same `identity`.
    Ended { identity: u64, status: i32 },
}

/// PIDFD_THREAD (Linux 6.9) is O_EXCL, PIDFD_NONBLOCK is O_NONBLOCK.
const KEPT: i32 = libc::O_EXCL | libc::O_NONBLOCK;

/// Pidfds of live processes met, until all processes have been.
#[derive(Default)]
pub struct Collector {
    members: Vec<(DescriptionId, i32, i32, OriginalPid)>,
}

pub fn collect(found: &Found, id: DescriptionId, collection: &mut Collection) -> Result<PidfdV1> {
    let innermost = |text: &str| text.split_ascii_whitespace().last()?.parse::<i32>().ok();
    match found.info.value("NSpid").and_then(innermost) {
        Some(-1) => {
            let status = sys::process::pidfd_exit_status(found.file.as_fd()).unwrap_or(0);
            Ok(PidfdV1::Ended { identity: found.meta.ino(), status })
        }
        Some(pid) if pid > 0 => {
            let pid = OriginalPid(pid);
            collection.pidfds.members.push((id, found.pid, found.fd, pid));
            Ok(PidfdV1::Member(pid))
        }
        _ => found.refuse("its process is not visible from here"),
    }
}

/// Tells threads from processes, and refuses what stands for one that is not captured.
pub fn complete(processes: &[ProcessV1], collection: &mut Collection) -> Result<()> {
    for (id, holder, fd, pid) in std::mem::take(&mut collection.pidfds.members) {
        if processes.iter().any(|process| process.pid == pid) {
            continue;
        }
        let descriptions = &mut collection.registry.descriptions;
        match descriptions.iter_mut().find(|description| description.id == id) {
            Some(description) if has_thread(processes, pid) => {
                description.kind = KindV1::Pidfd(PidfdV1::Thread(pid));
            }
            _ => {
                let what = format!("descriptor {fd} (pidfd)");
                let why = format!("it stands for {pid}, which is no process or thread of the snapshot");
                return Err(refused(holder, &what, &why));
            }
        }
    }
    Ok(())
}

fn has_thread(processes: &[ProcessV1], tid: OriginalPid) -> bool {
    processes.iter().any(|process| match &process.body {
        BodyV1::Live(live) => live.threads.iter().any(|thread| thread.tid == tid),
        BodyV1::Zombie { .. } => false,
    })
}

pub fn apply(pidfds: Vec<(&DescriptionV1, &PidfdV1)>, rebuild: &mut Rebuild) -> Result<()> {
    let ended = Ended::prepare(&pidfds)?;
    for (description, saved) in pidfds {
        let what = || "Could not restore a pidfd".to_owned();
        let pid = match saved {
            PidfdV1::Member(pid) => rebuild.current(*pid).ok_or(sys::Errno::ESRCH).explain(what)?,
            PidfdV1::Ended { identity, .. } => ended.pids[identity],
            PidfdV1::Thread(_) => continue,
        };
        let file = sys::process::pidfd_open_with(pid, description.flags & KEPT).explain(what)?;
        rebuild.descriptions.insert(description.id, file);
    }
    Ok(())
}

/// Opens one that stands for a thread, when that exists.
pub fn open_thread(description: &DescriptionV1, saved: &PidfdV1, rebuild: &mut Rebuild) -> Result<()> {
    let what = || "Could not restore a pidfd of a thread".to_owned();
    let PidfdV1::Thread(tid) = saved else { return Ok(()) };
    let tid = rebuild.current(*tid).ok_or(sys::Errno::ESRCH).explain(what)?;
    let file = sys::process::pidfd_open_with(tid, description.flags & KEPT).explain(what)?;
    rebuild.descriptions.insert(description.id, file);
    Ok(())
}

/// Children of ours that have ended the way others had; waited for when dropped.
struct Ended {
    pids: HashMap<u64, i32>,
}

impl Ended {
    fn prepare(pidfds: &[(&DescriptionV1, &PidfdV1)]) -> Result<Self> {
        let mut ended = Self { pids: HashMap::new() };
        for (_, saved) in pidfds {
            if let PidfdV1::Ended { identity, status } = saved
                && !ended.pids.contains_key(identity)
            {
                let pid = sys::process::spawn_ending(*status)
                    .explain(|| "Could not make a process that has ended".to_owned())?;
                ended.pids.insert(*identity, pid);
            }
        }
        Ok(ended)
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        for pid in self.pids.values() {
            // It is our own child and has ended or is about to.
            let _ = sys::process::reap(*pid);
        }
    }
}
