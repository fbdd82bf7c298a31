//! semget(2), shmget(2), msgget(2): keys are looked up in the table, objects made under random keys.

use ids::{Change, Class, Guard, Key, Reservation, Row, Srid, State, Verdict};

use crate::core_calls::Core;
use crate::kernel::Kernel;
use crate::{nr, objects};

/// Removed segments that a creation looks at, to free the rows of those that are gone.
const SWEEP: u32 = 16;

impl<K: Kernel> Core<'_, '_, K> {
    /// `xxxget`; `size` is the number of semaphores or of bytes.
    pub(crate) fn get(&self, class: Class, key: i32, size: u64, flags: u64) -> isize {
        let flags = u64::from(flags as u32);
        self.kernel.undisturbed(self.table.lock_word(), |tid| {
            let guard = self.table.lock(self.kernel, tid, |row| objects::judge(self.kernel, row));
            if let Some(row) = guard.by_key(class, Key(key))
                && let Some(answer) = self.existing(&guard, &row, size, flags)
            {
                return answer;
            }
            if key != 0 && flags & nr::IPC_CREAT == 0 {
                return nr::ENOENT;
            }
            self.create(&guard, class, Key(key), size, flags)
        })
    }

    /// The answer for a key that the table knows, from the kernel, which checks size and permissions. Nothing if its
    /// object is gone without our doing: then its row goes too.
    fn existing(&self, guard: &Guard<'_, '_, K>, row: &Row, size: u64, flags: u64) -> Option<isize> {
        let exclusive = nr::IPC_CREAT | nr::IPC_EXCL;
        let found = objects::get(self.kernel, row.class, row.system_key, size, flags & !exclusive);
        if found == nr::ENOENT || (found >= 0 && found != row.srid.0 as isize) {
            guard.remove(row.class, row.vrid);
            return None;
        }
        Some(match found {
            _ if flags & exclusive == exclusive => nr::EEXIST,
            error if error < 0 => error,
            _ => row.vrid.0 as isize,
        })
    }

    fn create(&self, guard: &Guard<'_, '_, K>, class: Class, key: Key, size: u64, flags: u64) -> isize {
        self.sweep(guard, class, SWEEP);
        let reservation = match guard.reserve(class, key) {
            Ok(reservation) => reservation,
            Err(_) => {
                self.sweep(guard, class, guard.counts(class).span);
                let Ok(reservation) = guard.reserve(class, key) else { return nr::ENOSPC };
                reservation
            }
        };
        match self.make(guard, &reservation, size, flags) {
            error if error < 0 => {
                guard.abandon(reservation);
                error
            }
            srid => guard.publish(reservation, Srid(srid as i32)).0 as isize,
        }
    }

    /// Makes the object under a key that no object of the host has.
    fn make(&self, guard: &Guard<'_, '_, K>, reservation: &Reservation, size: u64, flags: u64) -> isize {
        loop {
            let system_key = Key(self.kernel.random() as i32);
            if system_key == Key::PRIVATE {
                continue;
            }
            guard.attempt(reservation, system_key);
            let flags = flags | nr::IPC_CREAT | nr::IPC_EXCL;
            match objects::get(self.kernel, reservation.class(), system_key, size, flags) {
                nr::EEXIST => {}
                result => return result,
            }
        }
    }

    /// Frees rows of removed segments that nobody has attached any more: `count` rows after the last one given out.
    fn sweep(&self, guard: &Guard<'_, '_, K>, class: Class, count: u32) {
        let span = guard.counts(class).span;
        if class != Class::Memory || span == 0 {
            return;
        }
        for step in 0..count.min(span) {
            let index = (guard.last(class).index() + 1 + step) % span;
            let row = guard.row(class, index).filter(|row| row.state == State::Removed);
            if let Some(row) = row
                && objects::remains(self.kernel, class, row.srid) == Verdict::Gone
            {
                guard.remove(class, row.vrid);
            }
        }
    }
}
