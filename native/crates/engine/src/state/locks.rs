//! File locks and leases, as fdinfo lists them (proc_pid_fdinfo(5)): flock(2) and open file description locks belong to a
//! description, traditional record locks (fcntl(2)) to a process's descriptor table.

use crate::explain::{Explain, Result, refused};
use crate::freeze::FrozenTree;
use crate::ids::{DescriptionId, OriginalPid};
use crate::nursery::Nursery;
use crate::procfs::{FdInfo, Status};
use crate::program::Program;
use crate::rebuild::Rebuild;
use crate::state::memory;
use abi::{Code, Fault};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use tracee::{Stopped, Visit, find_gadgets};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LockKindV1 {
    Flock,
    Record,
    /// Open file description lock.
    Description,
    Lease {
        /// Somebody waits until the holder has given it up: it is to become what `exclusive` and `none` say.
        breaking: bool,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockV1 {
    pub kind: LockKindV1,
    pub exclusive: bool,
    /// Of a lease that is breaking: nothing may stay of it.
    pub none: bool,
    /// The description may only be read: there alone may a shared lease be.
    pub read_only: bool,
    pub start: i64,
    /// Last byte; none for the end of the file, wherever that comes to be.
    pub end: Option<i64>,
    pub description: DescriptionId,
    /// The process that takes it again, by this descriptor of its.
    pub process: OriginalPid,
    pub fd: i32,
    /// For messages.
    pub path: ByteBuf,
}

/// One `lock:` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    kind: LockKindV1,
    exclusive: bool,
    none: bool,
    taker: i32,
    start: i64,
    end: Option<i64>,
}

/// A descriptor and the locks that its fdinfo lists.
struct Seen {
    pid: i32,
    fd: i32,
    description: DescriptionId,
    may_write: bool,
    may_read: bool,
    path: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Default)]
pub struct Collector {
    seen: Vec<Seen>,
}

/// Reads `lock:` lines such as `lock: 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`.
pub fn lines(info: &FdInfo) -> std::result::Result<Vec<Line>, String> {
    info.lines("lock:").map(|line| parse(line).ok_or_else(|| line.to_owned())).collect()
}

fn parse(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.strip_prefix("lock:")?.split_ascii_whitespace().collect();
    let [_, kind, state, mode, taker, _, start, end] = words[..] else { return None };
    let kind = match kind {
        "FLOCK" => LockKindV1::Flock,
        "POSIX" => LockKindV1::Record,
        "OFDLCK" => LockKindV1::Description,
        "LEASE" => LockKindV1::Lease { breaking: state == "BREAKING" },
        _ => return None,
    };
    Some(Line {
        kind,
        exclusive: mode == "WRITE",
        none: mode == "UNLCK",
        taker: taker.parse().ok()?,
        start: start.parse().ok()?,
        end: if end == "EOF" { None } else { Some(end.parse().ok()?) },
    })
}

impl Collector {
    /// Enters a descriptor with what its fdinfo said. `flags` are those of its description.
    pub fn enter(
        &mut self,
        (pid, fd): (i32, i32),
        description: DescriptionId,
        flags: i32,
        path: &[u8],
        lines: std::result::Result<Vec<Line>, String>,
    ) -> Result<()> {
        let lines = lines.map_err(|line| {
            refused(pid, &format!("descriptor {fd}"), &format!("it has a lock of an unknown kind: {line}"))
        })?;
        if !lines.is_empty() {
            let mode = flags & libc::O_ACCMODE;
            let (may_write, may_read) = (mode != libc::O_RDONLY, mode != libc::O_WRONLY);
            self.seen.push(Seen { pid, fd, description, may_write, may_read, path: path.to_vec(), lines });
        }
        Ok(())
    }

    /// Decides who takes each lock again, once all descriptors were seen.
    pub fn finish(&self, tree: &FrozenTree) -> Vec<LockV1> {
        let original =
            |pid: i32| OriginalPid(Status::read(&pid.to_string()).unwrap_or_default().innermost("NSpid"));
        let pids: HashMap<i32, OriginalPid> =
            tree.processes.iter().map(|process| (process.pid, original(process.pid))).collect();
        let mut locks: Vec<(&Seen, &Line)> = Vec::new();
        for seen in &self.seen {
            for line in &seen.lines {
                match locks.iter_mut().find(|(other, known)| is_same(seen, line, other, known)) {
                    Some(known) if rank(seen, line) > rank(known.0, known.1) => *known = (seen, line),
                    Some(_) => {}
                    None => locks.push((seen, line)),
                }
            }
        }
        locks.into_iter().map(|(seen, line)| line.saved(seen, pids[&seen.pid])).collect()
    }
}

/// Is this a lock that another descriptor showed already?
fn is_same(seen: &Seen, line: &Line, other: &Seen, known: &Line) -> bool {
    let place = match line.kind {
        LockKindV1::Record => seen.pid == other.pid && seen.path == other.path,
        _ => seen.description == other.description,
    };
    place && line == known
}

/// How well a descriptor suits for taking a lock: by the process that took it, and with the right to.
fn rank(seen: &Seen, line: &Line) -> (bool, bool) {
    (seen.pid == line.taker, if line.exclusive { seen.may_write } else { seen.may_read })
}

impl Line {
    fn saved(&self, seen: &Seen, process: OriginalPid) -> LockV1 {
        LockV1 {
            kind: self.kind,
            exclusive: self.exclusive,
            none: self.none,
            read_only: !seen.may_write,
            start: self.start,
            end: self.end,
            description: seen.description,
            process,
            fd: seen.fd,
            path: ByteBuf::from(seen.path.clone()),
        }
    }
}

const F_SETLEASE: u64 = 1024;
const F_OFD_SETLK: u64 = 37;

/// Takes all locks again, each in its process. Every process has its descriptors and closes none any more.
/// Those that an application holds whose place this takes are left for [`settle`].
pub fn apply(locks: &[LockV1], nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    for (index, lock) in locks.iter().enumerate() {
        let Some(pid) = rebuild.current(lock.process) else { continue };
        let thread = Stopped::assume(pid);
        let mut program = Program::new(&bench);
        lock.add(&mut program);
        let result = program.run(&thread)?[0];
        match sys::Errno::from_raw(result) {
            Err(sys::Errno::EAGAIN | sys::Errno::EACCES) if lock.is_held_by_incumbent(rebuild) => {
                rebuild.disputed_locks.push(index);
                continue;
            }
            taken => taken.map_err(|errno| lock.fault(errno))?,
        };
        if lock.kind == (LockKindV1::Lease { breaking: true }) {
            start_breaking(lock, rebuild)?;
        }
    }
    Ok(())
}

/// Takes the locks that an application held which has ended by now. Every thread stands where it is about to go on. What
/// somebody else was quicker to take is a note: there is no way back.
pub fn settle(rebuild: &mut Rebuild) {
    let image = Arc::clone(&rebuild.image);
    for index in std::mem::take(&mut rebuild.disputed_locks) {
        let lock = &image.locks[index];
        let Some(pid) = rebuild.current(lock.process) else { continue };
        if let Err(fault) = lock.take_late(&Stopped::assume(pid)) {
            rebuild.notes.push(format!("{}: {}", fault.message, fault.causes.join(": ")));
        }
    }
}

impl LockV1 {
    fn is_held_by_incumbent(&self, rebuild: &Rebuild) -> bool {
        let (Some(incumbent), Some(file)) = (&rebuild.incumbent, rebuild.descriptions.get(&self.description))
        else {
            return false;
        };
        let meta = file.try_clone().map(File::from).and_then(|file| file.metadata());
        meta.is_ok_and(|meta| incumbent.locks((meta.dev(), meta.ino())))
    }

    /// Takes the lock by a call in the name of a process that has its own code and registers already.
    fn take_late(&self, leader: &Stopped) -> Result<()> {
        let what = || format!("Could not take a lock on {} again", String::from_utf8_lossy(&self.path));
        let maps = memory::read_mappings(leader.tid())?;
        let found = find_gadgets(&memory::code_ranges(&maps), |at, buffer| leader.read(at, buffer).is_ok());
        let foothold = found.zip(memory::main_stack(&maps));
        let (gadgets, stack) = foothold.ok_or(sys::Errno(libc::ENOEXEC)).explain(what)?;
        let mut visit = Visit::enter(leader, 1, gadgets, stack).explain(what)?;
        let at = visit.scratch();
        let written = leader.write(at, &self.record()).explain(what);
        let (nr, arguments) = self.call(at);
        let result = written.and_then(|()| visit.call(leader, 0, nr as u64, &arguments).explain(what));
        visit.leave().explain(what)?;
        sys::Errno::from_raw(result?).map(drop).map_err(|errno| self.fault(errno))
    }

    /// Adds the call that takes the lock, without waiting for it.
    fn add(&self, program: &mut Program) {
        let at = program.data(&self.record());
        let (nr, arguments) = self.call(at);
        program.attempt(if nr == libc::SYS_flock { "flock" } else { "fcntl" }, nr, &arguments);
    }

    /// The call that takes the lock without waiting: its number and arguments. `record` is where [`record`](Self::record) lies.
    fn call(&self, record: u64) -> (i64, [u64; 3]) {
        let fd = self.fd as u64;
        match self.kind {
            LockKindV1::Flock => {
                let operation = if self.exclusive { libc::LOCK_EX } else { libc::LOCK_SH } | libc::LOCK_NB;
                (libc::SYS_flock, [fd, operation as u64, 0])
            }
            LockKindV1::Record => (libc::SYS_fcntl, [fd, libc::F_SETLK as u64, record]),
            LockKindV1::Description => (libc::SYS_fcntl, [fd, F_OFD_SETLK, record]),
            LockKindV1::Lease { .. } => (libc::SYS_fcntl, [fd, F_SETLEASE, self.lease()]),
        }
    }

    /// `struct flock`.
    fn record(&self) -> Vec<u8> {
        let kind = if self.exclusive { libc::F_WRLCK } else { libc::F_RDLCK } as i16;
        let length = self.end.map_or(0, |end| end - self.start + 1);
        let head = [kind.to_le_bytes(), (libc::SEEK_SET as i16).to_le_bytes()].concat();
        [head, vec![0; 4], self.start.to_le_bytes().into(), length.to_le_bytes().into(), vec![0; 8]].concat()
    }

    /// The lease to take; one that is breaking was more than what is to be left of it.
    fn lease(&self) -> u64 {
        let downgraded =
            self.kind == (LockKindV1::Lease { breaking: true }) && !(self.none && self.read_only);
        (if self.exclusive || downgraded { libc::F_WRLCK } else { libc::F_RDLCK }) as u64
    }

    fn fault(&self, errno: sys::Errno) -> Fault {
        let path = String::from_utf8_lossy(&self.path);
        let message = format!("Could not take a lock on {path} again for process {}", self.process);
        match errno {
            sys::Errno::EAGAIN | sys::Errno::EACCES => Fault::new(Code::RestoreFailed, message)
                .because("another process holds a lock on it")
                .hint(format!("Find that process in /proc/locks or with fuser {path}, and end it")),
            errno => Fault::new(Code::RestoreFailed, message).because(errno),
        }
    }
}

/// Has the kernel ask for a lease to be given up, as it had before. Nobody gets the signal a second time.
fn start_breaking(lock: &LockV1, rebuild: &Rebuild) -> Result<()> {
    let Some(file) = rebuild.descriptions.get(&lock.description) else { return Ok(()) };
    let what = || format!("Could not restore a lease on {}", String::from_utf8_lossy(&lock.path));
    let (kind, pid) = sys::files::owner(file.as_fd()).explain(what)?;
    sys::files::set_owner(file.as_fd(), kind, 0).explain(what)?;
    let mode = if lock.none { libc::O_WRONLY } else { libc::O_RDONLY };
    // It fails, since the holder has not agreed yet: that is what is wanted.
    drop(sys::files::reopen(file.as_fd(), mode | libc::O_NONBLOCK));
    sys::files::set_owner(file.as_fd(), kind, pid).explain(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_fdinfo_are_understood() {
        let flock = parse("lock:\t1: FLOCK  ADVISORY  WRITE 12 08:01:5678 0 EOF").unwrap();
        assert_eq!(
            (flock.kind, flock.exclusive, flock.taker, flock.end),
            (LockKindV1::Flock, true, 12, None)
        );
        let record = parse("lock:\t3: POSIX  ADVISORY  READ 7 00:2a:9 10 19").unwrap();
        assert_eq!((record.kind, record.start, record.end), (LockKindV1::Record, 10, Some(19)));
        let lease = parse("lock:\t1: LEASE  BREAKING  UNLCK 7 00:2a:9 0 EOF").unwrap();
        assert_eq!((lease.kind, lease.none), (LockKindV1::Lease { breaking: true }, true));
        assert!(parse("lock:\t1: DELEG  ACTIVE  READ 7 00:2a:9 0 EOF").is_none());
    }
}
