//! Where operations on several applications wait for each other, so that all of them are done or none.
//!
//! Each member runs on a thread of its own, and passes the same gates in the same order. Nobody passes one before all stand there
//! and the caller has opened it (`abi::Gates`): it may have more of them elsewhere. When one fails, those that wait fail with it.

use crate::explain::Result;
use abi::{Code, Control, Fault, Gates};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A gate's number, as the caller knows it (`ffi/messages.ts`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    pub number: u32,
    /// What a member has not done that does not stand there in time.
    pub late: &'static str,
    /// Does the time that is left begin with the gate before, or when all have come?
    pub hurries: bool,
    /// Is there such a time?
    pub bounded: bool,
}

/// All members of one operation.
pub struct Meeting<'a> {
    control: &'a Control,
    names: Vec<String>,
    patience: Duration,
    /// How many gates each member has come to.
    places: Vec<AtomicUsize>,
    /// When the last gate was opened, and when all had come to the present one.
    times: Mutex<Times>,
    /// Who failed first.
    failed: OnceLock<usize>,
}

#[derive(Clone, Copy)]
struct Times {
    opened: Instant,
    whole: Option<Instant>,
}

/// A member's place. Dropping it before [`settle`](Self::settle) makes the others fail.
pub struct Seat<'a> {
    meeting: &'a Meeting<'a>,
    index: usize,
    settled: bool,
}

/// What a member that waits finds.
enum Found {
    Open,
    Cancelled,
    Alone,
}

impl<'a> Meeting<'a> {
    pub fn of(names: Vec<String>, patience: Duration, control: &'a Control) -> Self {
        Self {
            control,
            places: names.iter().map(|_| AtomicUsize::new(0)).collect(),
            names,
            patience,
            times: Mutex::new(Times { opened: Instant::now(), whole: None }),
            failed: OnceLock::new(),
        }
    }

    pub fn seat(&'a self, index: usize) -> Seat<'a> {
        Seat { meeting: self, index, settled: false }
    }

    /// Who failed first, for a reason of its own.
    pub fn first_failure(&self) -> Option<usize> {
        self.failed.get().copied()
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Has the caller let all pass?
    pub fn is_past(&self, gate: &Gate) -> bool {
        self.gates().is_open(gate.number)
    }

    fn gates(&self) -> &Gates {
        self.control.gates()
    }

    fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_times(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Those that do not stand before the gate that `place` is the number of, counted from 1.
    fn missing(&self, place: usize) -> Vec<&str> {
        let names = self.names.iter().zip(&self.places);
        let late = names.filter(|(_, at)| at.load(Ordering::Acquire) < place);
        late.map(|(name, _)| name.as_str()).collect()
    }

    fn deadline(&self, gate: &Gate) -> Option<Instant> {
        let Times { opened, whole } = self.times();
        let from = if gate.hurries { Some(opened) } else { whole };
        from.filter(|_| gate.bounded).map(|from| from + self.patience)
    }

    fn time_is_up(&self, gate: &Gate, place: usize) -> Fault {
        let seconds = self.patience.as_secs_f64();
        let late = self.missing(place);
        let fault = Fault::new(Code::Other, format!("It took longer than {seconds} s"));
        if late.is_empty() {
            return fault.because("no word came from whoever leads it");
        }
        let names: Vec<_> = late.iter().map(|name| format!("\"{name}\"")).collect();
        fault.because(format!("{} {}", names.join(", "), gate.late)).hint("Try again with more --patience")
    }
}

impl Seat<'_> {
    /// How long the caller has the members wait for each other.
    pub fn patience(&self) -> Duration {
        self.meeting.patience
    }

    /// Waits until every member stands here, and the caller lets all go on.
    ///
    /// # Errors
    /// When one of the others failed, the time is up or the operation was cancelled: nobody goes on then.
    pub fn pass(&self, gate: &Gate) -> Result<()> {
        let meeting = self.meeting;
        let place = meeting.places[self.index].fetch_add(1, Ordering::AcqRel) + 1;
        if meeting.missing(place).is_empty() {
            meeting.change_times(|times| times.whole = Some(Instant::now()));
            meeting.gates().reach(gate.number);
        }
        let look = |open| {
            if meeting.control.cancelled() {
                return Some(Found::Cancelled);
            }
            if meeting.failed.get().is_some() {
                return Some(Found::Alone);
            }
            (open >= gate.number).then_some(Found::Open)
        };
        match meeting.gates().wait(|| meeting.deadline(gate), look) {
            Some(Found::Open) => {
                meeting.change_times(|times| *times = Times { opened: Instant::now(), whole: None });
                Ok(())
            }
            Some(Found::Cancelled) => {
                Err(Fault::new(Code::Interrupted, "Could not finish").because("it was interrupted"))
            }
            Some(Found::Alone) => Err(Fault::new(Code::Other, "Another application of the chain failed")),
            None => Err(meeting.time_is_up(gate, place)),
        }
    }

    /// The member has come to its end, well or not.
    pub fn settle<T>(mut self, outcome: Result<T>) -> Result<T> {
        self.settled = outcome.is_ok();
        outcome
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if !self.settled {
            let _ = self.meeting.failed.set(self.index);
            self.meeting.gates().nudge();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const FIRST: Gate = Gate { number: 1, late: "did not come", hurries: true, bounded: true };

    fn meeting(control: &Control, patience: Duration) -> Meeting<'_> {
        Meeting::of(vec!["a".into(), "b".into()], patience, control)
    }

    #[test]
    fn all_pass_once_all_stand_there_and_the_caller_agrees() {
        let control = Control::new();
        let meeting = meeting(&control, Duration::from_secs(30));
        let passed = AtomicUsize::new(0);
        thread::scope(|scope| {
            for index in 0..2 {
                let (meeting, passed) = (&meeting, &passed);
                scope.spawn(move || {
                    let seat = meeting.seat(index);
                    let outcome = seat.pass(&FIRST);
                    passed.fetch_add(1, Ordering::AcqRel);
                    seat.settle(outcome).expect("passed");
                });
            }
            assert_eq!(control.gates().await_reached(1, Duration::from_secs(30)), abi::Reached::Gate);
            assert_eq!(passed.load(Ordering::Acquire), 0);
            control.gates().open(1);
        });
        assert_eq!(meeting.first_failure(), None);
    }

    #[test]
    fn one_that_fails_takes_those_along_that_wait() {
        let control = Control::new();
        let meeting = meeting(&control, Duration::from_secs(30));
        thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let seat = meeting.seat(0);
                let outcome = seat.pass(&FIRST);
                seat.settle(outcome)
            });
            drop(meeting.seat(1));
            assert!(waits.join().expect("no panic").is_err());
        });
        assert_eq!(meeting.first_failure(), Some(1));
    }

    #[test]
    fn one_that_does_not_come_in_time_is_named() {
        let control = Control::new();
        let meeting = meeting(&control, Duration::from_millis(5));
        let fault = meeting.seat(0).pass(&FIRST).expect_err("nobody else comes");
        assert_eq!(fault.causes, ["\"b\" did not come"]);
    }
}
