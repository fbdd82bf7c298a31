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
