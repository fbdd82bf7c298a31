//! Watching files, mounts and file systems: fanotify_init(2), fanotify_mark(2).

use crate::{Errno, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const MARK_ADD: u32 = 1;
pub const MARK_MOUNT: u32 = 0x10;
pub const MARK_FILESYSTEM: u32 = 0x100;
pub const MARK_IGNORED_MASK: u32 = 0x20;
pub const MARK_IGNORED_SURV_MODIFY: u32 = 0x40;
pub const MARK_IGNORE: u32 = 0x400;

/// A new group without marks. Most flags need CAP_SYS_ADMIN.
pub fn group(flags: u32, event_flags: u32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::fanotify_init(flags, event_flags).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Adds a mark on an open file, which may be open with O_PATH, or on the mount or file system that it is on.
pub fn mark(group: BorrowedFd, flags: u32, mask: u64, target: BorrowedFd) -> Result<()> {
    let path = format!("/proc/thread-self/fd/{}\0", target.as_raw_fd());
    // SAFETY: `path` is NUL-terminated.
    let done = unsafe {
        libc::fanotify_mark(group.as_raw_fd(), MARK_ADD | flags, mask, libc::AT_FDCWD, path.as_ptr().cast())
    };
    Errno::check(done.into()).map(drop)
}

/// Files whose openers wait for an answer. Dropping it lets all of them go on.
#[derive(Debug)]
pub struct OpenRequests(File);

impl OpenRequests {
    /// Needs CAP_SYS_ADMIN in the initial user namespace.
    pub fn new() -> Result<Self> {
        let flags = libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
        Ok(Self(group(flags, (libc::O_RDONLY | libc::O_CLOEXEC) as u32)?.into()))
    }

    /// From here on whoever opens `file`, by whatever name, waits for [`allow_all`](Self::allow_all).
    pub fn watch(&self, file: BorrowedFd<'_>) -> Result<()> {
        mark(self.0.as_fd(), 0, libc::FAN_OPEN_PERM, file)
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
