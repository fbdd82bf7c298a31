//! Growing the process tree: every process under its own id, in its own session and group, before any has memory.

use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::procfs::Status;
use crate::program::Program;
use crate::state::process::{BodyV1, ProcessV1};
use crate::state::terminals::rebuilding::Control;
use abi::{Code, Fault};
use std::collections::{HashMap, HashSet};
use sys::Errno;
use sys::ptrace::{self, Wait};
use tracee::{Bench, Call, Stopped};

/// Where ids are sought for processes that only serve the growth of others: below the smallest limit that
/// /proc/sys/kernel/pid_max usually has.
const FIRST_SPARE: i32 = 2;
const LAST_SPARE: i32 = 32_768;
/// How many of them may be taken by others.
const SPARE_ATTEMPTS: usize = 1024;

/// Makes a blank, stopped process that takes an id: a child of whoever is to adopt roots.
pub type Spawn<'a> = dyn FnMut(OriginalPid) -> Result<i32> + 'a;

pub struct Family<'a> {
    processes: &'a [ProcessV1],
    /// The terminals that sessions take while they grow.
    control: &'a Control<'a>,
    bench: Bench,
    spawn: &'a mut Spawn<'a>,
    pub pids: HashMap<OriginalPid, i32>,
}

impl<'a> Family<'a> {
    pub fn new(
        processes: &'a [ProcessV1],
        control: &'a Control<'a>,
        bench: Bench,
        spawn: &'a mut Spawn<'a>,
    ) -> Self {
        Self { processes, control, bench, spawn, pids: HashMap::new() }
    }

    /// Creates all processes, sessions and groups.
    pub fn grow(&mut self) -> Result<()> {
        let roots = self.processes.iter().filter(|process| process.parent.is_none());
        let (strays, roots): (Vec<_>, Vec<_>) = roots.partition(|root| self.is_stray_root(root));
        for root in roots {
            let current = (self.spawn)(root.pid)?;
            self.pids.insert(root.pid, current);
            self.grow_below(root)?;
        }
        for stray in strays {
            self.grow_stray(stray, None)?;
        }
        self.form_groups()
    }

    fn stopped(&self, pid: OriginalPid) -> Stopped {
        Stopped::assume(self.pids[&pid])
    }

    /// A root whose session belongs to another process of the chain, or to a leader that has ended.
    fn is_stray_root(&self, root: &ProcessV1) -> bool {
        let roots = self.processes.iter().filter(|process| process.parent.is_none());
        root.sid != root.pid && root.sid.0 != 0 && roots.count() > 1
    }

    /// Makes the children of `parent`, those first that keep the session which it has before it leads its own.
    fn grow_below(&mut self, parent: &ProcessV1) -> Result<()> {
        let children: Vec<&ProcessV1> =
            self.processes.iter().filter(|process| process.parent == Some(parent.pid)).collect();
        let leads = self.control.leads(parent);
        let before = |child: &ProcessV1| leads && child.sid != parent.sid && child.sid != child.pid;
        let mut strays = Vec::new();
        for child in children.iter().filter(|child| before(child)) {
            if self.is_known_session(child.sid) { strays.push(*child) } else { self.fork(parent, child)? }
        }
        if leads {
            self.run(parent.pid, "setsid", libc::SYS_setsid, &[])?;
            self.control.take(parent, &self.stopped(parent.pid), &self.bench)?;
        }
        for child in children.iter().filter(|child| !before(child)) {
            if child.sid == child.pid || child.sid == parent.sid {
                self.fork(parent, child)?;
            } else {
                strays.push(child);
            }
        }
        for child in
            children.iter().filter(|child| !strays.iter().any(|stray: &&ProcessV1| stray.pid == child.pid))
        {
            self.grow_below(child)?;
        }
        strays.into_iter().try_for_each(|stray| self.grow_stray(stray, Some(parent)))
    }

    /// Is the leader of this session a process of the chain?
    fn is_known_session(&self, sid: OriginalPid) -> bool {
        self.processes.iter().any(|process| process.pid == sid)
    }

    fn fork(&mut self, parent: &ProcessV1, child: &ProcessV1) -> Result<()> {
        let mut flags = 0;
        if let BodyV1::Live(live) = &child.body {
            flags |= if live.shares_files { libc::CLONE_FILES as u64 } else { 0 };
            flags |= if live.shares_fs { libc::CLONE_FS as u64 } else { 0 };
        }
        let current = self.clone(&self.stopped(parent.pid), flags, child.exit_signal, child.pid)?;
        self.pids.insert(child.pid, current);
        Ok(())
    }

    fn clone(&self, parent: &Stopped, flags: u64, exit_signal: i32, pid: OriginalPid) -> Result<i32> {
        self.bench
            .clone3(parent, flags, exit_signal.max(0) as u64, (pid.0 != 0).then_some(pid.0))
            .map_err(|error| pid_taken(pid, &error))
    }

    /// An orphan: it was adopted, and its session is not its adopter's. It is born in its session, to a process that
    /// ends at once, so that the kernel hands it to the adopter.
    fn grow_stray(&mut self, stray: &ProcessV1, adopter: Option<&ProcessV1>) -> Result<()> {
        if let Some(adopter) = adopter {
            if !matches!(&adopter.body, BodyV1::Live(live) if live.child_subreaper) {
                return Err(Fault::new(Code::Refused, format!("Could not restore process {}", stray.pid))
                    .because(format!(
                        "it is in session {}, which its parent could not have given it",
                        stray.sid
                    )));
            }
            let subreaper = libc::PR_SET_CHILD_SUBREAPER as u64;
            self.run(adopter.pid, "PR_SET_CHILD_SUBREAPER", libc::SYS_prctl, &[subreaper, 1])?;
        }
        let (parent, midwife) = self.midwife(stray, adopter)?;
        let midwife = Stopped::assume(midwife);
        let current = self.clone(&midwife, 0, stray.exit_signal, stray.pid)?;
        self.pids.insert(stray.pid, current);
        self.dismiss(&midwife, parent)?;
        self.grow_below(stray)
    }

    /// A process that is in a session already: its leader, or an orphan whose leader has ended and cannot come again.
    fn member_of(&self, sid: OriginalPid) -> Option<OriginalPid> {
        let grown = |process: &&ProcessV1| process.sid == sid && self.pids.contains_key(&process.pid);
        let orphan = || self.processes.iter().find(grown).map(|process| process.pid);
        if self.is_known_session(sid) { self.pids.contains_key(&sid).then_some(sid) } else { orphan() }
    }

    /// The process that bears a stray, and its own parent if that is one of ours. It is a fork of somebody in the session
    /// or, where nobody is, a new leader under the same id.
    fn midwife(
        &mut self,
        stray: &ProcessV1,
        adopter: Option<&ProcessV1>,
    ) -> Result<(Option<OriginalPid>, i32)> {
        if let Some(member) = self.member_of(stray.sid) {
            return Ok((Some(member), self.clone_spare(&self.stopped(member))?));
        }
        let current = match adopter {
            Some(adopter) => self.clone(&self.stopped(adopter.pid), 0, libc::SIGCHLD, stray.sid)?,
            None => (self.spawn)(stray.sid)?,
        };
        let leader = Stopped::assume(current);
        self.bench
            .call(&leader, "setsid", libc::SYS_setsid, &[])
            .explain(|| format!("Could not restore session {}", stray.sid))?;
        Ok((adopter.map(|adopter| adopter.pid), current))
    }

    /// A child under an id that nobody of the chain has now or will have.
    fn clone_spare(&self, parent: &Stopped) -> Result<i32> {
        let used = self.used_ids();
        let mut last = None;
        for id in (FIRST_SPARE..LAST_SPARE).rev().filter(|id| !used.contains(id)).take(SPARE_ATTEMPTS) {
            match self.bench.clone3(parent, 0, libc::SIGCHLD as u64, Some(id)) {
                Err(error) if error.errno() == Some(Errno::EEXIST) => last = Some(error),
                made => return made.map_err(|error| pid_taken(OriginalPid(id), &error)),
            }
        }
        let fault =
            Fault::new(Code::RestoreFailed, "Could not find a process id for a helper of the restore");
        Err(last.into_iter().fold(fault, |fault, error| fault.because(error)))
    }

    /// Every id that a process, thread, group or session of the chain has.
    fn used_ids(&self) -> HashSet<i32> {
        used_ids(self.processes)
    }

    /// Ends a process that only served the growth of others, and lets its parent forget it.
    fn dismiss(&self, temporary: &Stopped, parent: Option<OriginalPid>) -> Result<()> {
        // Before it ends: as its parent knows it, which may be in another PID namespace than this command.
        let what = || format!("Could not examine process {}", temporary.tid());
        let known = Status::read(&temporary.tid().to_string()).explain(what)?.innermost("NSpid");
        end(temporary, &self.bench, 0)?;
        if let Some(parent) = parent {
            const WALL: u64 = libc::__WALL as u64;
            self.run(parent, "wait4", libc::SYS_wait4, &[known as u64, 0, WALL, 0])?;
        }
        Ok(())
    }

    /// Puts every process into its group. A group whose leader has ended gets one for the time it takes.
    fn form_groups(&mut self) -> Result<()> {
        for process in self
            .processes
            .iter()
            .filter(|process| process.pgid == process.pid && !self.control.leads(process))
        {
            self.run(process.pid, "setpgid", libc::SYS_setpgid, &[0, 0])?;
        }
        let mut orphaned: HashMap<OriginalPid, Vec<OriginalPid>> = HashMap::new();
        for process in
            self.processes.iter().filter(|process| process.pgid != process.pid && process.pgid.0 != 0)
        {
            if self.pids.contains_key(&process.pgid) {
                self.run(process.pid, "setpgid", libc::SYS_setpgid, &[0, process.pgid.0 as u64])?;
            } else if !self.is_outside(process) {
                orphaned.entry(process.pgid).or_default().push(process.pid);
            }
        }
        for (group, members) in orphaned {
            if self.was_born_into(group, &members) {
                for member in members {
                    self.run(member, "setpgid", libc::SYS_setpgid, &[0, group.0 as u64])?;
                }
                continue;
            }
            let leader = Stopped::assume(self.clone(&self.stopped(members[0]), 0, libc::SIGCHLD, group)?);
            self.bench
                .call(&leader, "setpgid", libc::SYS_setpgid, &[0, 0])
                .explain(|| format!("Could not restore process group {group}"))?;
            for member in &members {
                self.run(*member, "setpgid", libc::SYS_setpgid, &[0, group.0 as u64])?;
            }
            self.dismiss(&leader, Some(members[0]))?;
        }
        Ok(())
    }

    /// Did one of a group's members get it by birth, from the leader of their session, which has ended? Then the group
    /// is there, and its id cannot be taken again.
    fn was_born_into(&self, group: OriginalPid, members: &[OriginalPid]) -> bool {
        self.processes.iter().any(|process| process.sid == group && members.contains(&process.pid))
    }

    /// Was the process in a session and group that it had from outside of the chain?
    fn is_outside(&self, process: &ProcessV1) -> bool {
        let root = &self.processes[0];
        root.pgid != root.pid && process.pgid == root.pgid
    }

    fn run(&self, pid: OriginalPid, name: &'static str, nr: i64, args: &[u64]) -> Result<()> {
        let mut program = Program::new(&self.bench);
        program.call(name, nr, args);
        program.run(&self.stopped(pid)).map(drop)
    }
}

/// An id that nobody of the chain has, for what has ended before the chain is complete.
pub fn spare_id(processes: &[ProcessV1]) -> Option<i32> {
    let used = used_ids(processes);
    (FIRST_SPARE..LAST_SPARE).rev().find(|id| !used.contains(id))
}

fn used_ids(processes: &[ProcessV1]) -> HashSet<i32> {
    let of = |process: &ProcessV1| {
        let threads = match &process.body {
            BodyV1::Live(live) => live.threads.iter().map(|thread| thread.tid.0).collect(),
            BodyV1::Zombie { .. } => Vec::new(),
        };
        [process.pid.0, process.pgid.0, process.sid.0].into_iter().chain(threads)
    };
    processes.iter().flat_map(of).collect()
}

/// Lets a process that is to be a zombie end, by exit code or by signal, as wait(2) encodes it.
pub fn end(process: &Stopped, bench: &Bench, status: i32) -> Result<()> {
    let tid = process.tid();
    let what = || format!("Could not end process {tid} as it had ended");
    let signal = status & 0x7f;
    if signal == 0 {
        let code = (status >> 8) as u64 & 0xff;
        bench.start(process, Call::new("exit_group", libc::SYS_exit_group, &[code])).explain(what)?;
    } else {
        process.set_signal_mask(0).explain(what)?;
        sys::process::kill(tid, signal).explain(what)?;
        resume(tid, 0).explain(what)?;
    }
    loop {
        match ptrace::wait(tid).explain(what)? {
            Wait::Exited(_) | Wait::Killed(_) => return Ok(()),
            Wait::Signal(delivered) => resume(tid, delivered).explain(what)?,
            _ => resume(tid, 0).explain(what)?,
        }
    }
}

/// A process that SIGKILL ends needs no leave to go on.
fn resume(tid: i32, signal: i32) -> sys::Result<()> {
    match ptrace::cont(tid, signal) {
        Err(Errno::ESRCH) => Ok(()),
        resumed => resumed,
    }
}

fn pid_taken(pid: OriginalPid, error: &tracee::Error) -> Fault {
    let fault = Fault::new(Code::RestoreFailed, format!("Could not create process {pid}"));
    match error.errno() {
        Some(Errno::EEXIST) => fault
            .because("a process with this id exists already")
            .hint("End that process, or restore into a PID namespace of its own"),
        Some(Errno::EPERM) => fault
            .because("choosing a process id needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN")
            .hint("Run stasis as root"),
        _ => fault.because(error),
    }
}
