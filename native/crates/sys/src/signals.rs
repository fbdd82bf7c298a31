//! Signals as descriptors that can be polled, and a clean slate for a new program.

use crate::{Errno, Result};
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

pub const SIGHUP: i32 = libc::SIGHUP;
pub const SIGINT: i32 = libc::SIGINT;
pub const SIGKILL: i32 = libc::SIGKILL;
pub const SIGTERM: i32 = libc::SIGTERM;
pub const SIGCONT: i32 = libc::SIGCONT;
pub const SIGCHLD: i32 = libc::SIGCHLD;
pub const SIGWINCH: i32 = libc::SIGWINCH;

/// The largest signal number (signal(7)).
pub const MAX_SIGNAL: i32 = 64;

/// Signals that are blocked in the calling thread and arrive on a descriptor instead (signalfd(2)).
pub struct SignalFd(File);

impl SignalFd {
    /// Blocks `signals` in the calling thread and routes them here. Reading never blocks.
    pub fn new(signals: &[i32]) -> Result<Self> {
        let set = set_of(signals)?;
        // SAFETY: `set` is initialised; the old mask is not asked for.
        let blocked = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
        if blocked != 0 {
            return Err(Errno(blocked));
        }
        // SAFETY: `set` is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        let fd = Errno::check(fd.into())? as RawFd;
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    /// Forgets what has arrived; the caller looks at the cause itself.
    pub fn drain(&self) {
        let mut block = [0; size_of::<libc::signalfd_siginfo>() * 8];
        while matches!((&self.0).read(&mut block), Ok(n) if n > 0) {}
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn set_of(signals: &[i32]) -> Result<libc::sigset_t> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set that the rest of the function changes.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for signal in signals {
        // SAFETY: the set was initialised above.
        Errno::check(unsafe { libc::sigaddset(set.as_mut_ptr(), *signal) }.into())?;
    }
    // SAFETY: the set was initialised above.
    Ok(unsafe { set.assume_init() })
}

/// Sets every signal to its default action and unblocks all of them: the state a new program expects. By the
/// kernel's own calls, because glibc refuses to touch the two signals that it keeps for itself (32 and 33).
pub fn reset_all() -> Result<()> {
    /// Size of the kernel's signal set in bytes (rt_sigaction(2)).
    const SET: usize = 8;
    // Handler SIG_DFL, no flags, no restorer, empty mask: the kernel's sigaction in four words.
    let default = [0u64; 4];
    for signal in (1..=MAX_SIGNAL).filter(|s| ![libc::SIGKILL, libc::SIGSTOP].contains(s)) {
        // SAFETY: the action is of the kernel's layout, and the default is valid for every signal.
        let done = unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null_mut::<u64>(), SET)
        };
        Errno::check(done)?;
    }
    let none = 0u64;
    // SAFETY: the mask is `SET` live bytes; the old one is not asked for.
    let done = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            ptr::null_mut::<u64>(),
            SET,
        )
    };
    Errno::check(done).map(drop)
}

/// Write end of the pipe of the one [`SignalPipe`] that may exist, or -1.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// The handler that was there before, called as well; 0 when there was none.
static PREVIOUS: AtomicUsize = AtomicUsize::new(0);

/// A signal whose arrival, on any thread of a program that is not ours alone, makes a pipe readable. The
/// handler that was there before is still called, and put back on drop.
pub struct SignalPipe {
    signal: i32,
    previous: libc::sigaction,
    arrivals: File,
}

impl SignalPipe {
    /// `EBUSY` when another one exists.
    pub fn new(signal: i32) -> Result<Self> {
        let (reader, writer) = pipe_nonblocking()?;
        let writer = writer.into_raw_fd();
        if PIPE.compare_exchange(-1, writer, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            // SAFETY: the descriptor was just made and was not published.
            drop(unsafe { OwnedFd::from_raw_fd(writer) });
            return Err(Errno(libc::EBUSY));
        }
        match install(signal) {
            Ok(previous) => Ok(Self { signal, previous, arrivals: File::from(reader) }),
            Err(error) => {
                close_pipe();
                Err(error)
            }
        }
    }

    /// Forgets the arrivals so far.
    pub fn drain(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.arrivals).read(&mut bytes), Ok(n) if n > 0) {}
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.arrivals.as_fd()
    }
}

impl Drop for SignalPipe {
    fn drop(&mut self) {
        // SAFETY: puts back an action that the kernel reported.
        unsafe { libc::sigaction(self.signal, &raw const self.previous, ptr::null_mut()) };
        PREVIOUS.store(0, Ordering::SeqCst);
        close_pipe();
    }
}

fn install(signal: i32) -> Result<libc::sigaction> {
    let mut previous = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: sigaction is plain data; a null action only reports the current one.
    Errno::check(unsafe { libc::sigaction(signal, ptr::null(), previous.as_mut_ptr()) }.into())?;
    // SAFETY: filled in by the call above.
    let previous = unsafe { previous.assume_init() };
    let callable = ![libc::SIG_DFL, libc::SIG_IGN].contains(&previous.sa_sigaction);
    PREVIOUS.store(if callable { previous.sa_sigaction } else { 0 }, Ordering::SeqCst);
    let mut action = previous;
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: `on_signal` has the signature that SA_SIGINFO asks for and is async-signal-safe.
    Errno::check(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) }.into())?;
    Ok(previous)
}

/// Async-signal-safe: one write, then the earlier handler.
extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: errno belongs to the interrupted code and is put back; write reads one byte of a literal; the
    // earlier handler was installed for this signal, and takes at least the arguments it is called with.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(PIPE.load(Ordering::SeqCst), b"s".as_ptr().cast(), 1);
        let previous = PREVIOUS.load(Ordering::SeqCst);
        if previous != 0 {
            let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                std::mem::transmute(previous);
            handler(signal, info, context);
        }
        *libc::__errno_location() = errno;
    }
}

fn close_pipe() {
    let writer = PIPE.swap(-1, Ordering::SeqCst);
    if writer >= 0 {
        // SAFETY: the static owned the descriptor, and the swap took it out.
        drop(unsafe { OwnedFd::from_raw_fd(writer) });
    }
}

fn pipe_nonblocking() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the array has room for both descriptors.
    Errno::check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) }.into())?;
    // SAFETY: two new descriptors that nobody else owns.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_pipe_reports_a_signal_and_puts_the_old_action_back() {
        let before = install_probe();
        let pipe = SignalPipe::new(libc::SIGURG).expect("no other pipe exists");
        assert_eq!(SignalPipe::new(libc::SIGURG).err(), Some(Errno(libc::EBUSY)));
        // SAFETY: raise takes no pointer; the handler is installed.
        unsafe { libc::raise(libc::SIGURG) };
        let mut byte = [0; 1];
        assert_eq!((&pipe.arrivals).read(&mut byte).expect("a byte arrived"), 1);
        drop(pipe);
        assert_eq!(install_probe(), before);
    }

    fn install_probe() -> usize {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: only reports the current action.
        unsafe {
            libc::sigaction(libc::SIGURG, ptr::null(), action.as_mut_ptr());
            action.assume_init().sa_sigaction
        }
    }
}
