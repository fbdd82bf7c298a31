//! IPC_RMID.

use ids::{Change, Class, Verdict, Vrid};

use crate::core_calls::Core;
use crate::kernel::Kernel;
use crate::{nr, objects};

impl<K: Kernel> Core<'_, '_, K> {
    /// Removes the object. Its row goes with it, unless it is a segment that is still attached.
    pub(crate) fn remove(&self, class: Class, vrid: Vrid) -> isize {
        self.kernel.undisturbed(self.table.lock_word(), |tid| {
            let guard = self.table.lock(self.kernel, tid, |row| objects::judge(self.kernel, row));
            let Some(row) = guard.row_of(class, vrid) else { return nr::EINVAL };
            if !objects::is_its_own(self.kernel, &row) {
                guard.remove(class, vrid);
                return nr::EINVAL;
            }
            guard.condemn(class, vrid);
            let result = objects::remove(self.kernel, class, row.srid);
            let left = match result {
                0 if class == Class::Memory => objects::remains(self.kernel, class, row.srid),
                0 => Verdict::Gone,
                error if objects::says_gone(error) => Verdict::Gone,
                _ => Verdict::Live,
            };
            match left {
                Verdict::Gone => guard.remove(class, vrid),
                Verdict::Removed => guard.retire(class, vrid),
                // Removed for good, but its mode may not be read.
                Verdict::Live if result == 0 => guard.retire(class, vrid),
                Verdict::Live => guard.spare(class, vrid),
            }
            result
        })
    }
}
