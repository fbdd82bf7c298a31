//! Which call goes where.

use ids::{Class, Table, Vrid};

use crate::kernel::{Kernel, Section};
use crate::nr;

/// One process's view: its application's table and the kernel.
pub struct Core<'m, 'k, K: Kernel> {
    pub(crate) table: Table<'m>,
    pub(crate) kernel: &'k K,
}

impl<'m, 'k, K: Kernel> Core<'m, 'k, K> {
    /// The core over `table`.
    pub fn new(table: Table<'m>, kernel: &'k K) -> Self {
        Self { table, kernel }
    }

    /// The system call `nr` as the application is to see it. The result is the kernel's: negative for errors.
    pub fn call(&self, nr: u64, a: [u64; 6]) -> isize {
        let vrid = Vrid(a[0] as i32);
        let rest = [a[1], a[2], a[3], a[4]];
        match nr {
            nr::SEMOP => self.semop(Section::Semop, vrid, rest),
            nr::SEMTIMEDOP => self.semop(Section::Semtimedop, vrid, rest),
            nr::MSGSND => self.kernel.section(Section::Msgsnd, vrid, rest),
            nr::MSGRCV => self.kernel.section(Section::Msgrcv, vrid, rest),
            nr::SHMAT => self.kernel.section(Section::Shmat, vrid, rest),
            nr::SEMGET => self.get(Class::Semaphores, a[0] as i32, a[1], a[2]),
            nr::SHMGET => self.get(Class::Memory, a[0] as i32, a[1], a[2]),
            nr::MSGGET => self.get(Class::Messages, a[0] as i32, 0, a[1]),
            nr::SEMCTL => self.semctl(vrid, a[1], a[2] as u32, a[3]),
            nr::SHMCTL => self.control(Class::Memory, vrid, a[1] as u32, a[2]),
            nr::MSGCTL => self.control(Class::Messages, vrid, a[1] as u32, a[2]),
            _ => self.kernel.call(nr, a),
        }
    }
}
