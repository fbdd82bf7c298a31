//! Ending an application: politely first, then for certain.

use crate::capsule::recorded;
use crate::link::{Link, LinkError, Wait};
use crate::meta::Meta;
use crate::{Aid, faults};
use abi::request::Home;
use abi::wire::{Ending, Recipient, Reply, Request};
use abi::{Control, Fault, Phase, Unit};
use std::time::{Duration, Instant};
use sys::signals::{SIGCONT, SIGKILL, SIGTERM};

/// How long the kernel may take to remove processes that got SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(30);

/// How an application came to its end.
#[derive(Debug)]
pub struct Stopped {
    /// Of the root process, where it is known.
    pub ending: Option<Ending>,
    /// Whether SIGKILL was needed.
    pub killed: bool,
}

/// Sends SIGTERM to the root process, once that has ended to whatever is left, and after `patience` SIGKILL to all.
/// Returns when no process is left.
///
/// # Errors
/// [`abi::Code::NoTarget`] when there is no such application or it does not run.
pub fn stop(home: &Home, aid: &Aid, patience: Duration, control: &Control) -> Result<Stopped, Fault> {
    let meta = Meta::read(home, aid).map_err(|_| faults::no_such(aid))?;
    control.phase(Phase::Ending, 0, Unit::None);
    let about = faults::about(&format!("stop \"{}\"", meta.name));
    let mut killed =
        Link::connect(home, aid).and_then(|link| end(link, patience, control)).map_err(&about)?;
    // A helper that has ended may have a successor: the application was rolled back meanwhile.
    while let Ok(link) = Link::connect(home, aid) {
        killed |= end(link, patience, control).map_err(&about)?;
    }
    Ok(Stopped { ending: recorded(home, &meta)?, killed })
}

fn end(mut link: Link, patience: Duration, control: &Control) -> Result<bool, LinkError> {
    let asked = ask_to_end(&mut link, Instant::now() + patience, control);
    match asked {
        Err(LinkError::Ended) => return Ok(false),
        Err(LinkError::Silent) => {}
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    let limit = Instant::now() + KILL_PATIENCE;
    let killed = send(&mut link, SIGKILL, Recipient::All)
        .and_then(|()| wait_for_end(&mut link, Wait::Until(control, Some(limit))));
    match killed {
        Err(LinkError::Ended) => Ok(true),
        Err(error) => Err(error),
        Ok(()) => Err(LinkError::Confused),
    }
}

/// Ends in [`LinkError::Ended`] when the application did, in [`LinkError::Silent`] when it did not in time.
fn ask_to_end(link: &mut Link, limit: Instant, control: &Control) -> Result<(), LinkError> {
    let wait = Wait::Until(control, Some(limit));
    send(link, SIGTERM, Recipient::Root)?;
    // A stopped process acts on the signal only when it goes on.
    send(link, SIGCONT, Recipient::Root)?;
    link.send(&Request::WaitRoot, &[])?;
    let (Reply::RootEnded { .. }, _) = link.receive(wait)? else { return Err(LinkError::Confused) };
    send(link, SIGTERM, Recipient::All)?;
    send(link, SIGCONT, Recipient::All)?;
    wait_for_end(link, wait)
}

fn send(link: &mut Link, signal: i32, to: Recipient) -> Result<(), LinkError> {
    link.send(&Request::Signal { signal, to }, &[])?;
    loop {
        match link.receive(Wait::Shortly)?.0 {
            Reply::Done => return Ok(()),
            // Still on its way from an earlier question.
            Reply::RootEnded { .. } => {}
            _ => return Err(LinkError::Confused),
        }
    }
}

/// The helper's stream ends with the application.
fn wait_for_end(link: &mut Link, wait: Wait<'_>) -> Result<(), LinkError> {
    loop {
        link.receive(wait)?;
    }
}
