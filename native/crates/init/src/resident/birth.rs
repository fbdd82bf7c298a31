//! A clone's process: a copy of the resident helper in the clone's capsule, waiting to be taken over.

use super::misunderstood;
use crate::link::{at, at_io};
use abi::wire::{Birth, Failure, Reply, Step};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use sys::midwife::{self, Destination};
use sys::{Errno, lifecycle, signals};

/// The name that it shows until the restore gives it the saved one.
const NAME: &std::ffi::CStr = c"stasis-blank";

/// Makes the process. The engine has to hold it by ptrace before it lets it go; it ends when whoever could do so is gone.
pub fn beget(birth: &Birth, given: &[OwnedFd]) -> Result<(Reply, Vec<OwnedFd>), Failure> {
    let (like, third) = match given {
        [like] => (like, None),
        [like, third] => (like, Some(third)),
        _ => return Err(misunderstood()),
    };
    let (gate, mut go) = UnixStream::pair().map_err(at_io(Step::Fork))?;
    let destination = Destination {
        like: like.as_fd(),
        namespaces: birth.namespaces,
        pid: birth.set_tid,
        spare: birth.spare,
    };
    let child = || wait_to_be_taken_over(birth, like, third, &gate);
    let made = midwife::fork_into(&destination, child);
    let (pid, pidfd) = made.map_err(|errno| {
        let step = if errno == Errno::EEXIST { Step::Fork } else { Step::Enter };
        at(step)(errno)
    })?;
    drop(gate);
    // Until it says so, it is not ready; when it ends instead, so does the stream.
    go.read_exact(&mut [0; 1]).map_err(at_io(Step::Enter))?;
    Ok((Reply::Spawned { pid }, vec![pidfd, go.into()]))
}

/// The child's side.
fn wait_to_be_taken_over(
    birth: &Birth,
    like: &OwnedFd,
    third: Option<&OwnedFd>,
    gate: &UnixStream,
) -> Infallible {
    let time = if birth.time { midwife::enter_time_namespace(like.as_fd()) } else { Ok(()) };
    let prepared = time
        .and_then(|()| signals::reset_all())
        .and_then(|()| lifecycle::keep_beside(third.map(AsFd::as_fd), gate.as_fd()));
    let _ = lifecycle::set_name(NAME);
    if let Ok(gate) = prepared {
        let mut gate = UnixStream::from(gate);
        // Whoever takes this process over does so while it waits here, and it never returns.
        let _ = gate.write_all(b"!").and_then(|()| gate.read_exact(&mut [0; 1]));
    }
    lifecycle::exit_now(127)
}
