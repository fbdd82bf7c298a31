//! Making, replacing, ending and reaping processes.

use crate::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Where a [`fork`] returned.
pub enum Fork {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

/// Makes a copy of the calling process, with the pid `set_tid` when one is given (clone3(2); Linux 5.5,
/// needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN over the PID namespace).
///
/// Refused with `EINVAL` when the process has more than one thread: only then may the child run any code.
pub fn fork(set_tid: Option<i32>) -> Result<Fork> {
    require_single_thread()?;
    let mut pidfd: RawFd = -1;
    let tids = [set_tid.unwrap_or(0)];
    // SAFETY: clone_args is plain data for which all zeroes mean "nothing asked for".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if set_tid.is_some() {
        args.set_tid = tids.as_ptr() as u64;
        args.set_tid_size = 1;
    }
    // SAFETY: `args` lives across the call and its pointers name live locals. Without CLONE_VM the child
    // has memory of its own, and the check above makes sure that no lock is held by a thread it lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    match Errno::check(pid)? {
        0 => Ok(Fork::Child),
        // SAFETY: the kernel stored a new descriptor that nobody else owns.
        pid => Ok(Fork::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// unshare(2) with CLONE_THREAD does nothing but fail in a process of several threads.
pub(crate) fn require_single_thread() -> Result<()> {
    // SAFETY: takes no pointer and changes nothing.
    Errno::check(unsafe { libc::unshare(libc::CLONE_THREAD) }.into()).map(drop)
}

/// Replaces the program by the one at `path`; returns only on failure.
pub fn execve(path: &CStr, argv: &[CString], env: &[CString]) -> Errno {
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end in null and point at strings that live across the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    Errno::last()
}

/// Executes an open file with an empty environment, `inherited` being its descriptor 3. Returns only the failure.
pub fn execveat_with(file: BorrowedFd<'_>, inherited: Option<BorrowedFd<'_>>, argv: &[CString]) -> Errno {
    let Some(inherited) = inherited else { return execveat(file, argv, &[]) };
    // Out of the way of number 3 first, whatever number the file has now.
    // SAFETY: F_DUPFD_CLOEXEC takes an integer; the new descriptor belongs to nobody else.
    let file = unsafe {
        match Errno::check(libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 4).into()) {
            Ok(fd) => OwnedFd::from_raw_fd(fd as RawFd),
            Err(errno) => return errno,
        }
    };
    if inherited.as_raw_fd() == 3 {
        // SAFETY: F_SETFD takes an integer.
        if let Err(errno) = Errno::check(unsafe { libc::fcntl(3, libc::F_SETFD, 0) }.into()) {
            return errno;
        }
    } else {
        // SAFETY: takes no pointer; the process executes or ends after this, so whatever had the number is not used.
        if let Err(errno) = Errno::check(unsafe { libc::dup2(inherited.as_raw_fd(), 3) }.into()) {
            return errno;
        }
    }
    execveat(file.as_fd(), argv, &[])
}

/// Replaces the program by the one that `file` is open on; returns only on failure.
pub fn execveat(file: BorrowedFd<'_>, argv: &[CString], env: &[CString]) -> Errno {
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: as in `execve`; the path is an empty literal, which AT_EMPTY_PATH allows.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}

/// Ends the calling process at once, without running any exit handler.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes no pointer and does not return.
    unsafe { libc::_exit(code) }
}

/// Takes the status of one child that has ended, of any kind (`__WALL`). `None` when children are left but
/// none has ended; `ECHILD` when there is no child at all.
pub fn reap() -> Result<Option<(i32, Exit)>> {
    reap_of(-1)
}

/// The same for one child. `EAGAIN` while it runs.
pub fn reap_child(pid: i32) -> Result<Exit> {
    reap_of(pid)?.map(|(_, exit)| exit).ok_or(Errno::EAGAIN)
}

fn reap_of(which: i32) -> Result<Option<(i32, Exit)>> {
    let mut status = 0;
    // SAFETY: `status` is a live local.
    let pid = unsafe { libc::waitpid(which, &raw mut status, libc::WNOHANG | libc::__WALL) };
    match Errno::check(pid.into())? {
        0 => Ok(None),
        pid if libc::WIFSIGNALED(status) => Ok(Some((pid as i32, Exit::Signal(libc::WTERMSIG(status))))),
        pid => Ok(Some((pid as i32, Exit::Code(libc::WEXITSTATUS(status))))),
    }
}

/// Sends `signal` to a process, or with a negative `pid` to several (kill(2)).
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    Errno::check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Makes the caller the leader of a new session without a controlling terminal.
pub fn setsid() -> Result<()> {
    // SAFETY: takes no argument.
    Errno::check(unsafe { libc::setsid() }.into()).map(drop)
}

/// The name in `/proc/PID/comm`; the kernel keeps the first 15 bytes.
pub fn set_name(name: &CStr) -> Result<()> {
    // SAFETY: the kernel reads a NUL-terminated string.
    Errno::check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }.into()).map(drop)
}

/// Closes every descriptor from `first` on. Meant for the start of a program, before it owns any.
pub fn close_from(first: u32) -> Result<()> {
    // SAFETY: takes no pointer; the caller owns no descriptor in the range yet.
    Errno::check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Closes every descriptor but 0 to 2 and `kept`. Meant for a forked child that only executes a program or
/// ends from here on: what it inherited must not be used, nor dropped, any more.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) -> Result<()> {
    let mut numbers: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd() as u32).filter(|fd| *fd > 2).collect();
    numbers.sort_unstable();
    let mut first = 3;
    for number in numbers {
        if first < number {
            // SAFETY: takes no pointer; the caller upholds that the closed descriptors are not used.
            Errno::check(unsafe { libc::syscall(libc::SYS_close_range, first, number - 1, 0) })?;
        }
        first = number + 1;
    }
    close_from(first)
}

/// Makes `third` the descriptor 3 and closes all others from there on but `kept`, which may get another number. Meant for a
/// forked child that waits to be taken over: what it inherited must not be used, nor dropped, any more.
pub fn keep_beside(third: Option<BorrowedFd<'_>>, kept: BorrowedFd<'_>) -> Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes an integer; the new descriptor belongs to nobody else.
    let kept = unsafe {
        let fd = Errno::check(libc::fcntl(kept.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 4).into())?;
        OwnedFd::from_raw_fd(fd as RawFd)
    };
    if let Some(third) = third.filter(|third| third.as_raw_fd() != 3) {
        // SAFETY: takes no pointer; the caller upholds that what had the number is not used.
        Errno::check(unsafe { libc::dup2(third.as_raw_fd(), 3) }.into())?;
    }
    let number = kept.as_raw_fd() as u32;
    let first = if third.is_some() { 4 } else { 3 };
    if first < number {
        // SAFETY: takes no pointer; the caller upholds that the closed descriptors are not used.
        Errno::check(unsafe { libc::syscall(libc::SYS_close_range, first, number - 1, 0) })?;
    }
    close_from(number + 1)?;
    Ok(kept)
}

/// Makes `files` the standard input, output and error of this process, inheritable by the next program.
/// Refused with `EINVAL` when one of them is itself numbered 0 to 2.
pub fn install_stdio(files: [BorrowedFd<'_>; 3]) -> Result<()> {
    if files.iter().any(|file| file.as_raw_fd() < 3) {
        return Err(Errno::EINVAL);
    }
    for (target, file) in files.iter().enumerate() {
        // SAFETY: takes no pointer; 0 to 2 are never owned by an OwnedFd of ours.
        Errno::check(unsafe { libc::dup2(file.as_raw_fd(), target as RawFd) }.into())?;
    }
    Ok(())
}

/// Sets the soft limit of open files, leaving the hard limit alone.
pub fn set_soft_nofile(soft: u64) -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live local.
    Errno::check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }.into())?;
    limit.rlim_cur = soft.min(limit.rlim_max);
    // SAFETY: as above.
    Errno::check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }.into()).map(drop)
}

/// A descriptor that names the process `pid` for good (pidfd_open(2), Linux 5.3).
pub fn process_handle(pid: i32) -> Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = Errno::check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Sends `signal` to the process that `handle` names (pidfd_send_signal(2)).
pub fn signal_handle(handle: BorrowedFd<'_>, signal: i32) -> Result<()> {
    // SAFETY: a null siginfo asks for what kill(2) would send.
    let done = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), signal, ptr::null::<u8>(), 0)
    };
    Errno::check(done).map(drop)
}

/// The caller's effective user id.
#[must_use]
pub fn effective_uid() -> u32 {
    // SAFETY: cannot fail and takes no argument.
    unsafe { libc::geteuid() }
}

/// The caller's effective group id.
#[must_use]
pub fn effective_gid() -> u32 {
    // SAFETY: cannot fail and takes no argument.
    unsafe { libc::getegid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fork_is_refused_to_a_process_of_several_threads() {
        // The test harness runs this on a thread of its own.
        assert_eq!(fork(None).err(), Some(Errno::EINVAL));
    }

    #[test]
    fn a_program_that_is_missing_cannot_be_executed() {
        assert_eq!(execve(c"/does/not/exist", &[], &[]), Errno::ENOENT);
    }
}
