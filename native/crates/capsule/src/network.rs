//! What connects a capsule's network namespace with others, and sockets that are made in it.

use crate::link::{Link, LinkError};
use crate::membership::{kernel_refused, member};
use crate::ports::Ports;
use crate::{Aid, Capsule, faults, home};
use abi::Fault;
use abi::network::{Link as Way, OwnNetwork};
use abi::request::Home;
use abi::wire::{Reply, Request};
use network::Attached;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use sys::Errno;

/// What leads out of a network namespace: interfaces, addresses, routes. Dropping it before [`keep`](Self::keep) takes
/// all of that out again.
pub struct Connections {
    made: Vec<Connection>,
    own: OwnNetwork,
    inherited: Inheritance,
    kept: bool,
}

/// What an application has on the network whose place another one takes.
#[derive(Default)]
pub struct Inheritance {
    ports: Ports,
    /// Its network namespace, and the links into it that the other one has, too.
    links: Option<(File, Vec<Way>)>,
}

impl Inheritance {
    /// Lets the `successor` have the same ports of the host, where it has the same address.
    ///
    /// # Errors
    /// When the helper of the application does not answer.
    pub fn of(predecessor: &mut Capsule, successor: &mut OwnNetwork) -> Result<Self, Fault> {
        let ports = Ports::inherit(predecessor, successor)?;
        let init = predecessor.hosted()?.init;
        let former = predecessor.network().map(|own| own.links.clone()).unwrap_or_default();
        let same = |one: &Way, other: &Way| {
            one.environment.id == other.environment.id && one.addresses == other.addresses
        };
        let replaced = former.into_iter().filter(|one| successor.links.iter().any(|other| same(one, other)));
        let replaced: Vec<Way> = replaced.collect();
        let namespace = File::open(format!("/proc/{init}/ns/net"));
        let namespace = namespace.map_err(faults::files("find the network of the application"))?;
        Ok(Self { ports, links: Some((namespace, replaced)) })
    }

    /// The application runs on: it has its links again, which those of the other one had replaced.
    fn give_back(&self) {
        let Some((namespace, links)) = &self.links else { return };
        for way in links {
            let Ok(member) = member(way) else { continue };
            let link = member.attach(namespace.as_fd(), &way.interface);
            if let Ok(link) = link.and_then(|link| link.open().map(|()| link)) {
                link.keep();
            }
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        if !self.kept {
            self.made.clear();
            self.inherited.give_back();
        }
    }
}

struct Connection {
    /// What it is made for, as in "could not".
    attempt: String,
    link: Attached,
    /// What holds ports of the host.
    ports: Ports,
}

impl Connections {
    /// Puts in what `own` lists, closed: addresses and routes are there, and no packet passes before
    /// [`open`](Self::open). `namespace` is a new one, in which loopback is up and no process of the application is yet.
    /// An application whose place this one takes loses its links, and gets them back when this is dropped.
    ///
    /// # Errors
    /// When an interface cannot be made, or a port of the host is taken; nothing is left then.
    pub fn make(namespace: BorrowedFd<'_>, own: &OwnNetwork, inherited: Inheritance) -> Result<Self, Fault> {
        let mut connections = Self { made: Vec::new(), own: own.clone(), inherited, kept: false };
        let Self { made, own, inherited, .. } = &mut connections;
        for way in &mut own.links {
            let attempt = format!("join the environment \"{}\"", way.environment.name);
            let member = member(way)?;
            let link = member.clone().attach(namespace, &way.interface);
            let link = link.map_err(|error| kernel_refused(&attempt, error))?;
            let ports = Ports::publish(&member, &mut way.published, &inherited.ports)?;
            made.push(Connection { attempt, link, ports });
        }
        Ok(connections)
    }

    /// What there is now: as it was asked for, with the ports of the host that were found.
    #[must_use]
    pub fn own(&self) -> &OwnNetwork {
        &self.own
    }

    /// Lets the helper hold the ports of the host, as long as it lives.
    pub(crate) fn hand_over(&self, helper: &mut Link) -> Result<(), LinkError> {
        self.made.iter().try_for_each(|connection| connection.ports.hand_over(helper))
    }

    /// Lets packets pass. For a restore that comes last: a peer's packet that met no connection yet would be answered with
    /// a reset.
    ///
    /// # Errors
    /// When an interface has gone.
    pub fn open(&mut self) -> Result<(), Fault> {
        let open = |Connection { attempt, link, .. }: &Connection| {
            link.open().map_err(|error| kernel_refused(attempt, error))
        };
        self.made.iter().try_for_each(open)
    }

    /// The application lives: the connections last as long as its namespace.
    pub fn keep(mut self) {
        self.kept = true;
        std::mem::take(&mut self.made).into_iter().for_each(|connection| connection.link.keep());
    }
}

/// Makes sockets in the network namespace of a capsule, by way of its helper: to enter the namespace oneself takes
/// privileges that only root has.
pub struct SocketMaker(Mutex<Link>);

impl SocketMaker {
    /// Connects to the helper of a capsule.
    ///
    /// # Errors
    /// [`abi::Code::NoTarget`] when it does not run.
    pub fn connect(home: &Home, aid: &Aid) -> Result<Self, Fault> {
        Self::connect_to(home, &home::socket_name(aid), aid)
    }

    /// The same for one that listens under another name than the application `aid` has.
    pub(crate) fn connect_to(home: &Home, name: &str, aid: &Aid) -> Result<Self, Fault> {
        let link = Link::connect_to(home, name);
        link.map(|link| Self(Mutex::new(link))).map_err(faults::about(&format!("reach \"{aid}\"")))
    }

    /// A new socket, close-on-exec (socket(2)).
    ///
    /// # Errors
    /// Those of socket(2); `ESRCH` when the helper has ended, `EIO` when it cannot be understood.
    pub fn socket(&self, domain: i32, kind: i32, protocol: i32) -> sys::Result<OwnedFd> {
        // A request and its answer are one step, so a panic between them cannot leave half a message.
        let mut link = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match link.ask(&Request::Socket { domain, kind, protocol }, &[]) {
            Ok((Reply::Descriptor, descriptors)) => descriptors.into_iter().next().ok_or(Errno::EIO),
            Ok(_) => Err(Errno::EIO),
            Err(LinkError::Failed(failure)) => Err(Errno(failure.errno)),
            Err(LinkError::Ended) => Err(Errno::ESRCH),
            Err(_) => Err(Errno::EIO),
        }
    }
}
