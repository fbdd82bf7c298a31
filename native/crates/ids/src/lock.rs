//! The lock under which the table is changed. Its word is a robust futex's: the owner's thread id, with the kernel's two
//! flags. The core enters it in the thread's robust list (set_robust_list(2)) while it waits and holds, so that the
//! kernel itself marks the word when the owner dies, also of a process that nobody has waited for yet.

use core::ops::Deref;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::layout;
use crate::repair::Verdict;
use crate::row::Row;
use crate::table::Table;

/// FUTEX_WAITERS: somebody waits.
pub const WAITERS: u32 = 0x8000_0000;
/// FUTEX_OWNER_DIED: the kernel saw the owner die.
pub const OWNER_DIED: u32 = 0x4000_0000;
/// FUTEX_TID_MASK.
pub const OWNER_MASK: u32 = 0x3fff_ffff;

/// How long one wait lasts at most before the owner is asked for again, in milliseconds.
const PATIENCE_MS: u32 = 100;

/// What a lock asks of the kernel.
pub trait Host {
    /// Sleeps while `word` is `seen`, at most `timeout_ms` milliseconds; may return early (futex(2), shared).
    fn wait(&self, word: &AtomicU32, seen: u32, timeout_ms: u32);
    /// Wakes one that waits for `word`.
    fn wake(&self, word: &AtomicU32);
    /// Whether the thread may still release the lock. `true` in doubt: the kernel marks a lock whose owner died.
    fn alive(&self, tid: u32) -> bool;
}

impl<'m> Table<'m> {
    /// The lock's word, for the robust list.
    #[must_use]
    pub fn lock_word(&self) -> &'m AtomicU32 {
        &self.words[layout::LOCK_AT]
    }

    /// Takes the lock for thread `tid` (the helper says [`HELPER`](crate::HELPER)). Signals should be blocked: a handler
    /// that waits for what it interrupted waits for ever. If the former owner died, everything is repaired first, and
    /// `judge` says what became of each object that was being made or removed.
    pub fn lock<'h, H: Host>(
        &self,
        host: &'h H,
        tid: u32,
        judge: impl FnMut(&Row) -> Verdict,
    ) -> Guard<'m, 'h, H> {
        let inherited = acquire(self.lock_word(), host, tid);
        let guard = Guard { table: *self, host };
        if inherited {
            guard.repair(judge);
        }
        guard
    }

    /// The lock that `tid` holds already: taken by [`Guard::keep`], or by the same thread's earlier run.
    #[must_use]
    pub fn held<'h, H: Host>(&self, host: &'h H, tid: u32) -> Option<Guard<'m, 'h, H>> {
        let word = self.lock_word().load(Ordering::Acquire);
        (word & (OWNER_MASK | OWNER_DIED) == tid).then(|| Guard { table: *self, host })
    }

    /// The owner's thread id; 0 for none.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.lock_word().load(Ordering::Acquire) & OWNER_MASK
    }

    /// Frees the lock whoever held it. For a restore, before any process of the application runs.
    pub fn reset_lock(&self) {
        self.lock_word().store(0, Ordering::Release);
    }
}

/// Takes the lock; returns whether its former owner died with it.
fn acquire(word: &AtomicU32, host: &impl Host, tid: u32) -> bool {
    let mut mine = tid;
    loop {
        let seen = word.load(Ordering::Relaxed);
        let dead = seen & OWNER_DIED != 0 || (seen & OWNER_MASK != 0 && !host.alive(seen & OWNER_MASK));
        if seen & OWNER_MASK == 0 || dead {
            if word
                .compare_exchange(seen, mine | seen & WAITERS, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                return dead;
            }
        } else if seen & WAITERS != 0
            || word.compare_exchange(seen, seen | WAITERS, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            host.wait(word, seen | WAITERS, PATIENCE_MS);
            mine = tid | WAITERS; // others may wait as well: better one wake too many
        }
    }
}

/// The right to change the table. Dropping it gives the lock back.
pub struct Guard<'m, 'h, H: Host> {
    pub(crate) table: Table<'m>,
    host: &'h H,
}

impl<H: Host> Guard<'_, '_, H> {
    /// Keeps the lock beyond the guard: [`Table::held`] gives it back.
    pub fn keep(self) {
        core::mem::forget(self);
    }
}

impl<'m, H: Host> Deref for Guard<'m, '_, H> {
    type Target = Table<'m>;

    fn deref(&self) -> &Table<'m> {
        &self.table
    }
}

impl<H: Host> Drop for Guard<'_, '_, H> {
    fn drop(&mut self) {
        #[cfg(test)]
        if crate::testing::died() {
            return;
        }
        let word = self.table.lock_word();
        if word.swap(0, Ordering::Release) & WAITERS != 0 {
            self.host.wake(word);
        }
    }
}
