//! SEM_UNDO adjustments that the kernel holds for the application's processes: it shows them to nobody, so whoever
//! causes one notes it here.
//!
//! ```text
//! slot: process id (0 empty), virtual id of the set, number of the semaphore plus one (0 not filled yet), adjustment
//! ```
//! There is no lock: a slot is claimed by its first word. Two slots may come to stand for the same semaphore of the same
//! process (a handler that interrupted a claim, a slot before it that was emptied); their adjustments add up.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::class::Vrid;
use crate::layout::{LEDGER_AT, LEDGER_COUNT_AT, LEDGER_LOST_AT, LEDGER_SLOT_WORDS, LEDGER_SLOTS};

/// Adjustments that the ledger holds.
pub const LEDGER_CAPACITY: u32 = 65_536;

const PID: usize = 0;
const SET: usize = 1;
const NUMBER: usize = 2;
const VALUE: usize = 3;

/// No slot is free for another adjustment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerFull;

impl fmt::Display for LedgerFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {LEDGER_CAPACITY} places for SEM_UNDO adjustments are in use")
    }
}

impl core::error::Error for LedgerFull {}

/// What the kernel will add to one semaphore when a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Process id, as the application's processes see it.
    pub pid: u32,
    pub set: Vrid,
    pub number: u16,
    pub value: i16,
}

/// The ledger in a table.
#[derive(Clone, Copy)]
pub struct Ledger<'m> {
    count: &'m AtomicU32,
    lost: &'m AtomicU32,
    slots: &'m [AtomicU32],
}

impl<'m> Ledger<'m> {
    pub(crate) fn new(words: &'m [AtomicU32]) -> Self {
        let slots = &words[LEDGER_AT..LEDGER_AT + LEDGER_SLOTS * LEDGER_SLOT_WORDS];
        Self { count: &words[LEDGER_COUNT_AT], lost: &words[LEDGER_LOST_AT], slots }
    }

    /// Adds to the adjustment of a process for one semaphore; beyond 16 bits it stays at the limit.
    ///
    /// # Errors
    /// The ledger is full: the adjustment is not noted.
    pub fn add(&self, pid: u32, set: Vrid, number: u16, change: i32) -> Result<(), LedgerFull> {
        let mut slot = home(pid, set, number);
        for _ in 0..LEDGER_SLOTS {
            let words = self.slot(slot);
            let owner = words[PID].load(Ordering::Acquire);
            let filled = words[NUMBER].load(Ordering::Acquire) == u32::from(number) + 1;
            if owner == pid && filled && words[SET].load(Ordering::Acquire) == set.0 as u32 {
                raise(&words[VALUE], change);
                return Ok(());
            }
            if owner == 0 && self.claim(words, pid)? {
                words[SET].store(set.0 as u32, Ordering::Release);
                words[NUMBER].store(u32::from(number) + 1, Ordering::Release);
                raise(&words[VALUE], change);
                return Ok(());
            }
            slot = (slot + 1) % LEDGER_SLOTS;
        }
        Err(LedgerFull)
    }

    /// Says that an adjustment could not be noted: the ledger does not hold all of them any more.
    pub fn lose(&self) {
        self.lost.store(1, Ordering::Release);
    }

    /// Whether an adjustment was lost. What restores from such a ledger would restore wrongly.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire) != 0
    }

    /// Drops what is noted of a process: it is new, or it has ended.
    pub fn clear_process(&self, pid: u32) {
        self.empty_where(|words| words[PID].load(Ordering::Relaxed) == pid);
    }

    /// Drops what is noted of processes that are not `alive`.
    pub fn sweep(&self, alive: impl Fn(u32) -> bool) {
        self.empty_where(|words| !alive(words[PID].load(Ordering::Relaxed)));
    }

    /// Drops what is noted of a set: it was removed.
    pub fn clear_set(&self, set: Vrid) {
        self.empty_where(|words| words[SET].load(Ordering::Relaxed) == set.0 as u32);
    }

    /// Sets every adjustment of a set to zero, as semctl(2) does for SETALL, or of one of its semaphores, as for SETVAL.
    pub fn zero(&self, set: Vrid, number: Option<u16>) {
        for words in self.taken() {
            let that = number.is_none_or(|n| words[NUMBER].load(Ordering::Relaxed) == u32::from(n) + 1);
            if that && words[SET].load(Ordering::Relaxed) == set.0 as u32 {
                words[VALUE].store(0, Ordering::Release);
            }
        }
    }

    /// Every adjustment that is not zero. One semaphore of one process may come more than once: add them up.
    pub fn iter(&self) -> impl Iterator<Item = Adjustment> + use<'m> {
        self.taken().filter_map(|words| {
            let number = words[NUMBER].load(Ordering::Acquire);
            let value = words[VALUE].load(Ordering::Acquire) as i16;
            (number != 0 && value != 0).then(|| Adjustment {
                pid: words[PID].load(Ordering::Acquire),
                set: Vrid(words[SET].load(Ordering::Acquire) as i32),
                number: (number - 1) as u16,
                value,
            })
        })
    }

    fn claim(&self, words: &[AtomicU32], pid: u32) -> Result<bool, LedgerFull> {
        if self.count.fetch_add(1, Ordering::AcqRel) >= LEDGER_CAPACITY {
            self.count.fetch_sub(1, Ordering::AcqRel);
            return Err(LedgerFull);
        }
        let mine = words[PID].compare_exchange(0, pid, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if !mine {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
        Ok(mine)
    }

    fn empty_where(&self, which: impl Fn(&[AtomicU32]) -> bool) {
        for words in self.taken().filter(|words| which(words)) {
            for word in [VALUE, NUMBER, SET] {
                words[word].store(0, Ordering::Release);
            }
            if words[PID].swap(0, Ordering::AcqRel) != 0 {
                self.count.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// Slots in use. An empty ledger is not walked through: its pages are never touched.
    fn taken(&self) -> impl Iterator<Item = &'m [AtomicU32]> + use<'m> {
        let slots = if self.count.load(Ordering::Acquire) == 0 { &self.slots[..0] } else { self.slots };
        slots.chunks_exact(LEDGER_SLOT_WORDS).filter(|words| words[PID].load(Ordering::Acquire) != 0)
    }

    fn slot(&self, slot: usize) -> &'m [AtomicU32] {
        &self.slots[slot * LEDGER_SLOT_WORDS..(slot + 1) * LEDGER_SLOT_WORDS]
    }
}

fn home(pid: u32, set: Vrid, number: u16) -> usize {
    let mixed = (pid ^ (set.0 as u32).rotate_left(9) ^ u32::from(number) << 17).wrapping_mul(0x9e37_79b1);
    (mixed >> 15) as usize % LEDGER_SLOTS
}

fn raise(word: &AtomicU32, change: i32) {
    let raised = |old: u32| {
        let sum = i32::from(old as i16).saturating_add(change);
        Some(sum.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16 as u16 as u32)
    };
    let _ = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, raised);
}
