//! Leaving the caller's namespaces: unshare(2), the mounts a new one needs, and its host name.

use crate::{Errno, Result};
use std::ffi::CStr;
use std::ops::BitOr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// A set of namespace kinds, as the `CLONE_NEW*` bits that unshare(2) takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces(libc::c_int);

impl Namespaces {
    pub const NONE: Self = Self(0);
    pub const USER: Self = Self(libc::CLONE_NEWUSER);
    /// Takes effect for the next child only (pid_namespaces(7)).
    pub const PID: Self = Self(libc::CLONE_NEWPID);
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS);
    pub const UTS: Self = Self(libc::CLONE_NEWUTS);
    pub const IPC: Self = Self(libc::CLONE_NEWIPC);
    pub const NETWORK: Self = Self(libc::CLONE_NEWNET);
    /// Takes effect for the next child only; its offsets can be written until then (time_namespaces(7)).
    pub const TIME: Self = Self(0x80);
}

impl BitOr for Namespaces {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Moves the calling process (or, for PID and TIME, its next child) into new namespaces.
pub fn unshare(kinds: Namespaces) -> Result<()> {
    // SAFETY: unshare takes no pointer; namespaces do not affect memory.
    Errno::check(unsafe { libc::unshare(kinds.0) }.into()).map(drop)
}

/// Stops every mount of this mount namespace from sending events to, or receiving them from, any other.
pub fn make_mounts_private() -> Result<()> {
    // SAFETY: the target is a NUL-terminated literal; the other pointers may be null for a propagation change.
    let done = unsafe {
        libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), libc::MS_REC | libc::MS_PRIVATE, ptr::null())
    };
    Errno::check(done.into()).map(drop)
}

/// Mounts a procfs that shows the caller's PID namespace over `/proc`.
pub fn mount_proc() -> Result<()> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: all strings are NUL-terminated literals; procfs takes no data here.
    let done =
        unsafe { libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), flags, ptr::null()) };
    Errno::check(done.into()).map(drop)
}

/// Mounts an empty tmpfs over the folder `at`, readable by everybody, for files that the mount namespace keeps to itself.
pub fn mount_private_files(at: &CStr) -> Result<()> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: all strings are NUL-terminated.
    let done = unsafe {
        libc::mount(c"stasis".as_ptr(), at.as_ptr(), c"tmpfs".as_ptr(), flags, c"mode=0755".as_ptr().cast())
    };
    Errno::check(done.into()).map(drop)
}

/// Shows the file `file` in the place of the file `over`, in this mount namespace.
pub fn cover_file(file: &CStr, over: &CStr) -> Result<()> {
    // SAFETY: both paths are NUL-terminated; a bind mount takes no type and no data.
    let done = unsafe { libc::mount(file.as_ptr(), over.as_ptr(), ptr::null(), libc::MS_BIND, ptr::null()) };
    Errno::check(done.into()).map(drop)
}

/// Sets the host name of the caller's UTS namespace (at most 64 bytes, sethostname(2)).
pub fn set_hostname(name: &str) -> Result<()> {
    // SAFETY: the pointer and the length describe `name`.
    Errno::check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

/// Moves the calling thread, and no other, into a cgroup namespace (`file` is a /proc/PID/ns/cgroup).
pub fn enter_cgroup(file: &std::fs::File) -> Result<()> {
    // SAFETY: plain numbers; a cgroup namespace may be joined by one thread of many (setns(2)).
    Errno::check(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWCGROUP) }.into()).map(drop)
}

/// Moves the calling thread, and no other, into a network namespace (setns(2), network_namespaces(7)).
pub fn enter_network(namespace: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: plain numbers; a network namespace may be joined by one thread of many.
    Errno::check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }.into()).map(drop)
}

/// The namespace around a PID or user namespace (`NS_GET_PARENT`, ioctl_ns(2)). `EPERM` where that is not within the
/// caller's own.
pub fn parent(namespace: BorrowedFd<'_>) -> Result<OwnedFd> {
    const NS_GET_PARENT: libc::c_ulong = 0xb702;
    // SAFETY: the request takes no argument; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::ioctl(namespace.as_raw_fd(), NS_GET_PARENT).into())?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}
