//! Waiting for several descriptors at once (poll(2)).

use crate::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// What to wait for on one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Readable,
    Writable,
    /// Only the end of the other side or an error.
    Closed,
}

impl Interest {
    fn bits(self) -> i16 {
        match self {
            Self::Readable => libc::POLLIN,
            Self::Writable => libc::POLLOUT,
            Self::Closed => 0,
        }
    }
}

/// Makes every read and write through this open file description return `EAGAIN` rather than wait.
pub fn never_wait(file: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: takes no pointer.
    let flags = Errno::check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) }.into())? as libc::c_int;
    // SAFETY: takes no pointer.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) };
    Errno::check(done.into()).map(drop)
}

/// Waits until a descriptor is ready, has ended or failed, or `limit` has passed (`None`: for ever). Says
/// which are; an interruption by a signal counts as a wake-up with none.
pub fn poll(entries: &[(BorrowedFd<'_>, Interest)], limit: Option<Duration>) -> Result<Vec<bool>> {
    let mut list: Vec<libc::pollfd> = entries
        .iter()
        .map(|(fd, interest)| libc::pollfd { fd: fd.as_raw_fd(), events: interest.bits(), revents: 0 })
        .collect();
    let milliseconds =
        limit.map_or(-1, |limit| limit.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32);
    // SAFETY: the pointer and the length describe `list`.
    let ready = unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, milliseconds) };
    match Errno::check(ready.into()) {
        Ok(_) => Ok(list.iter().map(|entry| entry.revents != 0).collect()),
        Err(Errno::EINTR) => Ok(vec![false; list.len()]),
        Err(error) => Err(error),
    }
}
