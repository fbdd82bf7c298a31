//! The kernel's objects by their own ids and keys: what differs between the classes.

use ids::{Class, Key, Row, Srid, Verdict};

use crate::kernel::Kernel;
use crate::nr;

/// Bytes that hold any class's status structure (`msqid64_ds` is the longest, 120).
pub const STATUS_BYTES: usize = 128;
/// SHM_DEST: the segment goes when it is detached.
const SHM_DEST: u16 = 0o1000;
/// Where `ipc64_perm` has the mode.
const MODE_AT: usize = 20;

/// A status structure.
pub struct Status(pub [u64; STATUS_BYTES / 8]);

impl Status {
    pub fn key(&self) -> Key {
        Key(self.0[0] as u32 as i32)
    }

    pub fn is_condemned(&self) -> bool {
        (self.0[MODE_AT / 8] >> (MODE_AT % 8 * 8)) as u16 & SHM_DEST != 0
    }
}

/// `xxxctl` on the object itself.
pub fn control<K: Kernel>(kernel: &K, class: Class, id: u64, command: u32, argument: u64) -> isize {
    let command = u64::from(command);
    match class {
        Class::Semaphores => kernel.call(nr::SEMCTL, [id, 0, command, argument, 0, 0]),
        Class::Memory => kernel.call(nr::SHMCTL, [id, command, argument, 0, 0, 0]),
        Class::Messages => kernel.call(nr::MSGCTL, [id, command, argument, 0, 0, 0]),
    }
}

/// `xxxget` with the kernel's key.
pub fn get<K: Kernel>(kernel: &K, class: Class, key: Key, size: u64, flags: u64) -> isize {
    let key = key.0 as u32 as u64;
    match class {
        Class::Semaphores => kernel.call(nr::SEMGET, [key, size, flags, 0, 0, 0]),
        Class::Memory => kernel.call(nr::SHMGET, [key, size, flags, 0, 0, 0]),
        Class::Messages => kernel.call(nr::MSGGET, [key, flags, 0, 0, 0, 0]),
    }
}

/// IPC_STAT.
///
/// # Errors
/// The kernel's, negative.
pub fn status<K: Kernel>(kernel: &K, class: Class, srid: Srid) -> Result<Status, isize> {
    let mut status = Status([0; STATUS_BYTES / 8]);
    let at = &raw mut status.0 as u64;
    match control(kernel, class, srid.0 as u32 as u64, nr::IPC_STAT, at) {
        error if error < 0 => Err(error),
        _ => Ok(status),
    }
}

/// IPC_RMID.
pub fn remove<K: Kernel>(kernel: &K, class: Class, srid: Srid) -> isize {
    control(kernel, class, srid.0 as u32 as u64, nr::IPC_RMID, 0)
}

/// Whether an error says that there is no such object.
pub fn says_gone(error: isize) -> bool {
    error == nr::EINVAL || error == nr::EIDRM
}

/// Whether the row's id still means its object: the host may have removed it and given the id to another.
pub fn is_its_own<K: Kernel>(kernel: &K, row: &Row) -> bool {
    match status(kernel, row.class, row.srid) {
        Ok(status) => status.key() == row.system_key || status.is_condemned(),
        Err(error) => !says_gone(error),
    }
}

/// What is left of an object whose removal was begun.
pub fn remains<K: Kernel>(kernel: &K, class: Class, srid: Srid) -> Verdict {
    match status(kernel, class, srid) {
        Err(error) if says_gone(error) => Verdict::Gone,
        Ok(status) if class == Class::Memory && status.is_condemned() => Verdict::Removed,
        _ => Verdict::Live,
    }
}

/// What became of an object in whose making or removal a process died. One that was made and never published is removed.
pub fn judge<K: Kernel>(kernel: &K, row: &Row) -> Verdict {
    if row.state != ids::State::Creating {
        return remains(kernel, row.class, row.srid);
    }
    if row.system_key != Key::PRIVATE {
        let found = get(kernel, row.class, row.system_key, 0, 0);
        if found >= 0 {
            remove(kernel, row.class, Srid(found as i32));
        }
    }
    Verdict::Gone
}
