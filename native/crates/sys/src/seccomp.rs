//! Filters whose questions another process answers (seccomp(2), seccomp_unotify(2); kernel 5.19).

use crate::{Errno, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
/// The installing call returns the listener.
pub const NEW_LISTENER: u64 = 1 << 3;
/// Once a question has been taken by the listener, only a deadly signal ends the wait for its answer.
pub const WAIT_KILLABLE_RECV: u64 = 1 << 5;

/// `struct sock_filter` (linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    pub code: u16,
    pub if_true: u8,
    pub if_false: u8,
    pub value: u32,
}

/// A system call that a thread of the application wants to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// What the answer refers to.
    pub cookie: u64,
    /// The thread, in the caller's PID namespace; 0 when it is not in it.
    pub tid: i32,
    pub nr: i32,
}

/// Installs a filter for the calling thread and all that come from it. Returns the end that is asked (close-on-exec).
/// Needs CAP_SYS_ADMIN in the user namespace, or no_new_privs; `EBUSY` when there is a listener already.
pub fn install(filter: &[Instruction]) -> Result<OwnedFd> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut().cast() };
    let flags = NEW_LISTENER | WAIT_KILLABLE_RECV;
    // SAFETY: `program` describes `filter`, which has the layout of sock_filter and is only read.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let fd = Errno::check(fd)?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// The end of a filter where its questions arrive. Readable when there is one; hangs up when no thread is left.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl From<OwnedFd> for Listener {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const SECCOMP_IOCTL_NOTIF_RECV: u64 = 0xc050_2100;
const SECCOMP_IOCTL_NOTIF_SEND: u64 = 0xc018_2101;
const SECCOMP_IOCTL_NOTIF_ADDFD: u64 = 0x4018_2103;

impl Listener {
    /// Takes the next question; waits for one. `ENOENT` when the thread that asked has ended meanwhile.
    pub fn receive(&self) -> Result<Question> {
        // SAFETY: plain data; the kernel demands that it is zeroed.
        let mut asked: libc::seccomp_notif = unsafe { MaybeUninit::zeroed().assume_init() };
        self.control(SECCOMP_IOCTL_NOTIF_RECV, (&raw mut asked).cast())?;
        Ok(Question { cookie: asked.id, tid: asked.pid as i32, nr: asked.data.nr })
    }

    /// Answers: the call is not made and returns `value`, or the error `errno` when that is not 0.
    pub fn answer(&self, cookie: u64, value: i64, errno: i32) -> Result<()> {
        let mut answer = libc::seccomp_notif_resp { id: cookie, val: value, error: -errno, flags: 0 };
        self.control(SECCOMP_IOCTL_NOTIF_SEND, (&raw mut answer).cast()).map(drop)
    }

    /// Gives the asking process a duplicate of `file`, close-on-exec. Returns its number there.
    pub fn give(&self, cookie: u64, file: BorrowedFd<'_>) -> Result<i32> {
        let mut gift = libc::seccomp_notif_addfd {
            id: cookie,
            flags: 0,
            srcfd: file.as_raw_fd() as u32,
            newfd: 0,
            newfd_flags: libc::O_CLOEXEC as u32,
        };
        self.control(SECCOMP_IOCTL_NOTIF_ADDFD, (&raw mut gift).cast()).map(|fd| fd as i32)
    }

    fn control(&self, request: u64, argument: *mut libc::c_void) -> Result<u64> {
        loop {
            // SAFETY: every caller passes the structure that its request reads and writes, which outlives the call.
            match Errno::check(unsafe { libc::ioctl(self.0.as_raw_fd(), request as _, argument) }.into()) {
                Err(Errno::EINTR) => {}
                done => return done,
            }
        }
    }
}
