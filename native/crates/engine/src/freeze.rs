//! Stopping every thread of a process tree, and letting it go on.

use crate::explain::{Explain, Result};
use crate::procfs::{self, Status};
use crate::state::seccomp;
use abi::{Code, Fault};
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use sys::Errno;
use sys::ptrace::{self, Wait};
use tracee::{Interrupted, Stopped};

const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
/// How long a thread may take to stop before it is taken for stuck in the kernel, where nobody is in a greater hurry.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A thread that is held, and whether its process was stopped by a signal before.
#[derive(Debug)]
pub struct FrozenThread {
    pub stopped: Stopped,
    pub group_stop: bool,
}

/// A process of the tree. A zombie has no threads.
#[derive(Debug)]
pub struct FrozenProcess {
    pub pid: i32,
    pub parent: i32,
    pub threads: Vec<FrozenThread>,
}

impl FrozenProcess {
    pub fn is_zombie(&self) -> bool {
        self.threads.is_empty()
    }

    pub fn leader(&self) -> &Stopped {
        &self.threads[0].stopped
    }
}

/// A tree all of whose threads are stopped. Dropping it lets them go on.
#[derive(Debug)]
pub struct FrozenTree {
    pub processes: Vec<FrozenProcess>,
    patience: Duration,
    /// Threads have the filter of their capsule, which may stay in force.
    filtered: bool,
    seized: HashSet<i32>,
}

impl FrozenTree {
    /// Stops `roots` and all their descendants, parents before children.
    pub fn freeze(roots: &[i32]) -> Result<Self> {
        let mut tree = Self::empty(false, PATIENCE);
        for &root in roots {
            tree.freeze_from(root)?;
            if tree.find(root).is_some_and(FrozenProcess::is_zombie) {
                return Err(has_ended(root));
            }
        }
        Ok(tree)
    }

    /// Stops the descendants of `keeper`, which goes on running and may adopt orphans meanwhile. `filtered`: they have the
    /// filter of their capsule. `patience`: how long a thread may take. `except`: processes that are none of the application.
    pub fn freeze_below(keeper: i32, filtered: bool, patience: Duration, except: &[i32]) -> Result<Self> {
        let mut tree = Self::empty(filtered, patience);
        loop {
            let children = procfs::children(keeper).explain(|| children_of(keeper))?;
            let known = |pid: &i32| tree.holds(*pid) || except.contains(pid);
            let fresh: Vec<i32> = children.into_iter().filter(|pid| !known(pid)).collect();
            if fresh.is_empty() {
                return Ok(tree);
            }
            for pid in fresh {
                match tree.freeze_from(pid) {
                    Err(fault) if fault.code != Code::NoTarget => return Err(fault),
                    _ => {}
                }
            }
        }
    }

    fn empty(filtered: bool, patience: Duration) -> Self {
        Self { processes: Vec::new(), patience, filtered, seized: HashSet::new() }
    }

    fn holds(&self, pid: i32) -> bool {
        self.find(pid).is_some()
    }

    fn find(&self, pid: i32) -> Option<&FrozenProcess> {
        self.processes.iter().find(|process| process.pid == pid)
    }

    fn freeze_from(&mut self, root: i32) -> Result<()> {
        let mut queue = VecDeque::from([root]);
        while let Some(pid) = queue.pop_front() {
            if self.holds(pid) {
                continue;
            }
            let process = match self.freeze_process(pid) {
                // A child may be gone by the time we look; its parent, stopped, will find it as we do.
                Err(fault) if fault.code == Code::NoTarget && pid != root => continue,
                process => process?,
            };
            self.processes.push(process);
            let children = procfs::children(pid).explain(|| children_of(pid))?;
            // Adopted by a subreaper inside the tree while it was being stopped: the next round finds them.
            queue.extend(children.into_iter().filter(|child| !self.holds(*child)));
        }
        self.adopted_since()
    }

    /// Looks once more at everybody's children, until no process is found that is not held.
    fn adopted_since(&mut self) -> Result<()> {
        let mut fresh = Vec::new();
        for process in self.processes.iter().filter(|process| !process.is_zombie()) {
            let children = procfs::children(process.pid).explain(|| children_of(process.pid))?;
            fresh.extend(children.into_iter().filter(|child| !self.holds(*child)));
        }
        fresh.into_iter().try_for_each(|child| self.freeze_from(child))
    }

    fn freeze_process(&mut self, pid: i32) -> Result<FrozenProcess> {
        let stat = procfs::stat(&pid.to_string()).map_err(|_| no_such_process(pid))?;
        let mut threads: Vec<FrozenThread> = Vec::new();
        loop {
            let tasks = procfs::tasks(pid).map_err(|_| no_such_process(pid))?;
            let mut asked = Vec::new();
            for tid in tasks.into_iter().filter(|tid| threads.iter().all(|t| t.stopped.tid() != *tid)) {
                if self.seize(pid, tid)? {
                    asked.push(tid);
                }
            }
            if asked.is_empty() {
                break;
            }
            for tid in asked {
                match await_stop(tid, self.patience)? {
                    Some(thread) => threads.push(thread),
                    None => {
                        self.seized.remove(&tid);
                    }
                }
            }
        }
        threads.sort_by_key(|thread| (thread.stopped.tid() != pid, thread.stopped.tid()));
        if threads.first().is_some_and(|first| first.stopped.tid() != pid) {
            return Err(crate::explain::refused(
                pid,
                "the main thread",
                "it has exited while other threads of the process go on",
            ));
        }
        Ok(FrozenProcess { pid, parent: stat.ppid, threads })
    }

    /// Attaches to one thread and asks it to stop. False when it is a zombie or gone.
    fn seize(&mut self, pid: i32, tid: i32) -> Result<bool> {
        let path = format!("{pid}/task/{tid}");
        match ptrace::seize(tid, options(tid, self.filtered)) {
            Ok(()) => {}
            Err(Errno::ESRCH) => return Ok(false),
            Err(_) if matches!(procfs::stat(&path), Err(_) | Ok(procfs::Stat { state: 'Z' | 'X', .. })) => {
                return Ok(false);
            }
            Err(errno) => return Err(cannot_attach(pid, errno)),
        }
        self.seized.insert(tid);
        ptrace::interrupt(tid).explain(|| format!("Could not stop thread {tid} of process {pid}"))?;
        Ok(true)
    }

    /// A process that was stopped and has ended all the same: SIGKILL spares nobody.
    pub fn ended(&self) -> Option<i32> {
        // One on its way out has no memory any more, well before it is a zombie.
        let lives = |pid: i32| {
            procfs::stat(&pid.to_string()).is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
                && Status::read(&pid.to_string()).is_ok_and(|status| !status.text("VmSize").is_empty())
        };
        let stopped = self.processes.iter().filter(|process| !process.is_zombie());
        stopped.map(|process| process.pid).find(|pid| !lives(*pid))
    }

    /// Ends every process of the tree and waits until the kernel has let go of them.
    pub fn kill(mut self) -> Result<()> {
        for process in self.processes.iter().filter(|process| !process.is_zombie()) {
            match sys::process::kill(process.pid, 9) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => Err(errno).explain(|| format!("Could not end process {}", process.pid))?,
            }
        }
        // A main thread's end is reported only when its process's other threads have been waited for.
        let leaders: HashSet<i32> = self.processes.iter().map(|process| process.pid).collect();
        let mut tids: Vec<i32> = self.seized.drain().collect();
        tids.sort_by_key(|tid| leaders.contains(tid));
        for tid in tids {
            while !matches!(ptrace::wait(tid), Ok(Wait::Exited(_) | Wait::Killed(_)) | Err(_)) {}
        }
        Ok(())
    }
}

impl Drop for FrozenTree {
    fn drop(&mut self) {
        for tid in self.seized.drain() {
            // A thread that is gone needs no release; for any other there is nothing left to try.
            drop(Stopped::assume(tid).detach(0));
        }
    }
}

/// How a thread is traced: calls made in its name must not meet its seccomp filters. `ours`: the one of its capsule may stay in
/// force.
pub fn options(tid: i32, ours: bool) -> i32 {
    let denied = Status::read(&tid.to_string()).is_ok_and(|status| seccomp::is_on(&status, ours));
    ptrace::O_TRACESYSGOOD | if denied { ptrace::O_SUSPEND_SECCOMP } else { 0 }
}

/// Waits until the interrupted thread has stopped; none when it ended instead.
fn await_stop(tid: i32, patience: Duration) -> Result<Option<FrozenThread>> {
    loop {
        let stop = match ptrace::wait_for(tid, patience) {
            Err(Errno::EAGAIN) => {
                return Err(Fault::new(Code::Other, format!("Could not stop thread {tid}"))
                    .because("it is in an uninterruptible wait in the kernel")
                    .hint("Try again when the disk or device that it waits for answers"));
            }
            Err(Errno::ECHILD) => return Ok(None),
            stop => stop.explain(|| format!("Could not wait for thread {tid}"))?,
        };
        match stop {
            Wait::Exited(_) | Wait::Killed(_) => return Ok(None),
            Wait::Event(ptrace::EVENT_STOP, signal) => {
                let group_stop = signal != 5;
                let stopped = Stopped::assume(tid);
                if !group_stop {
                    hide_stop(&stopped)?;
                }
                return Ok(Some(FrozenThread { stopped, group_stop }));
            }
            // A signal was on its way: it is delivered, and the thread stops before its handler runs.
            Wait::Signal(signal) => {
                ptrace::cont(tid, signal).explain(|| format!("Could not hand signal {signal} to {tid}"))?;
            }
            Wait::Syscall | Wait::Event(..) => {
                ptrace::cont(tid, 0).explain(|| format!("Could not resume thread {tid}"))?;
            }
        }
    }
}

/// Calls that return EINTR after any stop shall not do so after ours, whatever becomes of the snapshot.
fn hide_stop(thread: &Stopped) -> Result<()> {
    let what = || format!("Could not prepare thread {}", thread.tid());
    let regs = thread.registers().explain(what)?;
    match tracee::classify(&regs) {
        Interrupted::WouldSeeEintr => {
            let regs = tracee::left_to_the_kernel(&regs).unwrap_or(regs);
            thread.set_registers(&regs).explain(what)
        }
        _ => Ok(()),
    }
}

fn children_of(pid: i32) -> String {
    format!("Could not list the children of process {pid}")
}

fn no_such_process(pid: i32) -> Fault {
    Fault::new(Code::NoTarget, format!("Could not find process {pid}")).because("no such process")
}

fn has_ended(pid: i32) -> Fault {
    Fault::new(Code::NoTarget, format!("Could not take process {pid}"))
        .because("it has ended, and its parent has not fetched its exit status yet")
}

/// Processes that nobody can trace, whatever their rights.
fn never_traced(pid: i32, status: &Status) -> Option<&'static str> {
    if pid.cast_unsigned() == std::process::id() {
        return Some("it is this very command; take the snapshot from outside of that process tree");
    }
    let kernels = !status.text("Name").is_empty()
        && status.text("VmSize").is_empty()
        && !status.text("State").starts_with('Z');
    kernels.then_some("it is a thread of the kernel")
}

fn cannot_attach(pid: i32, errno: Errno) -> Fault {
    let message = format!("Could not attach to process {pid}");
    let status = Status::read(&pid.to_string()).unwrap_or_default();
    let tracer: i32 = status.text("TracerPid").parse().unwrap_or(0);
    if tracer != 0 {
        return Fault::new(Code::Refused, message)
            .because(format!("process {tracer} is tracing it already"))
            .hint(format!("End the debugger or tracer (process {tracer}) and try again"));
    }
    if let Some(why) = never_traced(pid, &status) {
        return Fault::new(Code::Refused, message).because(why);
    }
    if errno == Errno::EPERM && seccomp::is_on(&status, false) && !sys::process::has_capability(CAP_SYS_ADMIN)
    {
        return Fault::new(Code::NotPermitted, message)
            .because("it is under seccomp, which only CAP_SYS_ADMIN can suspend")
            .hint("Run stasis as root");
    }
    if errno == Errno::EPERM && sys::process::has_capability(CAP_SYS_PTRACE) {
        return Fault::new(Code::NotPermitted, message).because(
            "the host does not let even CAP_SYS_PTRACE trace it (it may be the first process of a container)",
        );
    }
    if errno == Errno::EPERM {
        return Fault::new(Code::NotPermitted, message)
            .because("it belongs to another user, or it has more privileges than you")
            .hint("Run stasis as root, or as the user who owns the process");
    }
    Fault::new(Code::Other, message).because(errno)
}
