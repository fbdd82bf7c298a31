//! IPC_STAT and its kin: the structure that comes back tells the application's key, never the kernel's.

use ids::{Class, Row, Vrid};

use crate::control::Commands;
use crate::core_calls::Core;
use crate::kernel::Kernel;
use crate::objects::STATUS_BYTES;
use crate::{nr, objects};

/// Where `ipc64_perm` has the sequence number, which is a part of the id: id = sequence * 32768 + index.
const SEQUENCE_AT: u64 = 24;
const SEQUENCE_SHIFT: u32 = 15;
/// How many bits of an id are the kernel's index: as a rule, and with the boot option ipcmni_extend.
const INDEX_MASKS: [u32; 2] = [0x7fff, 0xff_ffff];

impl<K: Kernel> Core<'_, '_, K> {
    /// IPC_STAT.
    pub(crate) fn status(&self, class: Class, vrid: Vrid, argument: u64) -> isize {
        let Some(row) = self.table.row_of(class, vrid) else { return nr::EINVAL };
        let result = self.pass(class, vrid, nr::IPC_STAT, argument);
        if result >= 0 {
            self.disguise(&row, argument);
        }
        result
    }

    /// SEM_STAT, SHM_STAT, MSG_STAT: `index` is a row's. The result is the id.
    pub(crate) fn status_at(&self, class: Class, index: i32, argument: u64) -> isize {
        let Some(row) = self.row_at(class, index) else { return nr::EINVAL };
        match self.status(class, row.vrid, argument) {
            error if error < 0 => error,
            _ => row.vrid.0 as isize,
        }
    }

    /// SEM_STAT_ANY and its kin: as before, but readable by all.
    pub(crate) fn status_of_any(&self, class: Class, index: i32, argument: u64) -> isize {
        let Some(row) = self.row_at(class, index) else { return nr::EINVAL };
        let Some(place) = self.kernel_index(&row) else { return nr::EINVAL };
        match objects::control(self.kernel, class, place, Commands::of(class).stat_any, argument) {
            error if error < 0 => error,
            _ => {
                self.disguise(&row, argument);
                row.vrid.0 as isize
            }
        }
    }

    /// The object's place among the kernel's, if it is still there.
    pub(crate) fn kernel_index(&self, row: &Row) -> Option<u64> {
        let mut scratch = [0u64; STATUS_BYTES / 8];
        let at = &raw mut scratch as u64;
        let command = Commands::of(row.class).stat_any;
        INDEX_MASKS.into_iter().map(|mask| u64::from(row.srid.0 as u32 & mask)).find(|place| {
            objects::control(self.kernel, row.class, *place, command, at) == row.srid.0 as isize
        })
    }

    fn row_at(&self, class: Class, index: i32) -> Option<Row> {
        self.table.row(class, u32::try_from(index).ok()?).filter(|row| row.state.is_translatable())
    }

    /// Replaces what tells of the kernel's key and id.
    fn disguise(&self, row: &Row, at: u64) {
        self.kernel.store(at, &row.key.0.to_le_bytes());
        let sequence = (row.vrid.0 >> SEQUENCE_SHIFT) as u16;
        self.kernel.store(at + SEQUENCE_AT, &sequence.to_le_bytes());
    }
}
