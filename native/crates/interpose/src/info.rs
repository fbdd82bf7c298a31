//! IPC_INFO, SEM_INFO, SHM_INFO, MSG_INFO: the kernel's limits, the application's own totals.

use ids::{Class, Row};

use crate::control::Commands;
use crate::core_calls::Core;
use crate::kernel::Kernel;
use crate::nr;
use crate::objects::{self, STATUS_BYTES};

const PAGE: u64 = 4096;

/// What the application's objects of one class come to.
#[derive(Default)]
struct Totals {
    objects: u64,
    /// Semaphores, pages, or messages.
    content: u64,
    /// Bytes of messages.
    bytes: u64,
}

impl<K: Kernel> Core<'_, '_, K> {
    /// The result is the highest index of a row in use; 0 for none, as the kernel has it.
    pub(crate) fn info(&self, class: Class, command: u32, argument: u64) -> isize {
        let result = objects::control(self.kernel, class, 0, command, argument);
        if result < 0 {
            return result;
        }
        if command != nr::IPC_INFO {
            self.correct(class, argument);
        }
        self.table.counts(class).span.saturating_sub(1) as isize
    }

    /// Puts the totals of the application's own objects in the place of the host's (struct seminfo, shm_info, msginfo).
    fn correct(&self, class: Class, at: u64) {
        let totals = self.totals(class);
        let int = |offset: u64, value: u64| {
            let value = value.min(i32::MAX as u64) as u32;
            self.kernel.store(at + offset, &value.to_le_bytes());
        };
        match class {
            Class::Semaphores => {
                int(28, totals.objects); // semusz
                int(32 + 4, totals.content); // semaem
            }
            Class::Messages => {
                int(0, totals.objects); // msgpool
                int(4, totals.content); // msgmap
                int(24, totals.bytes); // msgtql
            }
            Class::Memory => {
                int(0, totals.objects); // used_ids
                self.kernel.store(at + 8, &totals.content.to_le_bytes()); // shm_tot
                // The kernel counts resident and swapped pages for all of the host's segments together.
                self.kernel.store(at + 16, &totals.content.to_le_bytes()); // shm_rss
                self.kernel.store(at + 24, &0u64.to_le_bytes()); // shm_swp
            }
        }
    }

    fn totals(&self, class: Class) -> Totals {
        let mut totals = Totals::default();
        for row in self.table.rows(class).filter(|row| row.state.is_translatable()) {
            let Some(status) = self.any_status(&row) else { continue };
            totals.objects += 1;
            match class {
                Class::Semaphores => totals.content += status[(48 + 32) / 8], // sem_nsems
                Class::Memory => totals.content += status[48 / 8].div_ceil(PAGE), // shm_segsz
                Class::Messages => {
                    totals.bytes += status[(48 + 24) / 8]; // msg_cbytes
                    totals.content += status[(48 + 32) / 8]; // msg_qnum
                }
            }
        }
        totals
    }

    /// An object's status, whoever may read it.
    fn any_status(&self, row: &Row) -> Option<[u64; STATUS_BYTES / 8]> {
        let place = self.kernel_index(row)?;
        let mut status = [0u64; STATUS_BYTES / 8];
        let at = &raw mut status as u64;
        let command = Commands::of(row.class).stat_any;
        (objects::control(self.kernel, row.class, place, command, at) == row.srid.0 as isize)
            .then_some(status)
    }
}
