//! Files by handle and by name: file handles, device nodes, times, file system types.

use crate::{Errno, Result};
use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const HANDLE_BYTES: usize = 128;

/// `struct file_handle` with room for the largest handle.
#[repr(C)]
struct FileHandle {
    bytes: u32,
    kind: i32,
    data: [u8; HANDLE_BYTES],
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

/// The handle of an open file, whatever names it has: its type and bytes (name_to_handle_at(2)). `EOPNOTSUPP` where the
/// file system has none.
pub fn handle_of(file: BorrowedFd) -> Result<(i32, Vec<u8>)> {
    let mut handle = FileHandle { bytes: HANDLE_BYTES as u32, kind: 0, data: [0; HANDLE_BYTES] };
    let mut mount = 0i32;
    // SAFETY: the structure says how much room it has; the path is empty and refers to the descriptor.
    let done = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_raw_fd(),
            c"".as_ptr(),
            &raw mut handle,
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::check(done)?;
    Ok((handle.kind, handle.data[..handle.bytes as usize].to_vec()))
}

/// Opens the file of a handle on the file system of `mount` (open_by_handle_at(2)); needs CAP_DAC_READ_SEARCH.
pub fn open_by_handle(mount: BorrowedFd, kind: i32, bytes: &[u8], flags: i32) -> Result<OwnedFd> {
    if bytes.len() > HANDLE_BYTES {
        return Err(Errno::EINVAL);
    }
    let mut handle = FileHandle { bytes: bytes.len() as u32, kind, data: [0; HANDLE_BYTES] };
    handle.data[..bytes.len()].copy_from_slice(bytes);
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: the structure lives across the call; the new descriptor belongs to nobody else.
    unsafe {
        let fd = libc::syscall(libc::SYS_open_by_handle_at, mount.as_raw_fd(), &raw mut handle, flags);
        Errno::check(fd)?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// mknod(2): `mode` has type and permissions.
pub fn make_node(path: &Path, mode: u32, device: u64) -> Result<()> {
    let path = c_path(path)?;
    // SAFETY: `path` is NUL-terminated.
    Errno::check(unsafe { libc::mknod(path.as_ptr(), mode, device) }.into()).map(drop)
}

/// A nameless file in a folder (`O_TMPFILE`, open(2)).
pub fn make_nameless(folder: &Path, mode: u32) -> Result<OwnedFd> {
    let path = c_path(folder)?;
    // SAFETY: `path` is NUL-terminated; the new descriptor belongs to nobody else.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC, mode);
        Errno::check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Sets access and modification time, in nanoseconds since 1970. A symbolic link is followed when `follow` is set.
pub fn set_times(path: &Path, accessed: i64, modified: i64, follow: bool) -> Result<()> {
    let path = c_path(path)?;
    let time = |ns: i64| libc::timespec {
        tv_sec: ns.div_euclid(1_000_000_000),
        tv_nsec: ns.rem_euclid(1_000_000_000),
    };
    let times = [time(accessed), time(modified)];
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: `path` is NUL-terminated and `times` has two elements.
    Errno::check(unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), flags) }.into())
        .map(drop)
}

/// Magic number of the file system that an open file is on (fstatfs(2)).
pub fn file_system(file: BorrowedFd) -> Result<i64> {
    file_system_status(file).map(|status| status.f_type)
}

/// Bytes that an ordinary user may still write to the file system that an open file is on (fstatfs(2)).
pub fn room(file: BorrowedFd) -> Result<u64> {
    let status = file_system_status(file)?;
    Ok(status.f_bavail.saturating_mul(u64::try_from(status.f_bsize).unwrap_or(0)))
}

fn file_system_status(file: BorrowedFd) -> Result<libc::statfs> {
    // SAFETY: statfs is plain data, which the call fills.
    unsafe {
        let mut status: libc::statfs = std::mem::zeroed();
        Errno::check(libc::fstatfs(file.as_raw_fd(), &raw mut status).into())?;
        Ok(status)
    }
}
