//! Points that an operation passes when its caller lets it, so that several operations, on several hosts maybe, go on together.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The gates of one operation. They are numbered from 1, and reached and opened in that order.
#[derive(Debug, Default)]
pub struct Gates {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reached: u32,
    open: u32,
    ended: bool,
}

/// How far an operation is that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    NotYet,
    Gate,
    /// It has ended, before that gate or behind it.
    End,
}

impl Gates {
    /// The operation stands before a gate.
    pub fn reach(&self, gate: u32) {
        let mut state = self.lock();
        state.reached = state.reached.max(gate);
        self.changed.notify_all();
    }

    /// Lets the operation pass all gates up to this one.
    pub fn open(&self, gate: u32) {
        let mut state = self.lock();
        state.open = state.open.max(gate);
        self.changed.notify_all();
    }

    /// The operation has ended: nobody waits for it any more.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Has whoever waits look again at what it waits for.
    pub fn nudge(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    #[must_use]
    pub fn is_open(&self, gate: u32) -> bool {
        self.lock().open >= gate
    }

    /// Waits until the operation stands before a gate, or has ended; `timeout` at most.
    #[must_use]
    pub fn await_reached(&self, gate: u32, timeout: Duration) -> Reached {
        let waits = |state: &mut State| state.reached < gate && !state.ended;
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, waits);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match (state.ended, state.reached >= gate) {
            (true, _) => Reached::End,
            (false, true) => Reached::Gate,
            (false, false) => Reached::NotYet,
        }
    }

    /// Waits until `look`, which is told the last open gate, finds something, or the moment comes that `deadline` tells. Both are
    /// asked again after each change and [`nudge`](Self::nudge).
    pub fn wait<T>(
        &self,
        deadline: impl Fn() -> Option<Instant>,
        look: impl Fn(u32) -> Option<T>,
    ) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(found) = look(state.open) {
                return Some(found);
            }
            let Some(deadline) = deadline() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A panic while the lock is held leaves nothing half-written here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_was_reached_is_seen_and_opened() {
        let gates = Gates::default();
        assert_eq!(gates.await_reached(1, Duration::ZERO), Reached::NotYet);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                gates.reach(2);
                gates.wait(|| None, |open| (open >= 2).then_some(()))
            });
            assert_eq!(gates.await_reached(1, Duration::from_secs(30)), Reached::Gate);
            gates.open(2);
        });
        assert!(gates.is_open(1));
        gates.end();
        assert_eq!(gates.await_reached(3, Duration::ZERO), Reached::End);
    }

    #[test]
    fn waiting_ends_with_what_is_found_or_at_the_deadline() {
        let gates = Gates::default();
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(gates.wait(|| Some(soon), |open| (open > 0).then_some(())), None);
        gates.open(1);
        assert_eq!(gates.wait(|| Some(soon), Some), Some(1));
    }
}
