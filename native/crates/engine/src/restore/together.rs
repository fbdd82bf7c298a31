//! Bringing several applications back at one moment: all or none.

use super::{Report, Source, check, instantiate_with};
use crate::explain::{Explain, Result};
use crate::meeting::{Gate, Meeting, Seat};
use abi::request::{Restore, RestoreTogether};
use abi::{Code, Control, Fault, Phase, Unit};
use capsule::Init;
use serde::Serialize;
use std::thread;
use std::time::Duration;

/// All of them are complete. Nothing of them can be seen from outside yet.
pub const BUILT: Gate = Gate { number: 1, late: "was not complete", hurries: false, bounded: false };
/// Packets reach each of them. Behind it they send the first ones themselves, and live.
pub const LINKED: Gate = Gate { number: 2, late: "was not linked", hurries: false, bounded: false };

/// What became of each, in the order of the requests.
#[derive(Debug, Serialize)]
pub struct Back {
    outcomes: Vec<Outcome>,
}

/// What became of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Made(Report),
    /// It came to nothing, by itself or since another one did.
    Failed {
        fault: Fault,
        first: bool,
    },
}

/// Brings all back. Before the gate [`LINKED`] is open, one that fails takes all others along, and nothing is left; the rare one that
/// fails behind it is an outcome beside others that live: those are the caller's to keep or remove.
///
/// # Errors
/// When none could be begun.
pub fn bring_back(request: RestoreTogether, init: &[u8], control: &Control) -> Result<Back> {
    let names = request.restores.iter().map(|one| one.name.clone().unwrap_or_default()).collect();
    let program = Init::in_memory(init).explain(|| "Could not prepare the capsules' helper".to_owned())?;
    let init = Init::prepared(init, &program);
    control.phase(Phase::Building, request.restores.len() as u64, Unit::Applications);
    // Nobody stands still meanwhile.
    let meeting = Meeting::of(names, Duration::MAX, control);
    let ends = thread::scope(|scope| {
        let members: Vec<_> = (0..)
            .zip(request.restores)
            .map(|(index, restore)| {
                let (seat, part) = (meeting.seat(index), control.part());
                scope.spawn(move || {
                    let outcome = build(restore, init, &part, &seat);
                    control.advance(1);
                    seat.settle(outcome)
                })
            })
            .collect();
        let ends = members.into_iter().map(|member| member.join());
        ends.map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
    });
    let first = meeting.first_failure();
    let outcome = |(index, end): (usize, Result<Report>)| match end {
        Ok(report) => Outcome::Made(report),
        Err(fault) => Outcome::Failed { fault, first: first == Some(index) },
    };
    Ok(Back { outcomes: ends.into_iter().enumerate().map(outcome).collect() })
}

fn build(restore: Restore, init: Init<'_>, control: &Control, seat: &Seat) -> Result<Report> {
    if restore.replace.is_some() || !restore.detach {
        return Err(Fault::new(Code::Internal, "Could not restore it together with others"));
    }
    let source: Source = check(&restore, control)?;
    instantiate_with(restore, source, init, control, Some(seat))
}
