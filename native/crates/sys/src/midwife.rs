//! Forking into a PID namespace that the caller is not in, such that the child belongs to that namespace's PID 1.
//!
//! ```text
//! caller ── first (shares the memory; joins the namespaces)
//!             └─ second (shares the memory; the first process in the PID namespace)
//!                  └─ child: a copy of the memory, under the pid that was asked for
//! ```
//!
//! Both intermediates share the caller's memory (CLONE_VM) and hold it up until they end (CLONE_VFORK), so the memory is
//! copied once, for the child. When the second ends, the kernel makes PID 1 of its namespace the child's parent.

use crate::{Errno, Result};
use std::arch::asm;
use std::ffi::c_void;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Where the child goes.
pub struct Destination<'a> {
    /// A process (a pidfd) whose namespaces the child enters.
    pub like: BorrowedFd<'a>,
    /// Which ones, as setns(2) takes them; CLONE_NEWPID must be among them, CLONE_NEWTIME must not
    /// ([`enter_time_namespace`]).
    pub namespaces: i32,
    /// The child's pid there.
    pub pid: i32,
    /// One that nobody has there, for the time it takes.
    pub spare: i32,
}

const STACK: usize = 256 << 10;

/// What the processes that share the memory tell each other.
struct Birth<'a, F> {
    destination: &'a Destination<'a>,
    second_stack: Vec<u8>,
    child: Option<F>,
    made: Result<(i32, RawFd)>,
}

/// Makes the child, which runs `child`. Returns its pid in its namespace and a pidfd. The caller must have one thread only
/// (else `EINVAL`), and gets no SIGCHLD that it would have to handle: all intermediates are reaped here.
pub fn fork_into<F: FnOnce() -> std::convert::Infallible>(
    destination: &Destination,
    child: F,
) -> Result<(i32, OwnedFd)> {
    crate::lifecycle::require_single_thread()?;
    let mut birth = Birth {
        destination,
        second_stack: vec![0; STACK],
        child: Some(child),
        made: Err(Errno(libc::EAGAIN)),
    };
    let mut stack = vec![0; STACK];
    let mut args = shared(&mut stack);
    // SAFETY: `first::<F>` gets the pointer to `birth`, which lives until after the intermediates have ended.
    let first = unsafe { begin(&mut args, first::<F>, (&raw mut birth).cast()) };
    await_end(Errno::check(first)? as i32);
    let (pid, pidfd) = birth.made?;
    // SAFETY: the kernel stored a new descriptor, in the table that the second process shared, that nobody else owns.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// Moves the calling process, which must share its memory with no other, into the time namespace of `like`.
pub fn enter_time_namespace(like: BorrowedFd<'_>) -> Result<()> {
    const CLONE_NEWTIME: i32 = 0x80;
    // SAFETY: takes no pointer.
    Errno::check(unsafe { libc::setns(like.as_raw_fd(), CLONE_NEWTIME) }.into()).map(drop)
}

/// The caller's memory and descriptors, while it waits.
fn shared(stack: &mut [u8]) -> libc::clone_args {
    // SAFETY: clone_args is plain data for which all zeroes mean "nothing asked for".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES) as u64;
    args.exit_signal = 0;
    // The top is where calls expect it: at a multiple of 16.
    let bottom = stack.as_mut_ptr() as u64;
    args.stack = bottom.next_multiple_of(16);
    args.stack_size = (stack.len() as u64 - 16) & !15;
    args
}

/// clone3(2) with a new stack, on which the child calls `run(data)`.
///
/// # Safety
/// The stack and `data` must stay until the child has ended; `run` must be sound for `data`.
unsafe fn begin(
    args: &mut libc::clone_args,
    run: unsafe extern "C" fn(*mut c_void) -> !,
    data: *mut c_void,
) -> i64 {
    let result: i64;
    // SAFETY: the parent continues with what it had. The child begins on its own empty stack, as the System V ABI has it at
    // a call, and never returns to this frame.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") std::ptr::from_mut(args),
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") data,
            in("r13") run,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result_of(result)
}

fn result_of(raw: i64) -> i64 {
    if raw < 0 {
        // SAFETY: errno belongs to this thread; the caller looks at it by Errno::check.
        unsafe { *libc::__errno_location() = -raw as i32 };
        return -1;
    }
    raw
}

/// The first intermediate: enters the namespaces and makes the second.
///
/// # Safety
/// `data` is the caller's `Birth<F>`, and the caller waits.
unsafe extern "C" fn first<F: FnOnce() -> std::convert::Infallible>(data: *mut c_void) -> ! {
    // SAFETY: see above; nobody else uses it meanwhile.
    let birth = unsafe { &mut *data.cast::<Birth<F>>() };
    let destination = birth.destination;
    // SAFETY: takes no pointer.
    let entered = unsafe { libc::setns(destination.like.as_raw_fd(), destination.namespaces) };
    if let Err(errno) = Errno::check(entered.into()) {
        birth.made = Err(errno);
        crate::lifecycle::exit_now(0);
    }
    let tids = [destination.spare];
    let mut stack = std::mem::take(&mut birth.second_stack);
    let mut args = shared(&mut stack);
    args.set_tid = tids.as_ptr() as u64;
    args.set_tid_size = 1;
    // SAFETY: stack and data stay in the caller's memory until both intermediates have ended.
    let second = unsafe { begin(&mut args, second::<F>, data) };
    match Errno::check(second) {
        Ok(pid) => await_end(pid as i32),
        Err(errno) => birth.made = Err(errno),
    }
    birth.second_stack = stack;
    crate::lifecycle::exit_now(0)
}

/// The second intermediate: makes the child.
///
/// # Safety
/// As for [`first`].
unsafe extern "C" fn second<F: FnOnce() -> std::convert::Infallible>(data: *mut c_void) -> ! {
    // SAFETY: see above; the first intermediate waits.
    let birth = unsafe { &mut *data.cast::<Birth<F>>() };
    let tids = [birth.destination.pid];
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain data for which all zeroes mean "nothing asked for".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.set_tid = tids.as_ptr() as u64;
    args.set_tid_size = 1;
    // SAFETY: `args` lives across the call and its pointers name live locals. Without CLONE_VM the child has memory of its
    // own, this stack included.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    match Errno::check(pid) {
        Ok(0) => {
            if let Some(child) = birth.child.take() {
                match child() {}
            }
        }
        Ok(pid) => birth.made = Ok((pid as i32, pidfd)),
        Err(errno) => birth.made = Err(errno),
    }
    crate::lifecycle::exit_now(0)
}

/// Waits for an intermediate, which has ended by now (CLONE_VFORK).
fn await_end(pid: i32) {
    let mut status = 0;
    // SAFETY: `status` is a live local.
    while unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 && Errno::last() == Errno::EINTR {}
}
