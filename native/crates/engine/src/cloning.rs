//! Many applications of one snapshot: it is read once, and several are made at a time.

use crate::explain::{Explain, Result};
use crate::restore::{self, Report, Source};
use abi::request::{Clone, Restore};
use abi::{Code, Control, Fault, Phase, Unit};
use capsule::Init;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// What became of each request, in their order; shorter when it ended early.
#[derive(Debug, Serialize)]
pub struct Clones {
    pub outcomes: Vec<Outcome>,
}

/// What became of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Made(Report),
    Failed(Fault),
    /// It was not begun, because another had failed.
    Left,
}

/// Makes all that are asked for. A failure is an outcome, not an error: what was made before is the caller's to keep or
/// remove.
///
/// # Errors
/// When none could be begun.
pub fn make(request: Clone, init: &[u8], control: &Control) -> Result<Clones> {
    let Some(first) = request.restores.first() else { return Ok(Clones { outcomes: Vec::new() }) };
    if request.restores.iter().any(|other| other.dir != first.dir) {
        return Err(Fault::new(Code::Internal, "Could not make clones: they are not of one snapshot"));
    }
    let source = restore::check(first, control)?;
    let program = Init::in_memory(init).explain(|| "Could not prepare the capsules' helper".to_owned())?;
    let count = request.restores.len();
    control.phase(Phase::Cloning, count as u64, Unit::Applications);
    let work = Work {
        source,
        init: Init::prepared(init, &program),
        control,
        keep_going: request.keep_going,
        queue: Mutex::new(request.restores.into_iter().enumerate().collect()),
        outcomes: Mutex::new((0..count).map(|_| Outcome::Left).collect()),
    };
    thread::scope(|scope| {
        for _ in 0..workers(count) {
            scope.spawn(|| work.serve());
        }
    });
    Ok(Clones { outcomes: work.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner) })
}

/// Making a clone is half waiting, so two for each processor.
fn workers(count: usize) -> usize {
    thread::available_parallelism().map_or(2, usize::from).saturating_mul(2).min(count)
}

struct Work<'a> {
    source: Source,
    init: Init<'a>,
    control: &'a Control,
    keep_going: bool,
    queue: Mutex<VecDeque<(usize, Restore)>>,
    outcomes: Mutex<Vec<Outcome>>,
}

impl Work<'_> {
    fn serve(&self) {
        while !self.control.cancelled() {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((index, request)) = next else { return };
            let outcome = self.make(request);
            if matches!(outcome, Outcome::Failed(_)) && !self.keep_going {
                self.queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)[index] = outcome;
            self.control.advance(1);
        }
    }

    /// On a thread of its own: what a restore changes of its thread must not reach the next one.
    fn make(&self, request: Restore) -> Outcome {
        let made = thread::scope(|scope| {
            let source = self.source.clone();
            let part = self.control.part();
            scope.spawn(move || restore::instantiate(request, source, self.init, &part)).join()
        });
        match made {
            Ok(Ok(report)) => Outcome::Made(report),
            Ok(Err(fault)) => Outcome::Failed(fault),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
