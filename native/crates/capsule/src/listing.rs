//! Every application that is known, and forgetting one.

use crate::layers::remove_state;
use crate::link::{Link, LinkError};
use crate::meta::{self, Meta, Volume};
use crate::{Aid, faults, helper, home, hosted, membership, succession};
use abi::network::Network;
use abi::request::{Home, Origin};
use abi::wire::{Ending, LOG_FILE};
use abi::{Code, Fault};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// How an application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    Exited,
    /// Its capsule is gone without a word.
    Lost,
}

/// One application as a listing shows it.
#[derive(Clone, Debug)]
pub struct Application {
    pub aid: Aid,
    pub name: String,
    pub state: State,
    /// The root process on the host, while it runs.
    pub pid: Option<i32>,
    /// Processes and their resident memory, while there are any.
    pub processes: Option<usize>,
    pub rss_bytes: Option<u64>,
    /// ISO 8601, UTC.
    pub started: String,
    pub command: Vec<String>,
    /// The template that it comes from, for a clone.
    pub origin: Option<Origin>,
    pub network: Network,
    /// Folders that belong to its state.
    pub volumes: Vec<Volume>,
    /// Of the root process, once it has ended.
    pub ending: Option<Ending>,
}

/// Every application of this home, oldest first.
#[must_use]
pub fn list(home: &Home) -> Vec<Application> {
    succession::tidy(home);
    meta::all(home).into_iter().filter_map(|meta| examine(home, meta)).collect()
}

/// The names of applications that run.
#[must_use]
pub fn running_names(home: &Home) -> Vec<String> {
    meta::all(home).into_iter().filter(|meta| runs(home, meta)).map(|meta| meta.name).collect()
}

/// An application that has addresses in an environment.
#[derive(Clone, Debug)]
pub struct EnvironmentMember {
    pub meta: Meta,
    pub running: bool,
    pub addresses: Vec<IpAddr>,
}

/// Every application, running or ended, whose record names addresses in the environment of this id, oldest first.
#[must_use]
pub fn members(home: &Home, environment: &str) -> Vec<EnvironmentMember> {
    // Those that nobody has seen run yet are left out.
    let settled = meta::all(home).into_iter().filter(|meta| meta.init.is_some());
    let members = settled.filter_map(|meta| {
        let links = meta.network.iter().flat_map(|own| &own.links);
        let own = links.filter(|link| link.environment.id == environment);
        let addresses: Vec<IpAddr> = own.flat_map(|link| link.addresses.clone()).collect();
        (!addresses.is_empty()).then(|| EnvironmentMember { running: runs(home, &meta), meta, addresses })
    });
    members.collect()
}

/// Whether the helper is there. It is not woken up: there may be hundreds.
fn runs(home: &Home, meta: &Meta) -> bool {
    // It goes when no process is left, before the helper has ended.
    if !home.run.join(home::socket_name(&meta.aid)).exists() {
        return false;
    }
    let known = meta.init.is_some_and(|init| hosted::lives(init.pid, init.start_ticks));
    // One that took another's place is not written down where the command was killed just then.
    known || Link::connect(home, &meta.aid).is_ok()
}

/// `None` for a restore that came to nothing and whose maker could not clean up: that is done here.
fn examine(home: &Home, meta: Meta) -> Option<Application> {
    let never_settled = meta.init.is_none();
    let mut application = Application {
        aid: meta.aid,
        name: meta.name,
        state: State::Lost,
        pid: None,
        processes: None,
        rss_bytes: None,
        started: meta.started,
        command: meta.command,
        origin: meta.origin,
        network: meta.network.into(),
        volumes: meta.volumes,
        ending: None,
    };
    let report = match Link::connect(home, &application.aid) {
        Ok(mut link) => helper::report(&mut link),
        Err(error) => Err(error),
    };
    let is_gone = matches!(report, Err(LinkError::Ended));
    if let Ok(report) = report {
        let processes = hosted::processes_of(report.init);
        application.state = State::Running;
        application.pid = report.root.map(|(pid, _)| pid);
        application.rss_bytes = Some(processes.iter().map(|pid| hosted::resident_bytes(*pid)).sum());
        application.processes = Some(processes.len());
        application.ending = report.status.ending;
        return Some(application);
    }
    let status = meta::status(home, &application.aid);
    let folder = home::state(home, &application.aid);
    // Its maker was killed: before there was a helper, which would have noted that, or with it.
    let stillborn = is_gone && never_settled && !status.finished && has_said_nothing(&folder);
    if status.given_up || stillborn {
        remove_state(&folder);
        let _ = fs::remove_file(home.run.join(home::socket_name(&application.aid)));
        return None;
    }
    application.ending = status.root;
    application.state = if status.finished { State::Exited } else { State::Lost };
    Some(application)
}

fn has_said_nothing(folder: &Path) -> bool {
    fs::metadata(folder.join(LOG_FILE)).map_or(true, |log| log.len() == 0)
}

/// Forgets an application that does not run.
///
/// # Errors
/// [`Code::NoTarget`] when there is none of that id, [`Code::Other`] while it runs.
pub fn remove(home: &Home, aid: &Aid) -> Result<(), Fault> {
    let folder = home::state(home, aid);
    if !folder.is_dir() {
        return Err(faults::no_such(aid));
    }
    let meta = Meta::read(home, aid);
    let name = meta.as_ref().map_or_else(|_| aid.to_string(), |meta| meta.name.clone());
    if Link::connect(home, aid).is_ok() {
        return Err(Fault::new(Code::Other, format!("Could not remove \"{name}\""))
            .because("it is running")
            .hint(format!("Run \"stasis stop {name}\" first")));
    }
    remove_state(&folder);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(faults::files(&format!("remove \"{name}\"")))?;
    }
    if let Ok(meta) = meta {
        membership::release(home, &meta);
    }
    // Left behind only by a helper that was killed.
    let _ = fs::remove_file(home.run.join(home::socket_name(aid)));
    Ok(())
}
