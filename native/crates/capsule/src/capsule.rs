//! A running application, by its connection.

use crate::helper::{self, Report};
use crate::interposition::Interposition;
use crate::link::{Link, LinkError, Wait};
use crate::meta::{self, Meta, Volume};
use crate::registration::Particulars;
use crate::{Aid, faults, hosted};
use abi::edits::Lasting;
use abi::network::OwnNetwork;
use abi::request::Home;
use abi::wire::{Ending, IpcList, Own, Recipient, Reply, Request};
use abi::{Code, Control, Fault};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a helper that was told to go may take.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a capsule whose application runs.
pub struct Capsule {
    meta: Meta,
    link: Link,
}

/// A capsule's processes as the host sees them.
#[derive(Debug)]
pub struct Hosted {
    /// The helper, PID 1 of the application's PID namespace.
    pub init: i32,
    pub init_handle: OwnedFd,
    /// The root process, while it runs.
    pub root: Option<i32>,
    /// Its pid in the application's own namespace, also once it has ended.
    pub root_inside: Option<i32>,
    /// How it ended, once it has.
    pub root_ending: Option<Ending>,
    /// Whether the helper keeps the master of a terminal (take it as "terminal").
    pub terminal: bool,
    /// The host name in the application's UTS namespace, as it is now.
    pub hostname: String,
    /// What it has for itself in `/dev`.
    pub own: Own,
    /// Whether another capsule can take its place.
    pub yields: bool,
}

/// Finds a running application.
///
/// # Errors
/// [`Code::NoTarget`] when there is none of that id, or it does not run.
pub fn find(home: &Home, aid: &Aid) -> Result<Capsule, Fault> {
    let meta = Meta::read(home, aid).map_err(|_| faults::no_such(aid))?;
    match Link::connect(home, aid) {
        Ok(link) => Ok(Capsule { meta, link }),
        Err(error) => Err(faults::about(&format!("reach \"{}\"", meta.name))(error)),
    }
}

impl Capsule {
    #[must_use]
    pub fn aid(&self) -> &Aid {
        &self.meta.aid
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.meta.name
    }

    /// What its last restore changed for good.
    #[must_use]
    pub fn lasting(&self) -> &Lasting {
        &self.meta.lasting
    }

    /// The command that it was started with.
    #[must_use]
    pub fn command(&self) -> &[String] {
        &self.meta.command
    }

    /// Folders that belong to its state.
    #[must_use]
    pub fn volumes(&self) -> &[Volume] {
        &self.meta.volumes
    }

    /// Who sees its calls that bear System V ids; none where an IPC namespace keeps them.
    #[must_use]
    pub fn interposition(&self) -> Option<Interposition> {
        self.meta.translation.as_ref().map(Interposition::from)
    }

    /// What its own network namespace has; none where it is in that of the command which started it.
    #[must_use]
    pub fn network(&self) -> Option<&OwnNetwork> {
        self.meta.network.as_ref()
    }

    /// Keeps the application from making and removing ids for as long as this capsule is connected, or until
    /// [`release_ids`](Self::release_ids).
    ///
    /// # Errors
    /// [`Code::Other`] while another command does so.
    pub fn hold_ids(&mut self) -> Result<(), Fault> {
        self.link.tell(&Request::HoldIds, &[]).map_err(self.about("take a snapshot of"))
    }

    pub fn release_ids(&mut self) -> Result<(), Fault> {
        self.link.tell(&Request::ReleaseIds, &[]).map_err(self.about("let go of"))
    }

    /// Its processes on the host.
    pub fn hosted(&mut self) -> Result<Hosted, Fault> {
        let report = helper::report(&mut self.link).map_err(self.about("examine"))?;
        Ok(report.into())
    }

    /// Every process of it on the host, as a walk through the tree finds them; the helper is not among them.
    pub fn processes(&mut self) -> Result<Vec<i32>, Fault> {
        Ok(hosted::processes_of(self.hosted()?.init))
    }

    pub fn signal(&mut self, signal: i32, to: Recipient) -> Result<(), Fault> {
        self.link.tell(&Request::Signal { signal, to }, &[]).map_err(self.about("signal"))
    }

    /// A duplicate of a descriptor that the helper keeps; `None` when it keeps none under that name.
    pub fn take(&mut self, name: &str) -> Result<Option<OwnedFd>, Fault> {
        take(&mut self.link, name).map_err(self.about("take a descriptor from"))
    }

    /// Opens a list of the objects in its IPC namespace; `None` on a kernel that has none of the kind.
    pub fn open_ipc(&mut self, list: IpcList) -> Result<Option<OwnedFd>, Fault> {
        let answer = descriptor(self.link.ask(&Request::OpenIpc(list), &[]));
        answer.map_err(self.about("list the IPC objects of"))
    }

    /// Lets the helper keep a descriptor.
    pub fn keep(&mut self, name: &str, descriptor: impl AsFd) -> Result<(), Fault> {
        let request = Request::Keep { name: name.to_owned() };
        self.link.tell(&request, &[descriptor.as_fd()]).map_err(self.about("give a descriptor to"))
    }

    /// Who takes its place: the same application, with what is particular to the state that is restored.
    pub(crate) fn successor(&self, restored: Particulars) -> Meta {
        let Particulars { name: _, command, hostname, terminal, translation, origin: _, network, volumes } =
            restored;
        let lasting = Lasting::default();
        let init = None;
        Meta {
            command,
            hostname,
            terminal,
            translation,
            network,
            volumes,
            lasting,
            init,
            ..self.meta.clone()
        }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Waits until the helper has closed its end, which it does as its last act.
    pub fn await_end(&mut self) {
        let limit = Some(Instant::now() + END_PATIENCE);
        let _ = self.link.receive(Wait::Until(&Control::new(), limit));
    }

    fn about(&self, verb: &str) -> impl Fn(LinkError) -> Fault + use<> {
        faults::about(&format!("{verb} \"{}\"", self.meta.name))
    }
}

impl From<Report> for Hosted {
    fn from(report: Report) -> Self {
        Self {
            init: report.init,
            init_handle: report.init_handle,
            root: report.root.map(|(pid, _)| pid),
            root_inside: report.status.root,
            root_ending: report.status.ending,
            terminal: report.status.terminal,
            hostname: report.status.hostname,
            own: report.status.own,
            yields: report.status.yields,
        }
    }
}

/// Takes one deposited descriptor.
pub fn take(link: &mut Link, name: &str) -> Result<Option<OwnedFd>, LinkError> {
    descriptor(link.ask(&Request::Take { name: name.to_owned() }, &[]))
}

/// The descriptor that a reply brought; `None` when there is none of that name.
fn descriptor(answer: Result<(Reply, Vec<OwnedFd>), LinkError>) -> Result<Option<OwnedFd>, LinkError> {
    match answer {
        Ok((Reply::Descriptor, descriptors)) => Ok(descriptors.into_iter().next()),
        Ok(_) => Err(LinkError::Confused),
        Err(LinkError::Failed(failure)) if failure.step == abi::wire::Step::NoSuchDescriptor => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until no process of an application is left. Says how its root process ended, if that is known.
///
/// # Errors
/// [`Code::NoTarget`] when there is no such application, [`Code::Interrupted`] when the caller gave up.
pub fn wait(home: &Home, aid: &Aid, control: &Control) -> Result<Option<Ending>, Fault> {
    let meta = Meta::read(home, aid).map_err(|_| faults::no_such(aid))?;
    loop {
        // A helper that has ended may have a successor: the application was rolled back.
        let ended = match Link::connect(home, aid) {
            Ok(mut link) => link.receive(Wait::Until(control, None)).err().unwrap_or(LinkError::Confused),
            Err(LinkError::Ended) => return recorded(home, &meta),
            Err(error) => error,
        };
        if !matches!(ended, LinkError::Ended) {
            return Err(faults::about(&format!("wait for \"{}\"", meta.name))(ended));
        }
    }
}

/// How an application that does not run any more ended.
pub fn recorded(home: &Home, meta: &Meta) -> Result<Option<Ending>, Fault> {
    let status = meta::status(home, &meta.aid);
    if status.finished || status.root.is_some() {
        return Ok(status.root);
    }
    Err(Fault::new(Code::Other, format!("Could not learn how \"{}\" ended", meta.name))
        .because("its capsule is gone without a word, as after a power cut or when its helper is killed")
        .aftermath("No process of it is left"))
}
