//! Processes and threads: ids, family, registers, and lists that fit what a restore does with them.

use super::resources::check_file;
use super::{Check, Known, MOST_PIDS, TASK_SIZE, Wrong, check_signal, ensure, memory, unique};
use crate::chain::Chain;
use crate::ids::OriginalPid;
use crate::state::process::{BodyV1, LiveV1, ProcessV1};
use crate::state::seccomp::SeccompV1;
use crate::state::thread::ThreadV1;
use serde_bytes::ByteBuf;
use std::collections::HashMap;

/// Words of `user_regs_struct`, and where in it the segments and addresses are.
const REGISTERS: usize = 27;
const RIP: usize = 16;
const CS: usize = 17;
const SS: usize = 20;
const BASES: [usize; 2] = [21, 22];
const SEGMENTS: [usize; 4] = [23, 24, 25, 26];
/// Selectors of 64-bit user code and of user data.
const USER_CS: u64 = 0x33;
const USER_DS: u64 = 0x2b;
/// NGROUPS_MAX.
const MOST_GROUPS: usize = 65536;
/// Beyond any RLIMIT_SIGPENDING that a restore could queue in one go.
const MOST_PENDING: usize = 4096;
const SIGINFO: usize = 128;
/// fs.nr_open can be no larger.
const MOST_DESCRIPTORS: i32 = 1 << 30;
/// The kernel's MAX_INSNS_PER_PATH, in bytes.
const LONGEST_FILTERS: usize = 32768 * 8;

/// Ids are unique, parents live and come before their children.
pub fn check_tree(chain: &Chain) -> Check {
    ensure(!chain.processes.is_empty(), "processes", "there are none")?;
    let threads = chain.processes.iter().flat_map(|process| match &process.body {
        BodyV1::Live(live) => live.threads.iter().skip(1).map(|thread| thread.tid.0).collect(),
        BodyV1::Zombie { .. } => Vec::new(),
    });
    unique(chain.processes.iter().map(|process| process.pid.0).chain(threads), "processes.pid")?;
    let mut lives: HashMap<OriginalPid, bool> = HashMap::new();
    for (index, process) in chain.processes.iter().enumerate() {
        let parent = process.parent.map(|parent| lives.get(&parent));
        let good = !matches!(parent, Some(None | Some(false)));
        ensure(good, format!("processes[{index}].parent"), "no live process before it has this id")?;
        lives.insert(process.pid, matches!(process.body, BodyV1::Live(_)));
    }
    Ok(())
}

pub fn check(process: &ProcessV1, known: &Known) -> Check {
    check_pid(process.pid, 1, "pid")?;
    check_pid(process.pgid, 0, "pgid")?;
    check_pid(process.sid, 0, "sid")?;
    check_signal(process.exit_signal.max(0), "exit_signal")?;
    match &process.body {
        BodyV1::Live(live) => check_live(process, live, known),
        BodyV1::Zombie { status } => {
            ensure((0..=0xffff).contains(status), "status", "no process ends like that")
        }
    }
}

fn check_pid(pid: OriginalPid, least: i32, field: &str) -> Check {
    ensure((least..=MOST_PIDS).contains(&pid.0), field, format!("there can be no process {pid}"))
}

fn check_live(process: &ProcessV1, live: &LiveV1, known: &Known) -> Check {
    let first = live.threads.first().map(|thread| thread.tid);
    ensure(first == Some(process.pid), "threads", "the first is not the main thread")?;
    for (index, thread) in live.threads.iter().enumerate() {
        check_thread(thread).map_err(|wrong| wrong.of(format!("threads[{index}]")))?;
    }
    memory::check(&live.memory, known).map_err(|wrong| wrong.of("memory"))?;
    check_file(&live.executable, known).map_err(|wrong| wrong.of("executable"))?;
    check_file(&live.filesystem.cwd, known).map_err(|wrong| wrong.of("filesystem.cwd"))?;
    check_file(&live.filesystem.root, known).map_err(|wrong| wrong.of("filesystem.root"))?;
    check_signals(live)?;
    check_timers(live)?;
    ensure(live.limits.len() == 16, "limits", "there are 16 of them")?;
    let alone = process.parent.is_none() && (live.shares_files || live.shares_fs);
    ensure(!alone, "shares_files", "it has no parent to share with")?;
    check_descriptors(live, known)
}

fn check_signals(live: &LiveV1) -> Check {
    for action in &live.signals.actions {
        ensure((1..=64).contains(&action.signal), "signals.actions", "there is no such signal")?;
    }
    unique(live.signals.actions.iter().map(|action| action.signal), "signals.actions")?;
    check_pending(&live.signals.pending, "signals.pending")
}

fn check_timers(live: &LiveV1) -> Check {
    for timer in &live.timers.posix {
        ensure(timer.id >= 0, "timers.posix", "an id is negative")?;
        check_signal(timer.signal, "timers.posix")?;
    }
    unique(live.timers.posix.iter().map(|timer| timer.id), "timers.posix")
}

fn check_pending(pending: &[ByteBuf], field: &str) -> Check {
    ensure(pending.len() <= MOST_PENDING, field, "there are too many")?;
    ensure(pending.iter().all(|info| info.len() == SIGINFO), field, "one has not the size of siginfo_t")
}

fn check_descriptors(live: &LiveV1, known: &Known) -> Check {
    ensure(!live.shares_files || live.descriptors.is_empty(), "descriptors", "they are its parent's")?;
    for (index, descriptor) in live.descriptors.iter().enumerate() {
        let field = format!("descriptors[{index}]");
        ensure((0..MOST_DESCRIPTORS).contains(&descriptor.fd), &field, "its number is out of bounds")?;
        let known = known.descriptions.contains(&descriptor.description);
        ensure(known, &field, "it has no open file description")?;
    }
    unique(live.descriptors.iter().map(|descriptor| descriptor.fd), "descriptors")
}

fn check_thread(thread: &ThreadV1) -> Check {
    check_pid(thread.tid, 1, "tid")?;
    check_registers(&thread.registers)?;
    crate::state::processor::check(&thread.xstate).map_err(|why| Wrong::new("xstate", why))?;
    ensure(thread.comm.len() < 16 && !thread.comm.contains(&0), "comm", "no thread has such a name")?;
    check_signal(thread.pdeath_signal, "pdeath_signal")?;
    ensure(thread.credentials.groups.len() <= MOST_GROUPS, "credentials.groups", "there are too many")?;
    ensure(thread.scheduling.affinity.len() <= 8192, "scheduling.affinity", "no host has that many CPUs")?;
    check_pending(&thread.pending, "pending")?;
    let SeccompV1::Filters(filters) = &thread.seccomp else { return Ok(()) };
    let whole = filters.iter().all(|filter| filter.program.len().is_multiple_of(8));
    let length: usize = filters.iter().map(|filter| filter.program.len()).sum();
    ensure(whole && length <= LONGEST_FILTERS, "seccomp", "no kernel takes such filters")
}

/// What ptrace(2) would not take, and what would put the thread outside of user space.
fn check_registers(words: &[u64]) -> Check {
    ensure(words.len() == REGISTERS, "registers", format!("there are {REGISTERS} of them"))?;
    ensure(words[CS] == USER_CS, "registers.cs", "it is not that of 64-bit code")?;
    ensure([0, USER_DS].contains(&words[SS]), "registers.ss", "it is not that of a stack")?;
    let selector = |value: u64| value == 0 || (value <= 0xffff && value & 3 == 3);
    let segments = SEGMENTS.iter().all(|&at| selector(words[at]));
    ensure(segments, "registers.ds", "a segment is not one of user space")?;
    ensure(words[RIP] < TASK_SIZE, "registers.rip", "it is outside of user space")?;
    ensure(BASES.iter().all(|&at| words[at] < TASK_SIZE), "registers.fs_base", "it is outside of user space")
}
