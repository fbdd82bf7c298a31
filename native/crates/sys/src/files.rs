//! Descriptors: flags, passing them over a socket, generic ioctls.

use crate::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// File status flags of an open file description (`F_GETFL`).
pub fn status_flags(fd: BorrowedFd) -> Result<i32> {
    // SAFETY: F_GETFL takes no argument.
    Errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL).into() }).map(|flags| flags as i32)
}

pub fn set_status_flags(fd: BorrowedFd, flags: i32) -> Result<()> {
    // SAFETY: F_SETFL takes an integer.
    Errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags).into() }).map(drop)
}

/// A pair of connected UNIX datagram sockets, close-on-exec.
pub fn datagram_pair() -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for two descriptors, which then belong to nobody else.
    unsafe {
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        Errno::check(libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()).into())?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// The most descriptors that one message carries (`SCM_MAX_FD`, unix(7)).
pub const SCM_MAX_FD: usize = 253;

/// Sends one byte with descriptors attached (`SCM_RIGHTS`, unix(7)).
pub fn send_descriptors(socket: BorrowedFd, fds: &[RawFd]) -> Result<()> {
    let mut byte = 0u8;
    let mut iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: the control buffer is sized and aligned for `fds` by the CMSG macros and outlives the call.
    unsafe {
        let space = libc::CMSG_SPACE(std::mem::size_of_val(fds) as u32) as usize;
        let mut control = vec![0u64; space.div_ceil(8)];
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut iov;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = space;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(std::mem::size_of_val(fds) as u32) as usize;
        std::ptr::copy_nonoverlapping(fds.as_ptr(), libc::CMSG_DATA(header).cast(), fds.len());
        Errno::check(libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) as i64)
            .map(drop)
    }
}

/// Seals of a memory file (`F_GET_SEALS`).
pub fn seals(fd: BorrowedFd) -> Result<i32> {
    // SAFETY: F_GET_SEALS takes no argument.
    Errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS).into() }).map(|seals| seals as i32)
}

pub fn add_seals(fd: BorrowedFd, seals: i32) -> Result<()> {
    // SAFETY: F_ADD_SEALS takes an integer.
    Errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals).into() }).map(drop)
}

/// The next offset at or after `from` that holds data, none at the end (`SEEK_DATA`, lseek(2)).
pub fn next_data(fd: BorrowedFd, from: u64) -> Result<Option<u64>> {
    seek(fd, from, libc::SEEK_DATA)
}

/// The next hole at or after `from` (`SEEK_HOLE`); the end of the file counts as one.
pub fn next_hole(fd: BorrowedFd, from: u64) -> Result<Option<u64>> {
    seek(fd, from, libc::SEEK_HOLE)
}

fn seek(fd: BorrowedFd, from: u64, whence: i32) -> Result<Option<u64>> {
    // SAFETY: plain numbers.
    match Errno::check(unsafe { libc::lseek(fd.as_raw_fd(), from as i64, whence) }) {
        Ok(at) => Ok(Some(at)),
        Err(Errno(libc::ENXIO)) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Who receives SIGIO: kind and id (`F_GETOWN_EX`).
pub fn owner(fd: BorrowedFd) -> Result<(i32, i32)> {
    let mut owner = [0i32; 2];
    // SAFETY: `owner` has the layout of struct f_owner_ex.
    match Errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETOWN_EX, owner.as_mut_ptr()).into() }) {
        Ok(_) => Ok((owner[0], owner[1])),
        // O_PATH descriptors have no owner.
        Err(Errno(libc::EBADF)) => Ok((0, 0)),
        Err(errno) => Err(errno),
    }
}

pub fn set_owner(fd: BorrowedFd, kind: i32, pid: i32) -> Result<()> {
    let owner = [kind, pid];
    // SAFETY: `owner` has the layout of struct f_owner_ex.
    Errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETOWN_EX, owner.as_ptr()).into() }).map(drop)
}

const F_SETOWN_EX: i32 = 15;
const F_GETOWN_EX: i32 = 16;
const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;

/// The signal sent instead of SIGIO, 0 for SIGIO itself (`F_GETSIG`).
pub fn owner_signal(fd: BorrowedFd) -> Result<i32> {
    // SAFETY: F_GETSIG takes no argument.
    match Errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETSIG).into() }) {
        Ok(signal) => Ok(signal as i32),
        Err(Errno(libc::EBADF)) => Ok(0),
        Err(errno) => Err(errno),
    }
}

pub fn set_owner_signal(fd: BorrowedFd, signal: i32) -> Result<()> {
    // SAFETY: F_SETSIG takes an integer.
    Errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETSIG, signal).into() }).map(drop)
}

#[must_use]
pub fn major(device: u64) -> u32 {
    libc::major(device)
}

#[must_use]
pub fn minor(device: u64) -> u32 {
    libc::minor(device)
}

/// A device number as stat(2) reports it.
#[must_use]
pub fn device(major: u32, minor: u32) -> u64 {
    libc::makedev(major, minor)
}

/// A pipe: reading end, writing end; close-on-exec besides `flags`.
pub fn pipe(flags: i32) -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for two descriptors, which then belong to nobody else.
    unsafe {
        Errno::check(libc::pipe2(fds.as_mut_ptr(), flags | libc::O_CLOEXEC).into())?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// Capacity of a pipe in bytes (`F_GETPIPE_SZ`).
pub fn pipe_capacity(fd: BorrowedFd) -> Result<u32> {
    // SAFETY: F_GETPIPE_SZ takes no argument.
    Errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETPIPE_SZ).into() }).map(|size| size as u32)
}

pub fn set_pipe_capacity(fd: BorrowedFd, bytes: u32) -> Result<()> {
    // SAFETY: F_SETPIPE_SZ takes an integer.
    Errno::check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes).into() }).map(drop)
}

/// Bytes that a read would find (`FIONREAD`).
pub fn readable_bytes(fd: BorrowedFd) -> Result<u32> {
    let mut bytes = 0i32;
    // SAFETY: `bytes` is a live integer, which FIONREAD fills.
    Errno::check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut bytes).into() })?;
    Ok(bytes as u32)
}

/// Duplicates what is queued in one pipe into another (tee(2)).
pub fn tee(from: BorrowedFd, to: BorrowedFd, length: usize) -> Result<u64> {
    // SAFETY: plain numbers.
    let got = unsafe { libc::tee(from.as_raw_fd(), to.as_raw_fd(), length, libc::SPLICE_F_NONBLOCK) };
    Errno::check(got as i64)
}

/// Reads once; an empty result is the end.
pub fn read(fd: BorrowedFd, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0u8; length];
    // SAFETY: the buffer is live and its length is passed.
    let got = Errno::check(unsafe { libc::read(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), length) as i64 })?;
    bytes.truncate(got as usize);
    Ok(bytes)
}

pub fn write_all(fd: BorrowedFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: the buffer is live and its length is passed.
        let put =
            Errno::check(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) as i64 })?;
        bytes = &bytes[put as usize..];
    }
    Ok(())
}

/// A new open file description of the same file, with other flags (through /proc/thread-self/fd).
pub fn reopen(fd: BorrowedFd, flags: i32) -> Result<OwnedFd> {
    open(std::path::Path::new(&format!("/proc/thread-self/fd/{}", fd.as_raw_fd())), flags)
}

/// open(2) of an existing file, close-on-exec, never as controlling terminal.
pub fn open(path: &std::path::Path, flags: i32) -> Result<OwnedFd> {
    let path = c_path(path)?;
    // SAFETY: `path` is NUL-terminated; the new descriptor belongs to nobody else.
    unsafe {
        let fd = libc::open(path.as_ptr(), flags | libc::O_CLOEXEC | libc::O_NOCTTY);
        Errno::check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// A duplicate of `fd` at the lowest free number from `lowest` on, close-on-exec.
pub fn duplicate_above(fd: BorrowedFd, lowest: RawFd) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let new = libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest);
        Errno::check(new.into())?;
        Ok(OwnedFd::from_raw_fd(new))
    }
}

/// Puts a duplicate of `fd` at `number` of the calling thread's table, in place of what was there. Only for a table
/// whose numbers nobody else relies on (unshare(2) with CLONE_FILES).
pub fn duplicate_onto(fd: BorrowedFd, number: RawFd) -> Result<RawFd> {
    // SAFETY: plain numbers; the caller has a table of its own.
    Errno::check(unsafe { libc::dup3(fd.as_raw_fd(), number, libc::O_CLOEXEC).into() })
        .map(|number| number as RawFd)
}

/// Sets who owns the file behind a descriptor, and its permissions.
pub fn set_node_owner(fd: BorrowedFd, uid: u32, gid: u32, mode: u32) -> Result<()> {
    // SAFETY: plain numbers.
    Errno::check(unsafe { libc::fchown(fd.as_raw_fd(), uid, gid).into() })?;
    // SAFETY: plain numbers.
    Errno::check(unsafe { libc::fchmod(fd.as_raw_fd(), mode).into() }).map(drop)
}

pub fn make_fifo(path: &std::path::Path, mode: u32) -> Result<()> {
    let path = c_path(path)?;
    // SAFETY: `path` is NUL-terminated.
    Errno::check(unsafe { libc::mkfifo(path.as_ptr(), mode).into() }).map(drop)
}

fn c_path(path: &std::path::Path) -> Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}
