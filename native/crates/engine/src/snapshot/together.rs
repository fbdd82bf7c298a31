//! Snapshots of several applications at one moment: all or none.

use super::{Report, Terms, take_on};
use crate::explain::Result;
use crate::meeting::{Gate, Meeting};
use abi::request::{Snapshot, SnapshotTogether};
use abi::{Code, Control, Fault, Phase, Unit};
use serde::Serialize;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// All that can be done while the applications run is done.
pub const PREPARED: Gate = Gate { number: 1, late: "was not ready", hurries: false, bounded: false };
/// They stand still, and nothing that is sent reaches them.
pub const FROZEN: Gate = Gate { number: 2, late: "could not be stopped", hurries: true, bounded: true };
/// What must be read while they stand still has been read. Behind it they run on, unless they are to end.
pub const COLLECTED: Gate = Gate { number: 3, late: "was not captured", hurries: false, bounded: true };
/// The images are complete and on disk. Behind it they stay, and applications that are to end do.
pub const SAVED: Gate = Gate { number: 4, late: "was not saved", hurries: false, bounded: false };

/// What was taken, in the order of the requests.
#[derive(Debug, Serialize)]
pub struct Taken {
    taken: Vec<Report>,
}

/// Takes all of the snapshots, or none.
///
/// # Errors
/// What kept the first from being taken. Every application runs on, and no folder is left, unless the gate [`SAVED`] was open.
pub fn take(request: SnapshotTogether, control: &Control) -> Result<Taken> {
    let names = request.snapshots.iter().map(name_of).collect();
    let folders: Vec<PathBuf> = request.snapshots.iter().map(|one| one.out.clone()).collect();
    control.phase(Phase::Meeting, request.snapshots.len() as u64, Unit::Applications);
    let meeting = Meeting::of(names, Duration::from_millis(request.patience_ms), control);
    let outcomes = thread::scope(|scope| {
        let members: Vec<_> = (0..)
            .zip(request.snapshots)
            .map(|(index, snapshot)| {
                let (seat, part) = (meeting.seat(index), control.part());
                scope.spawn(move || {
                    let terms = Terms { company: Some(&seat), ..Terms::default() };
                    let outcome = take_on(snapshot, &part, terms).map(|(report, _)| report);
                    seat.settle(outcome)
                })
            })
            .collect();
        let ends = members.into_iter().map(|member| member.join());
        ends.map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
    });
    let Some(first) = meeting.first_failure() else {
        return Ok(Taken { taken: outcomes.into_iter().flatten().collect() });
    };
    let kept = meeting.is_past(&SAVED);
    if !kept {
        // Those that were complete already; there is nothing at the others' names.
        folders.iter().for_each(|folder| drop(std::fs::remove_dir_all(folder)));
    }
    let cause = outcomes.into_iter().nth(first).and_then(Result::err);
    Err(failure(&meeting, first, cause, kept))
}

/// As the user calls it.
pub fn name_of(snapshot: &Snapshot) -> String {
    let name = snapshot.label.get("name").and_then(serde_json::Value::as_str);
    name.unwrap_or("an application").to_owned()
}

fn failure(meeting: &Meeting, first: usize, cause: Option<Fault>, kept: bool) -> Fault {
    let names: Vec<_> = meeting.names().iter().map(|name| format!("\"{name}\"")).collect();
    let message = format!("Could not take one snapshot of {}", names.join(", "));
    let Some(cause) = cause else { return Fault::new(Code::Internal, message) };
    let mut fault = Fault::new(cause.code, message).because(format!("{}: {}", names[first], cause.message));
    fault.causes.extend(cause.causes);
    fault.hint = cause.hint;
    fault.aftermath(match cause.code {
        _ if kept => "The snapshots are complete, but not all of the applications could be ended",
        Code::NoTarget => "The others run on unharmed, and no snapshot was kept",
        _ => "All of them run on unharmed, and no snapshot was kept",
    })
}
