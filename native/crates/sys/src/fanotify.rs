//! Watching files, mounts and file systems: fanotify_init(2), fanotify_mark(2).

use crate::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

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
