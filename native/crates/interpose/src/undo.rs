//! semop(2) and semtimedop(2): what SEM_UNDO will undo is noted once it was done.

use ids::{Class, Vrid};

use crate::core_calls::Core;
use crate::kernel::{Kernel, Section};
use crate::nr;

const SEM_UNDO: u16 = 0x1000;
/// `struct sembuf`: number, operation, flags, 16 bits each.
const SEMBUF_BYTES: u64 = 6;

impl<K: Kernel> Core<'_, '_, K> {
    pub(crate) fn semop(&self, section: Section, vrid: Vrid, a: [u64; 4]) -> isize {
        let result = self.kernel.section(section, vrid, a);
        if result == 0 {
            self.note(vrid, a[0], u64::from(a[1] as u32));
        }
        result
    }

    /// Notes what SEM_UNDO will undo of `count` operations that were made, at address `operations`.
    pub fn note(&self, vrid: Vrid, operations: u64, count: u64) {
        for at in (0..count).map(|n| operations + n * SEMBUF_BYTES) {
            if self.kernel.load(at + 4) & SEM_UNDO != 0 {
                self.adjust(vrid, self.kernel.load(at), self.kernel.load(at + 2) as i16);
            }
        }
    }

    #[cold]
    fn adjust(&self, vrid: Vrid, number: u16, operation: i16) {
        let ledger = self.table.ledger();
        let pid = self.kernel.call(nr::GETPID, [0; 6]) as u32;
        let change = -i32::from(operation);
        if change == 0 {
            return;
        }
        if ledger.add(pid, vrid, number, change).is_err() {
            ledger.sweep(|pid| self.kernel.call(nr::KILL, [u64::from(pid), 0, 0, 0, 0, 0]) != nr::ESRCH);
            if ledger.add(pid, vrid, number, change).is_err() {
                ledger.lose();
            }
        }
        // Somebody may have removed the set after the call and before the note.
        if self.table.row_of(Class::Semaphores, vrid).is_none() {
            ledger.clear_set(vrid);
        }
    }
}
