//! Processes: creating them with chosen ids, their identity, limits and comparison.

use crate::{Errno, Result};
use libc::{c_long, pid_t};
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// kcmp(2) kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kcmp {
    File = 0,
    Vm = 1,
    Files = 2,
    Fs = 3,
    Sighand = 4,
    Sysvsem = 6,
}

/// Orders two kernel objects: `Equal` when they are the same (kcmp(2); the order is arbitrary but total).
pub fn kcmp(a: pid_t, b: pid_t, kind: Kcmp, index_a: u64, index_b: u64) -> Result<std::cmp::Ordering> {
    // SAFETY: kcmp takes plain numbers.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, a, b, kind as i32, index_a, index_b) };
    Ok(match Errno::check(order)? {
        0 => std::cmp::Ordering::Equal,
        1 => std::cmp::Ordering::Less,
        _ => std::cmp::Ordering::Greater,
    })
}

/// Is the file behind descriptor `fd` of `pid` the one that an epoll watches under the number `target`? `epoll` is a
/// descriptor of the calling thread; `offset` counts the entries of that number (`KCMP_EPOLL_TFD`, kcmp(2)).
pub fn is_epoll_target(pid: pid_t, fd: RawFd, epoll: RawFd, target: RawFd, offset: u32) -> Result<bool> {
    #[repr(C)]
    struct Slot {
        efd: u32,
        tfd: u32,
        toff: u32,
    }
    const KCMP_EPOLL_TFD: i32 = 7;
    let slot = Slot { efd: epoll as u32, tfd: target as u32, toff: offset };
    // SAFETY: `slot` is a live structure of the layout that kcmp(2) reads.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, pid, gettid(), KCMP_EPOLL_TFD, fd, &raw const slot) };
    Ok(Errno::check(order)? == 0)
}

pub fn pidfd_open(pid: pid_t) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// [`pidfd_open`] with PIDFD_NONBLOCK (O_NONBLOCK) and PIDFD_THREAD (O_EXCL).
pub fn pidfd_open_with(pid: pid_t, flags: i32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::syscall(libc::SYS_pidfd_open, pid, flags))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// How the process of a pidfd ended, as wait(2) encodes it, also after it was waited for (PIDFD_GET_INFO with
/// PIDFD_INFO_EXIT, Linux 6.15).
pub fn pidfd_exit_status(pidfd: BorrowedFd) -> Option<i32> {
    const PIDFD_GET_INFO: u64 = 0xc040_ff0b;
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    // struct pidfd_info: a mask of what is asked and told, ..., exit_code in the last four of 64 bytes.
    let mut info = [0u32; 16];
    info[0] = PIDFD_INFO_EXIT as u32;
    // SAFETY: `info` has the size that is part of the request's number.
    Errno::check(unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO as _, info.as_mut_ptr()).into() })
        .ok()?;
    (u64::from(info[0]) & PIDFD_INFO_EXIT != 0).then_some(info[15] as i32)
}

/// A child that ends at once, by exit code or by signal, as wait(2) encodes it. It is a zombie until [`reap`].
pub fn spawn_ending(status: i32) -> Result<pid_t> {
    // SAFETY: the child makes only calls that are safe after fork(2) in a process with threads, and never returns.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            let signal = status & 0x7f;
            if signal != 0 {
                libc::signal(signal, libc::SIG_DFL);
                let mut all: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::sigprocmask(libc::SIG_UNBLOCK, &raw const all, std::ptr::null_mut());
                libc::kill(libc::getpid(), signal);
            }
            libc::_exit(status >> 8 & 0xff);
        }
        Errno::check(child.into()).map(|child| child as pid_t)
    }
}

/// Waits for a child of ours to end.
pub fn reap(child: pid_t) -> Result<()> {
    // SAFETY: the status is not asked for.
    Errno::check(unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::__WALL).into() }).map(drop)
}

/// A duplicate of descriptor `fd` of another process (pidfd_getfd(2), kernel 5.6), close-on-exec.
pub fn pidfd_getfd(pidfd: &OwnedFd, fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// The robust-futex list head of a thread and its length (get_robust_list(2)).
pub fn robust_list(tid: pid_t) -> Result<(u64, u64)> {
    let (mut head, mut length) = (0u64, 0u64);
    // SAFETY: both out-parameters are live.
    Errno::check(unsafe { libc::syscall(libc::SYS_get_robust_list, tid, &raw mut head, &raw mut length) })?;
    Ok((head, length))
}

/// A soft and a hard limit of another process, as getrlimit(2) numbers it.
pub fn limit(pid: pid_t, resource: u32) -> Result<(u64, u64)> {
    // SAFETY: rlimit64 is two integers; zeroes are valid, and the pointer is live for the call.
    unsafe {
        let mut old: libc::rlimit64 = std::mem::zeroed();
        Errno::check(libc::prlimit64(pid, resource, std::ptr::null(), &raw mut old).into())?;
        Ok((old.rlim_cur, old.rlim_max))
    }
}

pub fn set_limit(pid: pid_t, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let new = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `new` is live for the call; no old value is asked for.
    Errno::check(unsafe { libc::prlimit64(pid, resource, &raw const new, std::ptr::null_mut()).into() })
        .map(drop)
}

pub fn kill(pid: pid_t, signal: i32) -> Result<()> {
    // SAFETY: plain numbers.
    Errno::check(unsafe { libc::kill(pid, signal).into() }).map(drop)
}

pub fn gettid() -> pid_t {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::gettid() }
}

pub fn geteuid() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() }
}

/// Scheduling attributes of a thread (sched_getattr(2)).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct SchedAttr {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
    pub util_min: u32,
    pub util_max: u32,
}

pub fn sched_attr(tid: pid_t) -> Result<SchedAttr> {
    let mut attr = SchedAttr::default();
    let size = std::mem::size_of::<SchedAttr>();
    // SAFETY: `attr` is live and `size` is its size.
    Errno::check(unsafe { libc::syscall(libc::SYS_sched_getattr, tid, &raw mut attr, size, 0) })?;
    Ok(attr)
}

/// CPU affinity of a thread as the kernel's bit mask, trimmed to the bytes that the kernel gave.
pub fn affinity(tid: pid_t) -> Result<Vec<u8>> {
    let mut mask = vec![0u8; 1024];
    // SAFETY: the buffer is live and its length is passed.
    let got = Errno::check(unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, tid, mask.len(), mask.as_mut_ptr())
    })?;
    mask.truncate(got as usize);
    Ok(mask)
}

/// What `clone3` shall make besides a copy of this process.
pub struct Blank<'a> {
    /// Opened executable, started with an empty environment.
    pub executable: &'a File,
    /// The process id to take in the caller's PID namespace; none = any.
    pub set_tid: Option<pid_t>,
    /// A pipe's reading and writing end: the child starts the executable when a byte arrives, and ends when all
    /// other writers are gone.
    pub go: (RawFd, RawFd),
    /// The one descriptor besides 0, 1 and 2 that the executable gets, as number 3.
    pub keep: RawFd,
}

#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Starts `blank.executable` in a child with every signal at its default and unblocked (clone3(2), kernel 5.5).
pub fn spawn_blank(blank: &Blank) -> Result<pid_t> {
    let tid = [blank.set_tid.unwrap_or(0)];
    let mut arguments = CloneArguments { exit_signal: libc::SIGCHLD as u64, ..CloneArguments::default() };
    if blank.set_tid.is_some() {
        arguments.set_tid = tid.as_ptr() as u64;
        arguments.set_tid_size = 1;
    }
    let empty: [*const libc::c_char; 1] = [std::ptr::null()];
    let name: [*const libc::c_char; 2] = [c"stasis".as_ptr(), std::ptr::null()];
    let size = std::mem::size_of::<CloneArguments>();
    // SAFETY: the child shares nothing that it writes: it is a copy of a threaded process, so until it execs it makes
    // raw system calls only (no allocation, no locks), on arguments that were prepared before the clone.
    unsafe {
        let pid = Errno::check(libc::syscall(libc::SYS_clone3, &raw const arguments, size))?;
        if pid != 0 {
            return Ok(pid as pid_t);
        }
        reset_signals();
        let mut byte = 0u8;
        libc::syscall(libc::SYS_close, blank.go.1);
        if libc::syscall(libc::SYS_read, blank.go.0, &raw mut byte, 1usize) == 1 {
            if blank.keep == 3 {
                libc::syscall(libc::SYS_fcntl, 3, libc::F_SETFD, 0);
            } else {
                libc::syscall(libc::SYS_dup3, blank.keep, 3, 0);
            }
            libc::syscall(
                libc::SYS_execveat,
                blank.executable.as_raw_fd(),
                c"".as_ptr(),
                name.as_ptr(),
                empty.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        libc::syscall(libc::SYS_exit_group, 127);
        unreachable!("exit_group does not return")
    }
}

/// Default actions for all signals and an empty mask, by raw system calls.
///
/// # Safety
/// For a freshly cloned child only: it undoes what the process had set up for its signals.
unsafe fn reset_signals() {
    let default = [0u64; 4];
    let mask = 0u64;
    for signal in 1..=64 as c_long {
        // SAFETY: the action is 32 zero bytes (SIG_DFL, no flags, empty mask), which is the kernel's layout.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0usize, 8usize) };
    }
    // SAFETY: the mask is 8 live bytes.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0usize, 8usize) };
}

/// Gives the calling thread a descriptor table, working folder and umask of its own (unshare(2)).
pub fn unshare_files() -> Result<()> {
    // SAFETY: plain flags; only the calling thread is concerned.
    Errno::check(unsafe { libc::unshare(libc::CLONE_FILES | libc::CLONE_FS).into() }).map(drop)
}

/// Makes children of the calling thread start in a new time namespace (unshare(2), kernel 5.6).
pub fn unshare_time() -> Result<()> {
    const CLONE_NEWTIME: i32 = 0x80;
    // SAFETY: plain flags.
    Errno::check(unsafe { libc::unshare(CLONE_NEWTIME).into() }).map(drop)
}

/// Nanoseconds of a clock (clock_gettime(2)).
pub fn clock(clock: i32) -> Result<i64> {
    // SAFETY: timespec is two integers and live for the call.
    unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        Errno::check(libc::clock_gettime(clock, &raw mut now).into())?;
        Ok(now.tv_sec * 1_000_000_000 + now.tv_nsec)
    }
}

/// The I/O priority of a thread (ioprio_get(2)): class in bits 13 and up, data below.
pub fn io_priority(tid: pid_t) -> Result<u32> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    // SAFETY: plain numbers.
    Errno::check(unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid) })
        .map(|value| value as u32)
}

/// Is a capability (capabilities(7)) effective for the calling thread?
pub fn has_capability(capability: u32) -> bool {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = [VERSION_3, 0];
    let mut data = [0u32; 6];
    // SAFETY: header and data have the layout that version 3 prescribes.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) };
    let word = data[if capability < 32 { 0 } else { 3 }];
    got == 0 && word & (1 << (capability % 32)) != 0
}
