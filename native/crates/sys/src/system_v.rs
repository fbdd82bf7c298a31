//! System V shared memory, semaphores and message queues (sysvipc(7)), by id. Status structures are the kernel's
//! 64-bit ones, as bytes: the caller reads the fields that it wants.

use crate::{Errno, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// `struct shmid64_ds`, `struct semid64_ds`, `struct msqid64_ds`.
pub const SEGMENT_STATUS: usize = 112;
pub const SET_STATUS: usize = 104;
pub const QUEUE_STATUS: usize = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Segment,
    Set,
    Queue,
}

impl From<ids::Class> for Kind {
    fn from(class: ids::Class) -> Self {
        match class {
            ids::Class::Semaphores => Self::Set,
            ids::Class::Memory => Self::Segment,
            ids::Class::Messages => Self::Queue,
        }
    }
}

impl Kind {
    /// The number of the system call that controls objects of this kind.
    #[must_use]
    pub fn control(self) -> i64 {
        match self {
            Self::Segment => libc::SYS_shmctl,
            Self::Set => libc::SYS_semctl,
            Self::Queue => libc::SYS_msgctl,
        }
    }

    /// Bytes of the status structure.
    #[must_use]
    pub fn status_size(self) -> usize {
        match self {
            Self::Segment => SEGMENT_STATUS,
            Self::Set => SET_STATUS,
            Self::Queue => QUEUE_STATUS,
        }
    }

    /// `IPC_STAT`.
    pub fn status(self, id: i32) -> Result<Vec<u8>> {
        let mut bytes = vec![0u8; self.status_size()];
        let at = bytes.as_mut_ptr() as usize;
        // SAFETY: the kernel fills at most `status_size` bytes, which the buffer has.
        unsafe { self.call(id, 0, libc::IPC_STAT, at) }?;
        Ok(bytes)
    }

    /// `IPC_RMID`.
    pub fn remove(self, id: i32) -> Result<()> {
        // SAFETY: IPC_RMID takes no pointer.
        unsafe { self.call(id, 0, libc::IPC_RMID, 0) }.map(drop)
    }

    /// The id of the object that has `key`; `ENOENT` when there is none. Without size or permissions to check.
    pub fn find(self, key: i32) -> Result<i32> {
        // SAFETY: none of the three takes a pointer.
        let id = unsafe {
            match self {
                Self::Segment => libc::shmget(key, 0, 0),
                Self::Set => libc::semget(key, 0, 0),
                Self::Queue => libc::msgget(key, 0),
            }
        };
        Errno::check(id.into()).map(|id| id as i32)
    }

    /// # Safety
    /// `argument` must be what `command` takes (shmctl(2), semctl(2), msgctl(2)).
    unsafe fn call(self, id: i32, index: usize, command: i32, argument: usize) -> Result<u64> {
        // SAFETY: the caller upholds the command's contract.
        let value = unsafe {
            match self {
                Self::Set => libc::syscall(self.control(), id, index, command, argument),
                _ => libc::syscall(self.control(), id, command, argument),
            }
        };
        Errno::check(value)
    }
}

/// Values of all semaphores of a set of `count` (`GETALL`).
pub fn semaphore_values(id: i32, count: usize) -> Result<Vec<u16>> {
    const GETALL: i32 = 13;
    let mut values = vec![0u16; count];
    let at = values.as_mut_ptr() as usize;
    // SAFETY: the kernel writes one value per semaphore; the number of semaphores of a set never changes.
    unsafe { Kind::Set.call(id, 0, GETALL, at) }?;
    Ok(values)
}

/// The process that operated on a semaphore last, in the caller's PID namespace, 0 for none (`GETPID`).
pub fn semaphore_pid(id: i32, index: usize) -> Result<i32> {
    const GETPID: i32 = 11;
    // SAFETY: GETPID takes no pointer.
    unsafe { Kind::Set.call(id, index, GETPID, 0) }.map(|pid| pid as i32)
}

/// Message number `index` of a queue, left in place (`MSG_COPY`): its type and text of at most `room` bytes. None behind
/// the last one.
pub fn copy_message(id: i32, index: usize, room: usize) -> Result<Option<(i64, Vec<u8>)>> {
    const MSG_COPY: i32 = 0o40000;
    let mut buffer = vec![0u8; 8 + room];
    let flags = MSG_COPY | libc::IPC_NOWAIT;
    // SAFETY: the buffer has room for the type and `room` bytes of text.
    let got = unsafe { libc::msgrcv(id, buffer.as_mut_ptr().cast(), room, index as libc::c_long, flags) };
    match Errno::check(got as i64) {
        Ok(length) => {
            let kind = i64::from_le_bytes(buffer[..8].try_into().expect("eight bytes"));
            Ok(Some((kind, buffer[8..8 + length as usize].to_vec())))
        }
        Err(Errno(libc::ENOMSG)) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A segment that is attached to this process, read only, for as long as this lives.
struct Attached {
    address: *const u8,
    size: usize,
}

impl Attached {
    fn new(id: i32, size: usize) -> Result<Self> {
        // SAFETY: the kernel chooses a free address.
        let address = unsafe { libc::shmat(id, std::ptr::null(), libc::SHM_RDONLY) };
        Errno::check(address as i64)?;
        Ok(Self { address: address.cast(), size })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is at least `size` bytes; whoever else has it attached is stopped.
        unsafe { std::slice::from_raw_parts(self.address, self.size) }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: the address came from shmat and nobody refers to it any more.
        unsafe { libc::shmdt(self.address.cast()) };
    }
}

/// Copies a segment of `size` bytes into a file, pages of zeroes left out. Returns where it was attached, for whoever
/// wants to know its page size, through `examine`.
pub fn copy_segment<T>(id: i32, size: usize, into: &File, examine: impl FnOnce(u64) -> T) -> Result<T> {
    let attached = Attached::new(id, size)?;
    for (index, page) in attached.bytes().chunks(4096).enumerate() {
        if page.iter().any(|byte| *byte != 0) {
            into.write_all_at(page, index as u64 * 4096).map_err(|error| Errno::from_io(&error))?;
        }
    }
    Ok(examine(attached.address as u64))
}

/// Moves the calling thread, and no other, into an IPC namespace (`file` is a /proc/PID/ns/ipc).
pub fn enter_namespace(file: &File) -> Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: plain numbers; an IPC namespace may be joined by one thread of many (setns(2)).
    Errno::check(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWIPC) }.into()).map(drop)
}
