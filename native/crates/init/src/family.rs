//! Every process of the application is, in the end, a child of the helper: who they are and how they ended.

use abi::wire::{Ending, Failure, Recipient, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::Errno;
use sys::lifecycle::{self, Exit};

/// The process that the application is named after.
#[derive(Default)]
struct Root {
    pid: Option<i32>,
    /// Present while it runs.
    handle: Option<OwnedFd>,
    ending: Option<Ending>,
}

#[derive(Default)]
pub struct Family {
    root: Root,
    /// Commands started beside the application, and the client that waits for each.
    commands: BTreeMap<i32, u64>,
    /// Clients that were sent a pidfd and have not looked at it yet. A process loses its pid when it is reaped, so
    /// nothing is reaped meanwhile.
    looking: BTreeSet<u64>,
}

/// What one look at the children that ended brought.
#[derive(Default)]
pub struct Reaped {
    pub root: bool,
    pub commands: Vec<(u64, Ending)>,
    /// No process is left in the namespace.
    pub none_left: bool,
}

impl Family {
    pub fn of(pid: i32, handle: OwnedFd) -> Self {
        let root = Root { pid: Some(pid), handle: Some(handle), ending: None };
        Self { root, ..Self::default() }
    }

    /// Names the root of a restored application: a living child, or how it had ended before.
    pub fn adopt(&mut self, pid: Option<i32>, ending: Option<Ending>) -> Result<(), Failure> {
        let open = |pid| lifecycle::process_handle(pid).map_err(crate::link::at(Step::NoSuchProcess));
        self.root = Root { pid, handle: pid.map(open).transpose()?, ending };
        Ok(())
    }

    pub fn root(&self) -> Option<i32> {
        self.root.pid
    }

    pub fn ending(&self) -> Option<Ending> {
        self.root.ending
    }

    /// The root process, while it runs.
    pub fn root_handle(&self) -> Option<BorrowedFd<'_>> {
        self.root.handle.as_ref().map(AsFd::as_fd)
    }

    pub fn add_command(&mut self, pid: i32, client: u64) {
        self.commands.insert(pid, client);
        self.hold_for(client);
    }

    /// Reaps nothing until the client has looked at the pidfd that it was sent.
    pub fn hold_for(&mut self, client: u64) {
        self.looking.insert(client);
    }

    /// The client has looked, or is gone.
    pub fn release(&mut self, client: u64) {
        self.looking.remove(&client);
    }

    /// Takes the status of every child that has ended.
    pub fn reap(&mut self) -> Reaped {
        let mut reaped = Reaped::default();
        while self.looking.is_empty() {
            match lifecycle::reap() {
                Ok(Some((pid, exit))) => self.note(pid, exit, &mut reaped),
                Ok(None) => return reaped,
                Err(Errno::EINTR) => {}
                Err(_) => {
                    reaped.none_left = true;
                    return reaped;
                }
            }
        }
        reaped
    }

    fn note(&mut self, pid: i32, exit: Exit, reaped: &mut Reaped) {
        let ending = match exit {
            Exit::Code(code) => Ending::Code(code),
            Exit::Signal(signal) => Ending::Signal(signal),
        };
        // A pid is free again once reaped, so the root is known by pid only while its handle is held.
        if self.root.pid == Some(pid) && self.root.handle.take().is_some() {
            self.root.ending = Some(ending);
            reaped.root = true;
        } else if let Some(client) = self.commands.remove(&pid) {
            reaped.commands.push((client, ending));
        }
    }

    /// Sends a signal. That nobody is left to get it is no failure.
    pub fn signal(&self, signal: i32, to: Recipient) -> Result<(), Failure> {
        let sent = match (to, &self.root.handle) {
            (Recipient::All, _) => lifecycle::kill(-1, signal),
            (Recipient::Root, Some(root)) => lifecycle::signal_handle(root.as_fd(), signal),
            (Recipient::Root, None) => self.signal_children(signal),
        };
        match sent {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(Failure { step: Step::Signal, errno: errno.0 }),
        }
    }

    /// A program that went into the background left its daemon to the helper.
    fn signal_children(&self, signal: i32) -> sys::Result<()> {
        let list = fs::read_to_string("/proc/thread-self/children")?;
        let children = list.split_whitespace().filter_map(|pid| pid.parse().ok());
        for child in children.filter(|pid| !self.commands.contains_key(pid)) {
            match lifecycle::kill(child, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}
