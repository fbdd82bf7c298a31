//! Memory that processes share, as words that change under the reader's eyes; and waiting for one of them (futex(2)).

use crate::{Errno, Result};
use std::fs::File;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

/// A shared mapping of whole words, for as long as this lives.
pub struct SharedWords {
    at: NonNull<AtomicU32>,
    count: usize,
}

// SAFETY: the words are atomic, and the mapping belongs to no thread.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps the first `count` words of `file`, which must be as long as that: touching what lies beyond its end is fatal.
    ///
    /// # Errors
    /// As of mmap(2).
    pub fn of_file(file: &File, count: usize) -> Result<Self> {
        Self::map(libc::MAP_SHARED, file.as_raw_fd(), count)
    }

    /// `count` words of zero, shared with children only.
    ///
    /// # Errors
    /// As of mmap(2).
    pub fn anonymous(count: usize) -> Result<Self> {
        Self::map(libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE, -1, count)
    }

    fn map(flags: i32, fd: i32, count: usize) -> Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping at a place of the kernel's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), count * 4, access, flags, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        NonNull::new(at.cast()).map(|at| Self { at, count }).ok_or(Errno(libc::ENOMEM))
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU32];

    fn deref(&self) -> &[AtomicU32] {
        // SAFETY: the mapping holds `count` aligned words, lives as long as `self`, and every access is atomic.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.count) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and the borrow of every word of it has ended.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.count * 4) };
    }
}

/// Sleeps while `word` is `seen`, at most `timeout_ms` milliseconds; may return early (FUTEX_WAIT, shared).
pub fn futex_wait(word: &AtomicU32, seen: u32, timeout_ms: u32) {
    let timeout = libc::timespec {
        tv_sec: i64::from(timeout_ms / 1000),
        tv_nsec: i64::from(timeout_ms % 1000) * 1_000_000,
    };
    // SAFETY: the word and the timeout outlive the call. Why it returned does not matter: the caller looks again.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, seen, &raw const timeout);
    }
}

/// Wakes one that waits for `word` (FUTEX_WAKE, shared).
pub fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word outlives the call.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1);
    }
}

/// How whoever changes a translation table waits for others.
#[derive(Clone, Copy, Debug)]
pub struct Waiting;

impl ids::Host for Waiting {
    fn wait(&self, word: &AtomicU32, seen: u32, timeout_ms: u32) {
        futex_wait(word, seen, timeout_ms);
    }

    fn wake(&self, word: &AtomicU32) {
        futex_wake(word);
    }

    /// The kernel itself marks a lock whose owner died; a number says little across PID namespaces.
    fn alive(&self, _tid: u32) -> bool {
        true
    }
}
