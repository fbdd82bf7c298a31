//! What an operation and its caller share while it runs: progress counters one way, a cancel word the other, and gates.

use crate::{Code, Fault, Gates};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The part of an operation that is going on, as the terminal names it (`src/ui/progress.ts` holds the words).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Phase {
    /// Bringing every thread of the chain to the barrier.
    Stopping = 1,
    /// Taking state other than memory.
    Collecting = 2,
    /// Writing page data into packs.
    WritingMemory = 3,
    /// Making the image durable: fsync and rename.
    Finishing = 4,
    /// Reading the image and its checksums.
    Checking = 5,
    /// Creating processes and shared resources.
    Building = 6,
    /// Reading page data into the new processes.
    LoadingMemory = 7,
    /// Waiting for processes to end.
    Ending = 8,
    /// Making clones.
    Cloning = 9,
    /// Waiting for other applications of the chain.
    Meeting = 10,
}

/// What the counters count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Unit {
    None = 0,
    Bytes = 1,
    Processes = 2,
    Applications = 3,
}

/// One per operation. The operation's thread writes progress and reads the cancel word; the caller does the reverse.
/// The counters are independent atomics: a reader may see a new `done` beside an old `total`, which is good enough to draw.
#[derive(Debug, Default)]
pub struct Control {
    phase: AtomicU64,
    done: AtomicU64,
    total: AtomicU64,
    unit: AtomicU64,
    cancelled: Arc<AtomicBool>,
    gates: Arc<Gates>,
}

impl Control {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For a part of the operation: cancelled together with it, with counters that nobody reads.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { cancelled: Arc::clone(&self.cancelled), gates: Arc::clone(&self.gates), ..Self::default() }
    }

    /// Begins a phase: nothing done yet, `total` units to do (0 when it is not known).
    pub fn phase(&self, phase: Phase, total: u64, unit: Unit) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.unit.store(unit as u64, Ordering::Relaxed);
        self.phase.store(phase as u64, Ordering::Release);
    }

    /// Counts `amount` more units of the present phase as done.
    pub fn advance(&self, amount: u64) {
        self.done.fetch_add(amount, Ordering::Relaxed);
    }

    /// Phase, done, total and unit, in the order that the caller reads them.
    #[must_use]
    pub fn progress(&self) -> [u64; 4] {
        [
            self.phase.load(Ordering::Acquire),
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
            self.unit.load(Ordering::Relaxed),
        ]
    }

    /// Asks the operation to stop at its next safe point.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.gates.nudge();
    }

    /// The points at which the operation waits for its caller.
    #[must_use]
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Whether the caller asked for the operation to stop.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// The same as an error, for operations that stop by `?` and undo what they hold on the way out.
    pub fn proceed(&self) -> Result<(), Fault> {
        if self.cancelled() {
            Err(Fault::new(Code::Interrupted, "Stopped because of an interrupt"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_phase_starts_from_zero() {
        let control = Control::new();
        control.phase(Phase::WritingMemory, 100, Unit::Bytes);
        control.advance(40);
        assert_eq!(control.progress(), [3, 40, 100, 1]);
        control.phase(Phase::Finishing, 0, Unit::None);
        assert_eq!(control.progress(), [4, 0, 0, 0]);
    }

    #[test]
    fn proceed_refuses_once_cancelled() {
        let control = Control::new();
        assert!(control.proceed().is_ok());
        control.cancel();
        assert_eq!(control.proceed().unwrap_err().code, Code::Interrupted);
    }
}
