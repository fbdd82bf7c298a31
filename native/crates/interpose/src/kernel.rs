//! What the logic asks of the kernel and of the caller's memory.

use core::sync::atomic::AtomicU32;

use ids::{Host, Vrid};

/// A call that takes an id. The look-up and the call are one piece of assembly that can be started anew at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Semop,
    Semtimedop,
    Semctl,
    Shmat,
    Shmctl,
    Msgsnd,
    Msgrcv,
    Msgctl,
}

/// The kernel, as the core sees it.
pub trait Kernel: Host {
    /// A system call as it is. The result is the kernel's: negative for errors.
    fn call(&self, nr: u64, arguments: [u64; 6]) -> isize;
    /// A system call on the object of `vrid`; `arguments` follow the id. EINVAL when there is no such row.
    fn section(&self, section: Section, vrid: Vrid, arguments: [u64; 4]) -> isize;
    /// Reads the caller's memory, where the kernel has just read or written for the same call.
    fn load(&self, at: u64) -> u16;
    /// Writes the caller's memory, where the kernel has just written for the same call.
    fn store(&self, at: u64, bytes: &[u8]);
    /// Runs `work` with the thread's id while no signal is delivered, and `lock` is marked should the thread die.
    fn undisturbed<R>(&self, lock: &AtomicU32, work: impl FnOnce(u32) -> R) -> R;
    /// A random number.
    fn random(&self) -> u32;
}
