//! Scheduling of a thread: policy, nice, priority, CPU affinity, I/O priority (sched(7), ioprio_set(2)).

use crate::explain::{Explain, Result};
use crate::program::Program;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sys::process::{self, SchedAttr};

const SCHED_RESET_ON_FORK: u64 = 1;
const IOPRIO_WHO_PROCESS: u64 = 1;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SchedulingV1 {
    pub policy: u32,
    pub reset_on_fork: bool,
    pub nice: i32,
    pub priority: u32,
    /// SCHED_DEADLINE: nanoseconds.
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
    /// The kernel's bit mask of CPUs.
    pub affinity: ByteBuf,
    pub io_priority: u32,
}

pub fn collect(tid: i32) -> Result<SchedulingV1> {
    let what = || format!("Could not read the scheduling of thread {tid}");
    let attr = process::sched_attr(tid).explain(what)?;
    Ok(SchedulingV1 {
        policy: attr.policy,
        reset_on_fork: attr.flags & SCHED_RESET_ON_FORK != 0,
        nice: attr.nice,
        priority: attr.priority,
        runtime: attr.runtime,
        deadline: attr.deadline,
        period: attr.period,
        affinity: ByteBuf::from(process::affinity(tid).explain(what)?),
        io_priority: process::io_priority(tid).explain(what)?,
    })
}

/// Adds the calls for the calling thread. CPUs that this host lacks are left out of the affinity by the kernel; when none is
/// left, the thread keeps all.
pub fn apply(saved: &SchedulingV1, tid: i32, program: &mut Program) -> Result<()> {
    let now = collect(tid)?;
    if now.affinity != saved.affinity {
        let mask = program.data(&saved.affinity);
        program.attempt(
            "sched_setaffinity",
            libc::SYS_sched_setaffinity,
            &[0, saved.affinity.len() as u64, mask],
        );
    }
    if (now.policy, now.nice, now.priority, now.reset_on_fork)
        != (saved.policy, saved.nice, saved.priority, saved.reset_on_fork)
    {
        let attr = program.data(&encode(saved));
        program.call("sched_setattr", libc::SYS_sched_setattr, &[0, attr, 0]);
    }
    if now.io_priority != saved.io_priority {
        program.call("ioprio_set", libc::SYS_ioprio_set, &[IOPRIO_WHO_PROCESS, 0, saved.io_priority.into()]);
    }
    Ok(())
}

fn encode(saved: &SchedulingV1) -> Vec<u8> {
    let flags = if saved.reset_on_fork { SCHED_RESET_ON_FORK } else { 0 };
    let size = std::mem::size_of::<SchedAttr>() as u32 - 8;
    let mut bytes = Vec::with_capacity(48);
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&saved.policy.to_le_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&saved.nice.to_le_bytes());
    bytes.extend_from_slice(&saved.priority.to_le_bytes());
    for value in [saved.runtime, saved.deadline, saved.period] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes
}
