//! Asking what the kernel can and what the caller may, in ways that change nothing that is there.
//!
//! What would change something is asked by a child in namespaces of its own, which dies of it. The kernel may load
//! the module that a question is about, as it does for everybody who uses the feature.

use crate::{Errno, Result};
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// One kind of namespace that a process may move into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    User = libc::CLONE_NEWUSER as isize,
    Pid = libc::CLONE_NEWPID as isize,
    Net = libc::CLONE_NEWNET as isize,
    /// `CLONE_NEWTIME`, Linux 5.6.
    Time = 0x80,
}

/// ioctl(2) PAGEMAP_SCAN on an empty range; `ENOTTY` before Linux 6.7.
pub fn pagemap_scan() -> Result<()> {
    /// struct pm_scan_arg of linux/fs.h; `_IOWR('f', 16, struct pm_scan_arg)`.
    const PAGEMAP_SCAN: libc::c_ulong = 0xc060_6610;
    let pagemap = std::fs::File::open("/proc/self/pagemap")?;
    let mut argument = [0u64; 12];
    argument[0] = size_of::<[u64; 12]>() as u64;
    // SAFETY: the argument is a live local of the size that it states; an empty range makes the kernel write to
    // nothing else.
    Errno::check(unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, argument.as_mut_ptr()) }.into())
        .map(drop)
}

/// The features of userfaultfd(2), for faults from user mode; `ENOSYS` where it is compiled out.
pub fn userfaultfd() -> Result<u64> {
    /// UFFD_USER_MODE_ONLY: allowed without privileges, whatever vm.unprivileged_userfaultfd says (Linux 5.11).
    const USER_MODE_ONLY: libc::c_int = 1;
    /// `_IOWR(0xAA, 0x3F, struct uffdio_api)`.
    const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
    const API: u64 = 0xaa;
    // SAFETY: takes no pointer.
    let made = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | USER_MODE_ONLY) };
    let descriptor = own(made)?;
    let mut argument = [API, 0, 0];
    // SAFETY: struct uffdio_api is three 64-bit numbers; the kernel fills in the last two.
    Errno::check(unsafe { libc::ioctl(descriptor.as_raw_fd(), UFFDIO_API, argument.as_mut_ptr()) }.into())?;
    Ok(argument[1])
}

/// pidfd_getfd(2), on a descriptor of our own; Linux 5.6.
pub fn pidfd_getfd() -> Result<()> {
    let file = std::fs::File::open("/dev/null")?;
    // SAFETY: neither call takes a pointer.
    let own_process = own(unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) })?;
    // SAFETY: as above.
    own(unsafe { libc::syscall(libc::SYS_pidfd_getfd, own_process.as_raw_fd(), file.as_raw_fd(), 0) })
        .map(drop)
}

/// Filters that ask another process, which only a deadly signal keeps from answering (seccomp_unotify(2)); Linux 5.19.
/// Installs nothing: `EFAULT`, of a filter at no address, comes after the flags were found good.
pub fn seccomp_listener() -> Result<()> {
    const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
    let flags = crate::seccomp::NEW_LISTENER | crate::seccomp::WAIT_KILLABLE_RECV;
    // SAFETY: a null filter is refused.
    let asked =
        unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, std::ptr::null::<u8>()) };
    match Errno::check(asked) {
        Err(Errno::EFAULT) => Ok(()),
        other => other.map(drop),
    }
}

/// kcmp(2) of a descriptor with itself; `ENOSYS` without CONFIG_KCMP.
pub fn kcmp() -> Result<()> {
    const KCMP_FILE: libc::c_int = 0;
    // SAFETY: takes no pointer.
    Errno::check(unsafe { libc::syscall(libc::SYS_kcmp, libc::getpid(), libc::getpid(), KCMP_FILE, 0, 0) })
        .map(drop)
}

/// Whether the caller may choose the pids of children in its own PID namespace. clone3(2) with a pid that is taken
/// says `EEXIST` to those who may and `EPERM` to others, and makes no process.
pub fn set_tid() -> Result<()> {
    // SAFETY: takes no pointer.
    let taken = [unsafe { libc::getpid() }];
    // SAFETY: clone_args is plain data for which all zeroes mean "nothing asked for".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.set_tid = taken.as_ptr() as u64;
    args.set_tid_size = 1;
    // SAFETY: the arguments live across the call. The pid of the running process is taken, so no child begins.
    let made = Errno::check(unsafe {
        libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())
    });
    match made {
        Err(Errno(libc::EEXIST)) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(Errno(libc::EIO)),
    }
}

/// Whether io_uring_setup(2) is there and allowed; its arguments are missing, so that it makes nothing.
pub fn io_uring() -> Result<()> {
    // SAFETY: a null pointer for the parameters is answered with EFAULT.
    let made = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, std::ptr::null::<u8>()) };
    match Errno::check(made) {
        Err(Errno(libc::EFAULT | libc::EINVAL)) => Ok(()),
        other => other.map(drop),
    }
}

/// Whether a child could be traced: PTRACE_SEIZE and PTRACE_INTERRUPT on one that does nothing.
pub fn trace_child() -> Result<()> {
    let child = begin_child(|| {
        // SAFETY: takes no pointer; returns when a signal comes, which is the parent's SIGKILL.
        unsafe { libc::pause() };
        Ok(())
    })?;
    // SAFETY: the child is ours and unreaped, so its pid is its own; the addresses are unused.
    let seized = Errno::check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, child, 0, 0) });
    // SAFETY: as above.
    let stopped =
        seized.and_then(|_| Errno::check(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, child, 0, 0) }));
    // SAFETY: as above.
    unsafe { libc::kill(child, libc::SIGKILL) };
    end_child(child).ok();
    stopped.map(drop)
}

/// Whether a child could move into a namespace of this kind, without a user namespace unless that is the kind.
pub fn namespace(kind: Namespace) -> Result<()> {
    in_child(|| unshare(kind as libc::c_int))
}

/// The same for a child that first makes itself the ruler of a user namespace.
pub fn namespace_of_user(kind: Namespace) -> Result<()> {
    in_child(|| unshare(kind as libc::c_int | libc::CLONE_NEWUSER))
}

/// Whether the kernel knows a file system, by fsopen(2) in a mount namespace of a child's own. Linux 5.2.
pub fn file_system(name: &std::ffi::CStr) -> Result<()> {
    in_child(|| {
        unshare_anyhow(libc::CLONE_NEWNS)?;
        // SAFETY: the name ends in NUL; the descriptor dies with the child.
        Errno::check(unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), 0) }).map(drop)
    })
}

/// What the kernel answers to one netlink message in a network namespace of a child's own: the error of its reply, or
/// of opening the socket.
pub fn netlink(protocol: i32, message: &[u8]) -> Result<()> {
    in_child(|| {
        unshare_anyhow(libc::CLONE_NEWNET)?;
        converse(protocol, message)
    })
}

fn converse(protocol: i32, message: &[u8]) -> Result<()> {
    const NLMSG_ERROR: u16 = 2;
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: takes no pointer.
    let socket = Errno::check(unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) }.into())? as RawFd;
    if message.is_empty() {
        return Ok(());
    }
    // SAFETY: pointer and length describe `message`.
    Errno::check(unsafe { libc::send(socket, message.as_ptr().cast(), message.len(), 0) } as libc::c_long)?;
    let mut reply = [0u8; 4096];
    // SAFETY: pointer and length describe `reply`.
    let length = Errno::check(
        unsafe { libc::recv(socket, reply.as_mut_ptr().cast(), reply.len(), 0) } as libc::c_long
    )?;
    let is_error = length >= 20 && u16::from_ne_bytes([reply[4], reply[5]]) == NLMSG_ERROR;
    match i32::from_ne_bytes([reply[16], reply[17], reply[18], reply[19]]) {
        code if is_error && code < 0 => Err(Errno(-code)),
        _ => Ok(()),
    }
}

fn unshare(flags: libc::c_int) -> Result<()> {
    // SAFETY: takes no pointer; namespaces do not affect memory.
    Errno::check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// With privileges as it is, without them by way of a user namespace.
fn unshare_anyhow(flags: libc::c_int) -> Result<()> {
    unshare(flags).or_else(|_| unshare(flags | libc::CLONE_NEWUSER))
}

/// Runs `body` in a child and returns its outcome.
fn in_child(body: impl FnOnce() -> Result<()>) -> Result<()> {
    end_child(begin_child(body)?)
}

/// Makes a copy of this process that runs `body`, which makes system calls and nothing else: locks that other threads
/// held at this moment, such as the allocator's, stay locked in the child. No signal tells of its end.
fn begin_child(body: impl FnOnce() -> Result<()>) -> Result<libc::pid_t> {
    // SAFETY: clone_args is plain data for which all zeroes mean "nothing asked for".
    let args: libc::clone_args = unsafe { std::mem::zeroed() };
    // SAFETY: the arguments live across the call; without CLONE_VM the child has memory of its own.
    let made = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    match Errno::check(made)? {
        0 => {
            let code = body().err().map_or(0, |error| error.0);
            // SAFETY: ends the child without running anything of the process that it was copied from.
            unsafe { libc::_exit(code) }
        }
        child => Ok(child as libc::pid_t),
    }
}

/// Waits for a child of [`begin_child`]; its exit code is an error number, of which all are below 256.
fn end_child(child: libc::pid_t) -> Result<()> {
    let mut status = 0;
    // SAFETY: the status is a live local; the pid is of a child of ours that nobody else waits for, because without an
    // exit signal it is seen under __WALL and __WCLONE only.
    Errno::check(unsafe { libc::waitpid(child, &raw mut status, libc::__WALL) }.into())?;
    match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
        (true, 0) => Ok(()),
        (true, code) => Err(Errno(code)),
        (false, _) => Err(Errno::EINTR),
    }
}

fn own(made: libc::c_long) -> Result<OwnedFd> {
    let descriptor = Errno::check(made)? as RawFd;
    // SAFETY: the kernel just made this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_file_system_and_link_kind_are_told_from_known_ones() {
        assert_eq!(file_system(c"nosuchfs"), Err(Errno(libc::ENODEV)));
        assert_eq!(file_system(c"tmpfs"), Ok(()));
    }

    #[test]
    fn the_outcome_of_a_child_comes_back() {
        assert_eq!(in_child(|| Err(Errno::EEXIST)), Err(Errno::EEXIST));
        assert_eq!(in_child(|| Ok(())), Ok(()));
    }

    #[test]
    fn a_child_can_be_traced_and_is_reaped() {
        assert_eq!(trace_child(), Ok(()));
    }
}
