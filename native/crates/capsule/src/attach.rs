//! Sitting down in front of a running application.

use crate::capsule::recorded;
use crate::launched::{self, Launched};
use crate::link::{Link, LinkError, Wait};
use crate::meta::Meta;
use crate::owner::owner_of;
use crate::relay::{relay, relay_beside, show_rest};
use crate::start::own_terminal;
use crate::{Aid, faults};
use abi::request::Home;
use abi::wire::{Ending, Reply, Request, Step};
use abi::{Code, Control, Fault};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use sys::Errno;
use sys::lifecycle::Exit;
use sys::poll::{Interest, poll};

/// Relays the caller's standard streams to the application's terminal, if it has one, until its root process has
/// ended. Says how it ended, if that is known. Should this process be killed meanwhile, the helper puts the settings
/// of the user's terminal back.
///
/// # Errors
/// [`Code::NoTarget`] when there is no such application, [`Code::Interrupted`] when the caller gave up: the
/// application runs on then.
pub fn attach(home: &Home, aid: &Aid, control: &Control) -> Result<Option<Ending>, Fault> {
    let meta = Meta::read(home, aid).map_err(|_| faults::no_such(aid))?;
    let (link, left) = match launched::recall(aid) {
        Some(Launched { link, master }) => (Ok(link), master),
        None => (Link::connect(home, aid), None),
    };
    let mut ended = link.and_then(|mut link| sit(&mut link, control));
    // A helper that has ended may have a successor: the application was rolled back, and this goes along.
    while matches!(ended, Err(LinkError::Ended)) {
        let Ok(mut link) = Link::connect(home, aid) else { break };
        ended = sit(&mut link, control);
    }
    match ended {
        Ok(ending) => Ok(ending),
        Err(LinkError::Ended) => {
            let shown = left.map_or(Ok(()), show_rest).map_err(LinkError::Io);
            shown.map_err(faults::about(&format!("show what \"{}\" wrote", meta.name)))?;
            recorded(home, &meta)
        }
        Err(error) => Err(faults::about(&format!("attach to \"{}\"", meta.name))(error)),
    }
}

fn sit(link: &mut Link, control: &Control) -> Result<Option<Ending>, LinkError> {
    let own = own_terminal();
    // Before the terminal's settings change: the helper remembers what they were.
    let given: Vec<_> = own.into_iter().collect();
    let master = match link.ask(&Request::Attach { guarded: own.is_some() }, &given) {
        Ok((Reply::Descriptor, descriptors)) => descriptors.into_iter().next(),
        Err(LinkError::Failed(failure)) if failure.step == Step::NoSuchDescriptor => None,
        Err(error) => return Err(error),
        Ok(_) => return Err(LinkError::Confused),
    };
    link.send(&Request::WaitRoot, &[])?;
    match master {
        Some(master) => relay_and_leave(link, master, control),
        None => match link.receive(Wait::Until(control, None))? {
            (Reply::RootEnded { ending }, _) => Ok(ending),
            _ => Err(LinkError::Confused),
        },
    }
}

/// Relays, and tells the helper that the user's terminal is as it was.
pub fn relay_and_leave(
    link: &mut Link,
    master: OwnedFd,
    control: &Control,
) -> Result<Option<Ending>, LinkError> {
    let ended = relay(link, master, control);
    if !matches!(ended, Err(LinkError::Ended)) {
        // The helper may end just now, and then needs no telling.
        let _ = link.tell(&Request::Detach, &[]);
    }
    ended
}

/// The same for a process that is known by its pid on the host. One that no capsule holds has no terminal of ours
/// and tells how it ended only if it is a child of this process.
///
/// # Errors
/// As [`attach`].
pub fn attach_pid(home: &Home, pid: i32, control: &Control) -> Result<Option<Ending>, Fault> {
    if let Some(aid) = owner_of(home, pid) {
        return attach(home, &aid, control);
    }
    let handle = sys::lifecycle::process_handle(pid).map_err(|errno| {
        let code = if errno == Errno::ESRCH { Code::NoTarget } else { Code::Other };
        Fault::new(code, format!("Could not wait for process {pid}")).because(errno)
    })?;
    if let Some(master) = launched::emulated(pid) {
        let relayed = relay_beside(handle.as_fd(), master, control);
        return relayed.map(|()| None).map_err(faults::about(&format!("attach to process {pid}")));
    }
    loop {
        control.proceed()?;
        let ended = poll(&[(handle.as_fd(), Interest::Readable)], Some(Duration::from_millis(50)));
        if ended.is_ok_and(|ended| ended[0]) {
            // Known for a child of this process, as a tree is that it has just restored.
            return Ok(match sys::lifecycle::reap_child(pid) {
                Ok(Exit::Code(code)) => Some(Ending::Code(code)),
                Ok(Exit::Signal(signal)) => Some(Ending::Signal(signal)),
                Err(_) => None,
            });
        }
    }
}
