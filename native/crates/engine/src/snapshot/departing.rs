//! Capturing an application that is to go on elsewhere, such that it stands still for a short time: what it has in memory is captured
//! while it runs, and at the end only what it has changed since.

use super::together::name_of;
use super::{Report, Terms, take_on};
use crate::explain::Result;
use crate::meeting::Meeting;
use crate::state::base::Base;
use abi::request::Depart;
use abi::{Code, Control, Fault};
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, Serialize)]
pub struct Departed {
    first: Report,
    last: Report,
}

/// Captures it twice. At the gates of [`super::together`] it waits for the caller: at the first one the first snapshot is
/// complete, and the application runs; at the last one the second is, and the application stands still, to end behind the gate.
///
/// # Errors
/// The application runs on unharmed, unless the last gate was open. What is there of the snapshots is the caller's to remove.
pub fn depart(request: Depart, control: &Control) -> Result<Departed> {
    if request.first.stop || !request.last.stop {
        return Err(Fault::new(Code::Internal, "Could not take the snapshots in this order"));
    }
    let terms = Terms { lasting: true, ..Terms::default() };
    let (first, processes) = take_on(request.first, control, terms)?;
    let base = Base { dir: first.dir.clone(), processes };
    let patience = Duration::from_millis(request.patience_ms);
    let meeting = Meeting::of(vec![name_of(&request.last)], patience, control);
    let seat = meeting.seat(0);
    let terms = Terms { company: Some(&seat), base: Some(&base), lasting: false };
    let outcome = take_on(request.last, control, terms).map(|(report, _)| report);
    let last = seat.settle(outcome)?;
    Ok(Departed { first, last })
}
