//! Copy-on-write capture: the application goes on while its memory, as it was, is read from a frozen copy.
//!
//! The copy makes the pause short, and each page that the application writes meanwhile costs it a fault. Small
//! processes are faster read directly; so are those that are about to be stopped.

use super::memory::{AdviceV1, MappingV1};
use super::pages::{PageSource, Scan, StoppedProcess};
use crate::explain::{Explain, Result};
use crate::procfs::{self, Status};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use tracee::{Stopped, Visit};

/// Below this much memory of its own a process is read directly, in KiB.
pub const WORTHWHILE: u64 = 64 << 10;

/// A copy of a process's memory; it ends when this is dropped.
pub struct FrozenCopy {
    source: StoppedProcess,
    pid: i32,
    /// Names it for good: others may have its id when it has ended by itself.
    handle: OwnedFd,
    /// The process that it is of.
    pub of: i32,
}

impl FrozenCopy {
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Ends it. One that is gone already needs nothing.
    pub fn end(&self) {
        let _ = sys::lifecycle::signal_handle(self.handle.as_fd(), libc::SIGKILL);
    }

    pub fn entries(&self, range: Range<u64>) -> std::io::Result<Vec<u64>> {
        self.source.entries(range)
    }
}

impl Drop for FrozenCopy {
    fn drop(&mut self) {
        self.end();
    }
}

impl PageSource for FrozenCopy {
    fn scan(&self, range: Range<u64>) -> Result<Scan> {
        self.source.scan(range)
    }

    fn read(&self, ranges: &[(u64, u64)], buffer: &mut [u8]) -> Result<()> {
        self.source.read_by_file(ranges, buffer)
    }
}

/// Does a fork carry this mapping over whole? What it does not is read while the application stands still.
pub fn carries(mapping: &MappingV1) -> bool {
    !mapping
        .advice
        .iter()
        .any(|advice| matches!(advice, AdviceV1::DontFork | AdviceV1::WipeOnFork | AdviceV1::HugeTlb { .. }))
}

/// Makes a copy of the visited process where that is harmless, and it has `least` KiB of its own. None: read the process itself.
pub fn make(
    leader: &Stopped,
    status: &Status,
    filtered: bool,
    least: u64,
    visit: &mut Visit,
) -> Result<Option<FrozenCopy>> {
    let own: Vec<u64> = status.numbers("RssAnon");
    let small = own.first().is_none_or(|kib| *kib < least);
    if small || super::seccomp::is_on(status, filtered) {
        return Ok(None);
    }
    // No room for another process, or no memory for its page tables: the direct way needs neither.
    let Ok(inside) = visit.fork_copy(leader) else { return Ok(None) };
    let pid = pid_here(inside, leader.tid(), status)?;
    let source = StoppedProcess::open(pid)?;
    let what = || format!("Could not hold the copy of process {}", leader.tid());
    let handle = sys::process::pidfd_open(pid).explain(what)?;
    Ok(Some(FrozenCopy { source, pid, handle, of: leader.tid() }))
}

/// This command's id of the process that `inside` names in the PID namespace of process `like`.
fn pid_here(inside: i32, like: i32, status: &Status) -> Result<i32> {
    if status.numbers::<i32>("NSpid").len() == 1 {
        return Ok(inside);
    }
    let what = || format!("Could not find the copy of process {like}");
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid"));
    let wanted = namespace(like).explain(what)?;
    let is_it = |pid: &i32| {
        Status::read(&pid.to_string()).is_ok_and(|status| status.innermost("NSpid") == inside)
            && namespace(*pid).is_ok_and(|found| found == wanted)
    };
    let all = procfs::numbers_in("/proc").explain(what)?;
    all.into_iter().rev().find(is_it).ok_or(sys::Errno::ESRCH).explain(what)
}

/// Would the process that adopts the copies let go of them when they end? One that has zombies lying about would not.
pub fn adopter_reaps(adopter: i32) -> bool {
    let is_zombie =
        |pid: i32| procfs::stat(&pid.to_string()).is_ok_and(|stat| stat.state == 'Z' && stat.ppid == adopter);
    procfs::children(adopter).is_ok_and(|children| !children.into_iter().any(is_zombie))
}
