//! A process: its place in the tree, and what belongs to it as a whole.

use super::attributes::{self, AttributesV1};
use super::descriptors::{self, DescriptorV1};
use super::dispatch;
use super::filesystem::{self, FileRefV1, FilesystemV1};
use super::frozen_copy;
use super::limits::{self, LimitV1};
use super::memory::{self, AddressSpaceV1};
use super::signals::{self, SignalsV1};
use super::thread::{self, ThreadV1};
use super::timers::{self, TimersV1};
use crate::collection::Collection;
use crate::explain::{Explain, Result, refused};
use crate::freeze::{FrozenProcess, FrozenTree};
use crate::ids::OriginalPid;
use crate::inquiry::{Inquiry, half};
use crate::procfs::{self, Status};
use crate::program::Program;
use serde::{Deserialize, Serialize};
use sys::process::{Kcmp, kcmp};
use tracee::{PLACE_SIZE, Stopped, Visit, WORK_AREAS, find_gadgets};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessV1 {
    pub pid: OriginalPid,
    /// None when the parent is not of the chain.
    pub parent: Option<OriginalPid>,
    pub pgid: OriginalPid,
    pub sid: OriginalPid,
    pub comm: String,
    /// Signal that the parent gets at the end, 0 for none.
    pub exit_signal: i32,
    pub body: BodyV1,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum BodyV1 {
    Live(Box<LiveV1>),
    /// Ended, and its parent has not waited for it: the status as wait(2) will report it.
    Zombie {
        status: i32,
    },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LiveV1 {
    /// Stopped by a signal (SIGSTOP and its like).
    pub stopped: bool,
    pub executable: FileRefV1,
    /// The main thread first.
    pub threads: Vec<ThreadV1>,
    pub memory: AddressSpaceV1,
    #[serde(default)]
    pub attributes: AttributesV1,
    pub signals: SignalsV1,
    pub timers: TimersV1,
    pub filesystem: FilesystemV1,
    pub limits: Vec<LimitV1>,
    pub descriptors: Vec<DescriptorV1>,
    pub child_subreaper: bool,
    /// The user who logged in (`/proc/PID/loginuid`); none without auditing.
    #[serde(default)]
    pub login_uid: Option<u32>,
    pub oom_score_adj: i32,
    pub personality: u32,
    /// Its descriptor table is its parent's (CLONE_FILES).
    pub shares_files: bool,
    /// Its folders and umask are its parent's (CLONE_FS).
    pub shares_fs: bool,
}

/// Captures one process of a frozen tree.
pub fn collect(process: &FrozenProcess, tree: &FrozenTree, collection: &mut Collection) -> Result<ProcessV1> {
    let pid = process.pid;
    let what = || format!("Could not read the state of process {pid}");
    let status = Status::read(&pid.to_string()).explain(what)?;
    let parent = tree.processes.iter().find(|other| other.pid == process.parent);
    let parent_status =
        parent.map(|parent| Status::read(&parent.pid.to_string())).transpose().explain(what)?;
    let stat = procfs::stat(&pid.to_string()).explain(what)?;
    let body = if process.is_zombie() {
        BodyV1::Zombie { status: stat.exit_code }
    } else {
        BodyV1::Live(Box::new(collect_live(process, parent, &status, collection)?))
    };
    Ok(ProcessV1 {
        pid: OriginalPid(status.innermost("NSpid")),
        parent: parent_status.map(|status| OriginalPid(status.innermost("NSpid"))),
        pgid: OriginalPid(status.innermost("NSpgid")),
        sid: OriginalPid(status.innermost("NSsid")),
        comm: status.text("Name").to_owned(),
        exit_signal: stat.exit_signal,
        body,
    })
}

fn collect_live(
    process: &FrozenProcess,
    parent: Option<&FrozenProcess>,
    status: &Status,
    collection: &mut Collection,
) -> Result<LiveV1> {
    let pid = process.pid;
    let what = || format!("Could not read the state of process {pid}");
    refuse_unsupported(process, parent)?;
    for thread in &process.threads {
        thread::abort_restartable_sequence(&thread.stopped)?;
    }
    let mut maps = memory::read_mappings(pid)?;
    let leader = process.leader();
    let leftovers = leftovers(process, &maps)?;
    maps.retain(|map| !leftovers.contains(&(map.start, map.end)));
    let footing = memory::code_ranges(&maps);
    let gadgets = find_gadgets(&footing, |at, buffer| leader.read(at, buffer).is_ok());
    let (Some(gadgets), Some(stack)) = (gadgets, memory::main_stack(&maps)) else {
        return Err(refused(
            pid,
            "the state",
            "it has no main stack or no system-call instruction to ask it with",
        ));
    };
    let mut visit = Visit::enter(leader, process.threads.len(), gadgets, stack).explain(what)?;
    for (start, end) in leftovers {
        let range = [start, end - start];
        visit.call(leader, 0, libc::SYS_munmap as u64, &range).explain(what)?;
    }
    // Its registers are read next, and must be its own.
    visit.finish_thread().explain(what)?;
    let answers = collect_by_asking(process, status, &maps, &mut visit, collection)
        .and_then(|answers| copy_memory(process, status, answers, &mut visit, collection));
    let left = visit.leave().explain(|| format!("Could not leave process {pid} as it was"));
    let Answers { threads, memory, attributes, signals, timers, child_subreaper } = answers?;
    left?;
    let shares = |kind| parent.is_some_and(|parent| is_shared(parent.pid, pid, kind));
    let shares_files = shares(Kcmp::Files);
    let oom = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).explain(what)?;
    let personality = std::fs::read_to_string(format!("/proc/{pid}/personality")).explain(what)?;
    Ok(LiveV1 {
        stopped: process.threads.iter().any(|thread| thread.group_stop),
        executable: executable(pid, collection)?,
        threads,
        memory,
        attributes,
        signals,
        timers,
        filesystem: filesystem::collect(pid, status.text("Umask"), collection)?,
        limits: limits::collect(pid)?,
        descriptors: if shares_files { Vec::new() } else { descriptors::collect(pid, collection)? },
        child_subreaper,
        login_uid: login_uid(pid),
        oom_score_adj: oom.trim().parse().unwrap_or(0),
        personality: u32::from_str_radix(personality.trim(), 16).unwrap_or(0),
        shares_files,
        shares_fs: shares(Kcmp::Fs),
    })
}

/// Work areas that snapshots left in the process because they were killed. One that a thread is still on its way out
/// of counts as the application's own.
fn leftovers(process: &FrozenProcess, maps: &[procfs::Mapping]) -> Result<Vec<(u64, u64)>> {
    let ours = |map: &&procfs::Mapping| {
        WORK_AREAS.contains(&map.start) && map.end <= WORK_AREAS.end && map.inode == 0 && !map.has(b"sh")
    };
    let found: Vec<(u64, u64)> = maps.iter().filter(ours).map(|map| (map.start, map.end)).collect();
    if found.is_empty() {
        return Ok(found);
    }
    let place = |address: u64| address.wrapping_sub(WORK_AREAS.start) / PLACE_SIZE;
    let mut used = Vec::new();
    for thread in &process.threads {
        let what = || format!("Could not read the registers of thread {}", thread.stopped.tid());
        let registers = thread.stopped.registers().explain(what)?;
        used.extend([place(registers.rip), place(registers.rsp)]);
    }
    Ok(found.into_iter().filter(|(start, _)| !used.contains(&place(*start))).collect())
}

/// Makes a copy to read the memory from. A process that adopts orphans would be given the copy, so there is none
/// below such a one.
fn copy_memory(
    process: &FrozenProcess,
    status: &Status,
    answers: Answers,
    visit: &mut Visit,
    collection: &mut Collection,
) -> Result<Answers> {
    collection.copy_on_write &= !answers.child_subreaper;
    if !collection.copy_on_write {
        return Ok(answers);
    }
    let least = collection.least_copied;
    if let Some(copy) = frozen_copy::make(process.leader(), status, collection.filtered(), least, visit)? {
        collection.copies.insert(process.pid, copy);
    }
    Ok(answers)
}

/// What a process has said of itself.
struct Answers {
    threads: Vec<ThreadV1>,
    memory: AddressSpaceV1,
    attributes: AttributesV1,
    signals: SignalsV1,
    timers: TimersV1,
    child_subreaper: bool,
}

fn collect_by_asking(
    process: &FrozenProcess,
    status: &Status,
    maps: &[procfs::Mapping],
    visit: &mut Visit,
    collection: &mut Collection,
) -> Result<Answers> {
    let pid = process.pid;
    let stat =
        procfs::stat(&pid.to_string()).explain(|| format!("Could not read the state of process {pid}"))?;
    let mut threads = Vec::with_capacity(process.threads.len());
    for (index, frozen) in process.threads.iter().enumerate().skip(1) {
        let mut inquiry = Inquiry { visit, thread: &frozen.stopped, index };
        threads.push(thread::collect(pid, &mut inquiry, collection.filtered())?);
    }
    let mut inquiry = Inquiry { visit, thread: process.leader(), index: 0 };
    threads.insert(0, thread::collect(pid, &mut inquiry, collection.filtered())?);
    let memory = memory::collect(pid, &stat, maps, &mut inquiry, collection)?;
    let attributes = attributes::collect(pid, status, &mut inquiry)?;
    let signals = signals::collect(status, &mut inquiry)?;
    let here = process.threads.iter().map(|frozen| frozen.stopped.tid());
    let known: Vec<(i32, OriginalPid)> = here.zip(threads.iter().map(|thread| thread.tid)).collect();
    let timers = timers::collect(pid, &known, &mut inquiry)?;
    let out = inquiry.out();
    let subreaper: [u8; 4] = inquiry.fetch(
        "PR_GET_CHILD_SUBREAPER",
        libc::SYS_prctl,
        &[libc::PR_GET_CHILD_SUBREAPER as u64, out, 0, 0, 0],
    )?;
    descriptors::ask(pid, &mut inquiry, collection)?;
    let child_subreaper = half(&subreaper, 0) != 0;
    Ok(Answers { threads, memory, attributes, signals, timers, child_subreaper })
}

fn login_uid(pid: i32) -> Option<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?.trim().parse().ok()
}

fn is_shared(a: i32, b: i32, kind: Kcmp) -> bool {
    kcmp(a, b, kind, 0, 0).is_ok_and(std::cmp::Ordering::is_eq)
}

/// What cannot be captured is named before anything is asked of the process.
fn refuse_unsupported(process: &FrozenProcess, parent: Option<&FrozenProcess>) -> Result<()> {
    let pid = process.pid;
    if parent.is_some_and(|parent| is_shared(parent.pid, pid, Kcmp::Vm)) {
        return Err(refused(
            pid,
            "the memory",
            "it shares its address space with another process (CLONE_VM)",
        ));
    }
    for thread in &process.threads {
        dispatch::refuse_barred(pid, &thread.stopped)?;
    }
    for thread in &process.threads[1..] {
        let tid = thread.stopped.tid();
        for (kind, what) in [(Kcmp::Files, "descriptor table"), (Kcmp::Fs, "working folder")] {
            if !is_shared(pid, tid, kind) {
                let why = "its thread is detached from the process by unshare(2)";
                return Err(refused(pid, &format!("the {what} of thread {tid}"), why));
            }
        }
    }
    Ok(())
}

fn executable(pid: i32, collection: &mut Collection) -> Result<FileRefV1> {
    let link = format!("/proc/{pid}/exe");
    let meta =
        std::fs::metadata(&link).explain(|| format!("Could not examine the executable of process {pid}"))?;
    FileRefV1::find(pid, &filesystem::link(&link)?, &meta, link.as_ref(), collection)
}

/// Adds the calls for what belongs to the process as a whole, before its threads get their credentials.
pub fn apply(live: &LiveV1, program: &mut Program) {
    let prctl = |program: &mut Program, name, args: &[u64]| program.call(name, libc::SYS_prctl, args);
    if live.child_subreaper {
        prctl(program, "PR_SET_CHILD_SUBREAPER", &[libc::PR_SET_CHILD_SUBREAPER as u64, 1]);
    }
    if live.memory.thp_disable {
        prctl(program, "PR_SET_THP_DISABLE", &[libc::PR_SET_THP_DISABLE as u64, 1, 0, 0, 0]);
    }
    program.call("personality", libc::SYS_personality, &[live.personality.into()]);
}

/// Says who logged in, as only the process itself may, once unless it has CAP_AUDIT_CONTROL: what is refused stays as it
/// is. Called while the process's root folder is still the one it was born with.
pub fn apply_login_uid(live: &LiveV1, thread: &Stopped, program: &mut Program) -> Result<()> {
    if live.login_uid.is_none() || live.login_uid == login_uid(thread.tid()) {
        return Ok(());
    }
    let path = program.string(b"/proc/self/loginuid");
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    program.attempt("open", libc::SYS_open, &[path, flags as u64]);
    let Ok(fd) = u64::try_from(program.run(thread)?[0]) else { return Ok(()) };
    let text = live.login_uid.unwrap_or(u32::MAX).to_string();
    let bytes = program.data(text.as_bytes());
    program.attempt("write", libc::SYS_write, &[fd, bytes, text.len() as u64]);
    program.call("close", libc::SYS_close, &[fd]);
    program.run(thread).map(drop)
}
