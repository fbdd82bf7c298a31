//! Blank processes: created, attached to, emptied of everything but the hole. All die with this command until they
//! are released, and at once when the nursery is dropped.

mod taking;

use crate::chain::Chain;
use crate::delivery::Delivery;
use crate::edits::ports::Ports;
use crate::explain::{Explain, Result};
use crate::family;
use crate::freeze;
use crate::ids::OriginalPid;
use crate::procfs;
use crate::state::capsule::CapsuleV1;
use crate::state::host::VdsoV1;
use crate::state::memory::Waiting;
use crate::stub::Hole;
use abi::residence::Layout;
use abi::wire::{IDS, TERMINAL};
use abi::{Code, Control, Fault};
use capsule::resident::Resident;
use capsule::{Aid, Building, Ending, ExecSpec};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use sys::process::{Blank, spawn_blank};
use sys::ptrace::{self, Wait};
use tracee::Stopped;

/// How blank processes are traced, and all that come from them.
pub const OPTIONS: i32 = ptrace::O_EXITKILL
    | ptrace::O_TRACEEXEC
    | ptrace::O_TRACEFORK
    | ptrace::O_TRACECLONE
    | ptrace::O_TRACESYSGOOD;
/// What the executable gets besides the standard streams.
const INHERITED: i32 = 3;

/// Whose children blank processes are.
pub enum Cradle {
    /// This command's, in the namespaces that it is in.
    Caller,
    /// The helper's of a new capsule.
    Capsule(Box<Building>),
}

pub struct Nursery {
    pub hole: Hole,
    pub delivery: Delivery,
    /// Names and sizes of the parked vDSO mappings, in the order in which they are parked.
    pub vdso: VdsoV1,
    cradle: Cradle,
    executable: File,
    theirs: OwnedFd,
    /// What makes processes with a template's memory, and a pid that is free for it.
    resident: Option<(Resident, i32)>,
    /// Every process made here that has not been released or reaped.
    born: BTreeSet<i32>,
}

impl Nursery {
    /// `first_free` is a descriptor number above all that the application uses.
    pub fn new(cradle: Cradle, hole: Hole, vdso: VdsoV1, first_free: i32) -> Result<Self> {
        let (ours, theirs) =
            sys::files::datagram_pair().explain(|| "Could not make a socket for the restore".to_owned())?;
        let executable = hole.executable()?;
        Ok(Self {
            hole,
            delivery: Delivery { ours, theirs: first_free },
            vdso,
            cradle,
            executable,
            theirs,
            resident: None,
            born: BTreeSet::new(),
        })
    }

    /// Lets a resident helper that holds the memory of this image make the processes.
    pub fn make_of(&mut self, resident: Option<Resident>, image: &Chain) {
        // One that another version has started may lay things out in its own way.
        let fits = |resident: &Resident| {
            let Layout { hole, code, data, .. } = resident.record.layout;
            (hole, code, data) == (self.hole.start, self.hole.code(), self.hole.data())
        };
        let usable = resident.filter(|resident| matches!(self.cradle, Cradle::Capsule(_)) && fits(resident));
        self.resident = usable.zip(family::spare_id(&image.processes));
    }

    /// The memory that processes made by a resident helper are born with, as far as it is for `pid`.
    pub fn waiting(&self, pid: OriginalPid) -> Option<Waiting> {
        let (resident, _) = self.resident.as_ref()?;
        let Layout { arena, slots, .. } = &resident.record.layout;
        let mut slots: Vec<_> = slots.iter().filter(|slot| slot.pid == pid.0).copied().collect();
        slots.sort_by_key(|slot| slot.start);
        Some(Waiting { arena: *arena, slots })
    }

    /// Makes a blank process under the given id. Returns its id as this command sees it.
    pub fn spawn(&mut self, pid: OriginalPid) -> Result<i32> {
        if let (Cradle::Capsule(building), Some((resident, spare))) = (&self.cradle, &mut self.resident) {
            let blank = resident.beget(building, self.theirs.as_fd(), pid.0, *spare)?;
            let child = blank.host_pid;
            self.take_over(child)?;
            return Ok(child);
        }
        if let Cradle::Capsule(building) = &mut self.cradle {
            let blank = building.spawn_blank(&self.executable, Some(self.theirs.as_fd()), Some(pid.0))?;
            let child = blank.host_pid;
            self.attach(child, || {
                blank.release().map(drop).explain(|| format!("Could not start process {pid}"))
            })?;
            return Ok(child);
        }
        self.spawn_child(pid)
    }

    /// Makes blank processes that stand for ones that have ended.
    pub fn spawn_all(&mut self, pids: impl IntoIterator<Item = OriginalPid>) -> Result<Vec<i32>> {
        pids.into_iter().map(|pid| self.spawn(pid)).collect()
    }

    /// Lets the capsule's helper have the master of the application's terminal.
    pub fn keep_terminal(&mut self, master: BorrowedFd) -> Result<()> {
        match &mut self.cradle {
            Cradle::Capsule(building) => building.keep(TERMINAL, master),
            Cradle::Caller => Ok(()),
        }
    }

    /// Lets the capsule's helper answer the questions of a filter.
    pub fn listen(&mut self, listener: &OwnedFd) -> Result<()> {
        match &mut self.cradle {
            Cradle::Capsule(building) => building.listen(listener),
            Cradle::Caller => Ok(()),
        }
    }

    /// The table of virtual ids of the new capsule, if it translates ids.
    pub fn id_table(&mut self) -> Result<Option<File>> {
        match &mut self.cradle {
            Cradle::Capsule(building) => Ok(building.take(IDS)?.map(File::from)),
            Cradle::Caller => Ok(None),
        }
    }

    /// Lets packets of others reach the application's own network namespace, if it has one.
    pub fn open_network(&mut self) -> Result<()> {
        match &mut self.cradle {
            Cradle::Capsule(building) => building.open_network(),
            Cradle::Caller => Ok(()),
        }
    }

    fn spawn_child(&mut self, pid: OriginalPid) -> Result<i32> {
        let what = || format!("Could not create process {pid}");
        let (reader, writer) = sys::files::pipe(0).explain(what)?;
        let blank = Blank {
            executable: &self.executable,
            set_tid: Some(pid.0),
            go: (reader.as_raw_fd(), writer.as_raw_fd()),
            keep: self.theirs.as_raw_fd(),
        };
        let child = spawn_blank(&blank).map_err(|errno| spawn_failed(pid, errno))?;
        self.attach(child, || sys::files::write_all(writer.as_fd(), &[1]).explain(what))?;
        Ok(child)
    }

    /// Takes charge of a process that one of ours has made.
    pub fn adopt(&mut self, pids: impl Iterator<Item = i32>) {
        self.born.extend(pids);
    }

    /// Tells a new capsule which of the processes, made by now, is the application's root.
    pub fn name_root(&mut self, saved: Option<&CapsuleV1>) -> Result<()> {
        match (&mut self.cradle, saved) {
            (Cradle::Capsule(building), Some(saved)) => {
                building.adopt_root(saved.root.map(|root| root.0), saved.ending)
            }
            _ => Ok(()),
        }
    }

    /// Runs a command beside the application, where it has a capsule.
    pub fn run(&mut self, spec: ExecSpec, control: &Control) -> Result<Option<Ending>> {
        match &mut self.cradle {
            Cradle::Capsule(building) => building.run(spec, control),
            Cradle::Caller => Err(Fault::new(Code::Usage, "Could not run a command in a capsule")
                .because("the application has none")),
        }
    }

    /// Notes which ports are others on the host.
    pub fn note_ports(&mut self, ports: &Ports) {
        if let Cradle::Capsule(building) = &mut self.cradle {
            building.note_ports(ports.taken());
        }
    }

    /// A process of ours has ended and was waited for.
    pub fn forget(&mut self, pid: i32) {
        self.born.remove(&pid);
    }

    /// Gives all processes their freedom: from here on they live without this command. A capsule is complete with that;
    /// its application's id is returned. `attached`: the caller goes on to attach to it.
    pub fn release(mut self, threads: impl Iterator<Item = i32>, attached: bool) -> Result<Option<Aid>> {
        let aid = match std::mem::replace(&mut self.cradle, Cradle::Caller) {
            Cradle::Capsule(building) => Some(building.commit(attached)?),
            Cradle::Caller => None,
        };
        let threads: Vec<i32> = threads.collect();
        for &tid in &threads {
            ptrace::set_options(tid, 0).explain(|| format!("Could not release thread {tid}"))?;
        }
        self.born.clear();
        let_go(&threads).map(|()| aid)
    }

    /// The same where the capsule takes the place of another one, whose end `settle` sees to while the new processes still
    /// stand. They live without this command already when the capsule is told to, so that there is no moment at which
    /// neither of the two would.
    pub fn succeed(
        mut self,
        threads: impl Iterator<Item = i32>,
        settle: impl FnOnce(),
    ) -> Result<Option<Aid>> {
        let threads: Vec<i32> = threads.collect();
        threads.iter().try_for_each(|tid| let_live(*tid))?;
        let aid = match std::mem::replace(&mut self.cradle, Cradle::Caller) {
            Cradle::Capsule(building) => Some(building.commit(false)?),
            Cradle::Caller => None,
        };
        self.born.clear();
        settle();
        // It is the application from here on. A thread that cannot be let go has been killed.
        let_go(&threads)
            .map_err(|fault| fault.aftermath("The application was rolled back, and ended by itself"))?;
        Ok(aid)
    }
}

/// The end of this command does not end the thread any more, which can still be asked to make calls.
fn let_live(tid: i32) -> Result<()> {
    // Filters that may not be suspended allow what is asked.
    let set = ptrace::set_options(tid, freeze::options(tid, false));
    set.or_else(|_| ptrace::set_options(tid, ptrace::O_TRACESYSGOOD))
        .explain(|| format!("Could not release thread {tid}"))
}

fn let_go(threads: &[i32]) -> Result<()> {
    threads.iter().try_for_each(|&tid| {
        Stopped::assume(tid).detach(0).explain(|| format!("Could not release thread {tid}"))
    })
}

impl Drop for Nursery {
    fn drop(&mut self) {
        for &pid in &self.born {
            // Gone already is what we want; anything else is ended by PTRACE_O_EXITKILL when this thread ends.
            let _ = sys::process::kill(pid, libc::SIGKILL);
        }
        for &pid in &self.born {
            // A main thread's end is reported only when its process's other threads have been waited for.
            let tasks = procfs::tasks(pid).unwrap_or_default();
            tasks.into_iter().filter(|tid| *tid != pid).for_each(await_end);
            await_end(pid);
        }
    }
}

fn await_end(tid: i32) {
    while !matches!(ptrace::wait(tid), Ok(Wait::Exited(_) | Wait::Killed(_)) | Err(_)) {}
}

fn spawn_failed(pid: OriginalPid, errno: sys::Errno) -> Fault {
    let fault = Fault::new(Code::RestoreFailed, format!("Could not create process {pid}"));
    match errno {
        sys::Errno::EEXIST => fault
            .because("a process with this id exists already")
            .hint("End that process, or restore into a PID namespace of its own"),
        sys::Errno::EPERM => fault
            .because("choosing a process id needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN")
            .hint("Run stasis as root"),
        errno => fault.because(errno),
    }
}
