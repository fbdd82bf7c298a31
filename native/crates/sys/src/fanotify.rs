//! Being asked before a file is opened (fanotify(7), permission events). Needs CAP_SYS_ADMIN in the initial user namespace.

use crate::{Errno, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Files whose openers wait for an answer. Dropping it lets all of them go on.
#[derive(Debug)]
pub struct OpenRequests(File);

impl OpenRequests {
    pub fn new() -> Result<Self> {
        let flags = libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
        // SAFETY: takes no pointer.
        let fd = unsafe { libc::fanotify_init(flags, (libc::O_RDONLY | libc::O_CLOEXEC) as u32) };
        let fd = Errno::check(fd.into())?;
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Self(unsafe { File::from_raw_fd(fd as RawFd) }))
    }

    /// From here on whoever opens `file`, by whatever name, waits for [`allow_all`](Self::allow_all).
    pub fn watch(&self, file: BorrowedFd<'_>) -> Result<()> {
        let path = format!("/proc/self/fd/{}\0", file.as_raw_fd());
        // SAFETY: the path ends in NUL and outlives the call.
        let done = unsafe {
            libc::fanotify_mark(
                self.0.as_raw_fd(),
                libc::FAN_MARK_ADD,
                libc::FAN_OPEN_PERM,
                libc::AT_FDCWD,
                path.as_ptr().cast(),
            )
        };
        Errno::check(done.into()).map(drop)
    }

    /// Lets everybody go on who waits.
    pub fn allow_all(&self) -> Result<()> {
        const EVENT: usize = size_of::<libc::fanotify_event_metadata>();
        const FD: usize = 16;
        let mut bytes = [0u8; 64 * EVENT];
        let length = match (&self.0).read(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            length => length?,
        };
        for event in bytes[..length].chunks_exact(EVENT) {
            let fd = RawFd::from_ne_bytes(event[FD..FD + 4].try_into().expect("four bytes"));
            if fd < 0 {
                continue;
            }
            // SAFETY: the kernel made this descriptor for us with the event, and nobody else owns it.
            let opened = unsafe { OwnedFd::from_raw_fd(fd) };
            let answer = [opened.as_raw_fd().to_ne_bytes(), libc::FAN_ALLOW.to_ne_bytes()].concat();
            (&self.0).write_all(&answer)?;
        }
        Ok(())
    }
}

impl AsFd for OpenRequests {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
