//! A process that waits to become something: what a restore makes its processes from.

use crate::link::{at, at_io};
use abi::wire::{Failure, Step};
use std::ffi::CString;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, OwnedFd};
use sys::lifecycle::{self, Fork};
use sys::{privileges, signals};

/// The name that a blank shows until the restore gives it the saved one.
const NAME: &std::ffi::CStr = c"stasis-blank";

pub struct Blank {
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// One byte releases it; closing it ends it.
    pub go: PipeWriter,
}

/// Makes a child, under `set_tid` when given, that executes `executable` once it is released: the engine has to hold
/// it by ptrace before its first instruction. It ends when whoever could release it is gone.
pub fn spawn(
    executable: &OwnedFd,
    inherited: Option<&OwnedFd>,
    set_tid: Option<i32>,
) -> Result<Blank, Failure> {
    let (gate, go) = io::pipe().map_err(at_io(Step::Fork))?;
    match lifecycle::fork(set_tid).map_err(at(Step::Fork))? {
        Fork::Child => become_blank(gate, executable, inherited),
        Fork::Parent { pid, pidfd } => Ok(Blank { pid, pidfd, go }),
    }
}

/// The child's side. Never returns.
fn become_blank(mut gate: PipeReader, executable: &OwnedFd, inherited: Option<&OwnedFd>) -> ! {
    // The writing end of its own gate above all: held here, its end would never be seen.
    let kept: Vec<_> =
        [gate.as_fd(), executable.as_fd()].into_iter().chain(inherited.map(AsFd::as_fd)).collect();
    let prepared = lifecycle::close_all_but(&kept)
        .and_then(|()| signals::reset_all())
        .and_then(|()| privileges::keep_through_exec());
    let _ = lifecycle::set_name(NAME);
    let mut byte = [0; 1];
    if prepared.is_ok() && matches!(gate.read(&mut byte), Ok(1)) {
        lifecycle::execveat_with(executable.as_fd(), inherited.map(AsFd::as_fd), &[CString::from(NAME)]);
    }
    lifecycle::exit_now(127)
}
