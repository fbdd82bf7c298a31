//! File systems that somebody has for himself: mount(2), fsopen(2), statvfs(3).

use crate::{Errno, Result};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

const FSCONFIG_CMD_CREATE: u32 = 6;
const FSOPEN_CLOEXEC: u32 = 1;
const FSMOUNT_CLOEXEC: u32 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;

/// Mounts a new file system of type `kind` over `target`, without set-id programs, and without programs at all when
/// not `executable`.
pub fn mount_new(kind: &CStr, target: &CStr, executable: bool, options: &CStr) -> Result<()> {
    let flags = libc::MS_NOSUID | if executable { 0 } else { libc::MS_NOEXEC };
    // SAFETY: all strings are NUL-terminated.
    let done =
        unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) };
    Errno::check(done.into()).map(drop)
}

/// Shows the file `source` at `target` as well.
pub fn bind(source: &CStr, target: &CStr) -> Result<()> {
    // SAFETY: both paths are NUL-terminated; a bind mount has neither type nor options.
    let done =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), ptr::null(), libc::MS_BIND, ptr::null()) };
    Errno::check(done.into()).map(drop)
}

/// What a mount forbids, and how it treats access times: flags for mount(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restrictions(libc::c_ulong);

impl Restrictions {
    /// Nothing is written.
    pub const READ_ONLY: Self = Self(libc::MS_RDONLY);
}

/// What the mount at `path` forbids.
pub fn restrictions(path: &CStr) -> Result<Restrictions> {
    const SAME: [(libc::c_ulong, libc::c_ulong); 5] = [
        (libc::ST_NOSUID, libc::MS_NOSUID),
        (libc::ST_NODEV, libc::MS_NODEV),
        (libc::ST_NOEXEC, libc::MS_NOEXEC),
        (libc::ST_NOATIME, libc::MS_NOATIME),
        (libc::ST_NODIRATIME, libc::MS_NODIRATIME),
    ];
    let flags = status(path)?.f_flag;
    let set = SAME.iter().filter(|(status, _)| flags & status != 0);
    Ok(Restrictions(set.fold(0, |all, (_, flag)| all | flag)))
}

/// Mounts an overlay over `target` (Documentation/filesystems/overlayfs.rst). In a user namespace since Linux 5.11.
pub fn mount_overlay(target: &CStr, restrictions: Restrictions, options: &CStr) -> Result<()> {
    let kind = c"overlay".as_ptr();
    // SAFETY: all strings are NUL-terminated.
    let done = unsafe { libc::mount(kind, target.as_ptr(), kind, restrictions.0, options.as_ptr().cast()) };
    Errno::check(done.into()).map(drop)
}

/// Makes the bind mount at `target` forbid this, besides what it forbids already.
pub fn restrict(target: &CStr, more: Restrictions) -> Result<()> {
    let flags = libc::MS_REMOUNT | libc::MS_BIND | more.0 | restrictions(target)?.0;
    // SAFETY: the path is NUL-terminated; a change of flags has neither source, type nor options.
    let done = unsafe { libc::mount(ptr::null(), target.as_ptr(), ptr::null(), flags, ptr::null()) };
    Errno::check(done.into()).map(drop)
}

/// The file or folder at `path`, held as a place: it may be bound from, whatever hides the path meanwhile.
pub fn place(path: &std::path::Path) -> Result<OwnedFd> {
    crate::files::open(path, libc::O_PATH)
}

/// Shows the file or folder `source`, with all that is mounted in it, at `target` as well.
pub fn bind_tree(source: &CStr, target: &CStr) -> Result<()> {
    let flags = libc::MS_BIND | libc::MS_REC;
    // SAFETY: both paths are NUL-terminated; a bind mount has neither type nor options.
    let done = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), ptr::null(), flags, ptr::null()) };
    Errno::check(done.into()).map(drop)
}

/// Takes away what is mounted over `target` last.
pub fn unmount(target: &CStr) -> Result<()> {
    // SAFETY: the path is NUL-terminated.
    Errno::check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }.into()).map(drop)
}

/// A mount of the file system type `kind` that has no place yet: its root folder (Linux 5.2). `ENODEV` when the kernel
/// does not have the type.
pub fn open_detached(kind: &CStr) -> Result<OwnedFd> {
    // SAFETY: `kind` is NUL-terminated; each new descriptor belongs to nobody else; creating takes no key or value.
    unsafe {
        let context = Errno::check(libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC))?;
        let context = OwnedFd::from_raw_fd(context as i32);
        let (fd, null) = (context.as_raw_fd(), ptr::null::<u8>());
        Errno::check(libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, null, null, 0))?;
        let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
        let mount = Errno::check(libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes))?;
        Ok(OwnedFd::from_raw_fd(mount as i32))
    }
}

/// Gives a detached mount its place.
pub fn attach(mount: BorrowedFd<'_>, target: &CStr) -> Result<()> {
    let (fd, flags) = (mount.as_raw_fd(), MOVE_MOUNT_F_EMPTY_PATH);
    // SAFETY: both paths are NUL-terminated.
    let done = unsafe {
        libc::syscall(libc::SYS_move_mount, fd, c"".as_ptr(), libc::AT_FDCWD, target.as_ptr(), flags)
    };
    Errno::check(done).map(drop)
}

/// What a file system offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// 0 for one without a limit.
    pub bytes: u64,
    /// 0 for one without a limit.
    pub inodes: u64,
    /// Whether programs on it may be executed.
    pub executable: bool,
}

/// The capacity of the file system at `path`, whatever is in use of it.
pub fn capacity(path: &CStr) -> Result<Capacity> {
    let status = status(path)?;
    Ok(Capacity {
        bytes: status.f_blocks * status.f_frsize,
        inodes: status.f_files,
        executable: status.f_flag & libc::ST_NOEXEC == 0,
    })
}

fn status(path: &CStr) -> Result<libc::statvfs> {
    let mut status = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the path is NUL-terminated; statvfs fills in plain data.
    unsafe {
        Errno::check(libc::statvfs(path.as_ptr(), status.as_mut_ptr()).into())?;
        Ok(status.assume_init())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn proc_has_no_limit_and_the_root_has_one() {
        assert_eq!(super::capacity(c"/proc").expect("a capacity").bytes, 0);
        assert!(super::capacity(c"/").expect("a capacity").bytes > 0);
        assert_eq!(super::capacity(c"/no/such/place"), Err(crate::Errno::ENOENT));
    }
}
