//! Finding terminals behind descriptors and sessions, and, once every process was looked at, who holds their masters.

use super::queues::Ends;
use super::{LineV1, MasterV1, NodeV1, SessionV1, TerminalV1};
use crate::explain::{Explain, Result, refused};
use crate::freeze::FrozenTree;
use crate::ids::{DescriptionId, OriginalPid};
use crate::procfs::{self, Status};
use crate::state::descriptors::Found;
use crate::state::process::ProcessV1;
use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use sys::poll::{Interest, poll};
use sys::pty::{self, Termios, Window};

/// Major number of the slaves of pseudo terminals.
pub const SLAVES: u32 = 136;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Pts(u32),
    /// Of an instance of devpts that is not the application's own: it was inherited from whoever started it.
    OuterPts(u32),
    Device(u32, u32),
    /// Hung up, and so without a number.
    Lost(DescriptionId),
}

/// A descriptor of a terminal.
struct Sighting {
    pid: i32,
    fd: i32,
    name: String,
    description: DescriptionId,
}

/// What is needed of a terminal until all are known.
#[derive(Default)]
struct Source {
    key: Option<Key>,
    master: Option<File>,
    slave: Option<File>,
    /// Device number of the devpts that the slave was found in.
    devpts: Option<u64>,
    sightings: Vec<Sighting>,
    controls: bool,
}

#[derive(Default)]
pub struct Collector {
    by_key: HashMap<Key, u32>,
    sources: Vec<Source>,
    pub terminals: Vec<TerminalV1>,
    pub sessions: Vec<SessionV1>,
    pub notes: Vec<String>,
    /// The capsule's helper, when a capsule is being captured.
    pub helper: Option<i32>,
    /// Device number of the devpts that the capsule has for itself; none where there is but one.
    pub own_devpts: Option<u64>,
}

impl Collector {
    /// The terminal of a device number, which was found in the devpts `instance` where that is known. Where it is not, as
    /// for controlling terminals, it is one of the application's own if that has one of this number.
    pub fn key(&self, (major, minor): (u32, u32), instance: Option<u64>) -> Key {
        let exists = || {
            let helper = self.helper.unwrap_or_default();
            std::path::Path::new(&format!("/proc/{helper}/root/dev/pts/{minor}")).exists()
        };
        match (major, self.own_devpts, instance) {
            (SLAVES, Some(own), Some(instance)) if own != instance => Key::OuterPts(minor),
            (SLAVES, Some(_), None) if !exists() => Key::OuterPts(minor),
            (SLAVES, ..) => Key::Pts(minor),
            _ => Key::Device(major, minor),
        }
    }

    fn enter(&mut self, key: Key) -> u32 {
        let next = self.terminals.len() as u32;
        let id = *self.by_key.entry(key).or_insert(next);
        if id == next {
            self.sources.push(Source { key: Some(key), ..Source::default() });
            self.terminals.push(TerminalV1 {
                id,
                index: if let Key::Pts(index) = key { Some(index) } else { None },
                master: MasterV1::Gone,
                line: None,
                node: None,
                packet: false,
                locked: false,
                exclusive_master: false,
                exclusive_slave: false,
                slave_closed: false,
                queues: super::queues::QueuesV1::default(),
            });
        }
        id
    }

    fn see(&mut self, id: u32, found: &Found, description: DescriptionId) {
        self.sources[id as usize].sightings.push(Sighting {
            pid: found.pid,
            fd: found.fd,
            name: found.name(),
            description,
        });
    }

    pub fn add_master(&mut self, found: &Found, description: DescriptionId) -> Result<u32> {
        let what = || format!("Could not examine terminal {} of process {}", found.name(), found.pid);
        let index = pty::index(found.file.as_fd()).explain(what)?;
        let id = self.enter(self.key((SLAVES, index), Some(found.meta.dev())));
        self.sources[id as usize].master = Some(found.file.try_clone().explain(what)?);
        self.see(id, found, description);
        Ok(id)
    }

    /// Enters the terminal of a descriptor that is no master; `live` unless it is hung up.
    pub fn add_slave(
        &mut self,
        found: &Found,
        key: Key,
        live: bool,
        description: DescriptionId,
    ) -> Result<u32> {
        let what = || format!("Could not examine terminal {} of process {}", found.name(), found.pid);
        let id = self.enter(key);
        self.see(id, found, description);
        let by_path = device_number(&found.meta).0 == SLAVES;
        let source = &mut self.sources[id as usize];
        if by_path && source.devpts.replace(found.meta.dev()).is_some_and(|devpts| devpts != found.meta.dev())
        {
            return found.refuse("the application uses two instances of devpts with the same numbers");
        }
        if live && (by_path || source.slave.is_none()) {
            source.slave = Some(found.file.try_clone().explain(what)?);
        }
        if by_path {
            let meta = &found.meta;
            let node = NodeV1 { uid: meta.uid(), gid: meta.gid(), mode: meta.mode() & 0o7777 };
            self.terminals[id as usize].node = Some(node);
        }
        Ok(id)
    }

    /// Completes everything once all processes were collected. `stands` tells the numbers at which a description stands.
    /// Returns the descriptions of devices that are no terminals of the application's: files like any other.
    pub fn finish(
        &mut self,
        tree: &FrozenTree,
        processes: &[ProcessV1],
        stands: &HashMap<DescriptionId, Vec<i32>>,
    ) -> Result<Vec<DescriptionId>> {
        self.find_sessions(tree, processes)?;
        let mut files = Vec::new();
        for id in 0..self.terminals.len() {
            let at_streams = |sighting: &Sighting| {
                stands.get(&sighting.description).is_some_and(|fds| fds.iter().any(|fd| *fd < 3))
            };
            let source = &self.sources[id];
            let master = self.master_of(source);
            let wanted = source.controls || source.sightings.iter().any(at_streams);
            if matches!(source.key, Some(Key::Device(..))) && !source.sightings.iter().any(at_streams) {
                files.extend(source.sightings.iter().map(|sighting| sighting.description));
                self.give_up_control(id as u32);
                continue;
            }
            if master == MasterV1::Outside && !wanted {
                return refuse_outside(source);
            }
            self.terminals[id].master = master;
            examine(source, &mut self.terminals[id])?;
        }
        Ok(files)
    }

    /// A console or serial line is the host's. A session gets it back only as the user's terminal, which it is not.
    fn give_up_control(&mut self, terminal: u32) {
        let name = name_of(&self.sources[terminal as usize]);
        let (lost, kept) = self.sessions.drain(..).partition(|session| session.terminal == terminal);
        self.sessions = kept;
        let lost: Vec<SessionV1> = lost;
        let note = |session: &SessionV1| {
            format!("session {} is restored without its controlling terminal, {name}", session.sid)
        };
        self.notes.extend(lost.iter().map(note));
    }

    fn master_of(&self, source: &Source) -> MasterV1 {
        match (source.key, &source.master) {
            (_, Some(_)) => MasterV1::Chain,
            _ if source.slave.is_none() && !source.controls => MasterV1::Gone,
            (Some(Key::Pts(index)), None) if self.helper.is_some_and(|pid| holds_master(pid, index)) => {
                MasterV1::Capsule
            }
            _ => MasterV1::Outside,
        }
    }

    fn find_sessions(&mut self, tree: &FrozenTree, processes: &[ProcessV1]) -> Result<()> {
        let mut groups = HashMap::new();
        let mut seen = Vec::new();
        for (frozen, process) in
            tree.processes.iter().zip(processes).filter(|(frozen, _)| !frozen.is_zombie())
        {
            let stat = procfs::stat(&frozen.pid.to_string())
                .explain(|| format!("Could not read the state of process {}", frozen.pid))?;
            groups.insert(stat.pgrp, process.pgid);
            seen.push((process, stat));
        }
        for (process, stat) in seen.iter().filter(|(_, stat)| stat.tty_nr != 0) {
            let terminal = self.enter(self.key(pty::decode_device(stat.tty_nr), None));
            self.sources[terminal as usize].controls = true;
            if self.sessions.iter().all(|session| session.sid != process.sid) {
                let foreground = groups.get(&stat.tpgid).copied().unwrap_or_else(|| group_of(stat.tpgid));
                let without =
                    seen.iter().filter(|(other, stat)| other.sid == process.sid && stat.tty_nr == 0);
                let without = without.map(|(other, _)| other.pid).collect();
                self.sessions.push(SessionV1 { sid: process.sid, terminal, foreground, without });
            }
        }
        Ok(())
    }
}

/// A process group whose members are not of the chain, or have all ended, as the application calls it.
fn group_of(outer: i32) -> OriginalPid {
    let own = Status::read("self").map(|status| status.numbers::<i32>("NSpid").len()).unwrap_or(0);
    // Where there is but one PID namespace every process has the same number everywhere.
    OriginalPid(if own == 1 && outer > 0 { outer } else { 0 })
}

fn refuse_outside<T>(source: &Source) -> Result<T> {
    let why = "its other end is held by a process outside, and it is not the application's standard input or output";
    let first = &source.sightings[0];
    Err(refused(first.pid, &format!("descriptor {} ({})", first.fd, first.name), why))
}

/// Whether a process has the master of /dev/pts/`index` (proc_pid_fdinfo(5), `tty-index`).
fn holds_master(pid: i32, index: u32) -> bool {
    let descriptors = procfs::descriptors(pid).unwrap_or_default();
    descriptors.into_iter().any(|fd| {
        fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|link| link.ends_with("ptmx"))
            && procfs::FdInfo::read(pid, fd)
                .is_ok_and(|info| info.number("tty-index") == Some(u64::from(index)))
    })
}

/// Reads the state of a terminal that is not hung up.
fn examine(source: &Source, terminal: &mut TerminalV1) -> Result<()> {
    let what = || format!("Could not examine terminal {}", name_of(source));
    let Some(end) = source.master.as_ref().or(source.slave.as_ref()) else { return Ok(()) };
    let settings = Termios::of(end.as_fd()).explain(what)?;
    terminal.line = Some(LineV1::new(settings, Window::of(end.as_fd()).explain(what)?));
    if let Some(slave) = &source.slave {
        terminal.exclusive_slave = pty::is_exclusive(slave.as_fd()).explain(what)?;
    }
    let Some(master) = &source.master else { return Ok(()) };
    let sighting = &source.sightings[0];
    let refuse = |why| Err(refused(sighting.pid, &format!("terminal {}", name_of(source)), why));
    let discipline = source.slave.as_ref().map_or(Ok(0), |slave| pty::discipline(slave.as_fd()));
    if settings.line != 0 || discipline.explain(what)? != 0 {
        return refuse("it has a line discipline of its own");
    }
    let master = master.as_fd();
    terminal.packet = pty::is_packet(master).explain(what)?;
    terminal.locked = pty::is_locked(master).explain(what)?;
    terminal.exclusive_master = pty::is_exclusive(master).explain(what)?;
    let closed = poll(&[(master, Interest::Closed)], Some(Duration::ZERO)).explain(what)?[0];
    terminal.slave_closed = closed;
    if terminal.node.is_none() {
        terminal.node = node(sighting.pid, terminal.index);
    }
    // A slave that was never opened stays so; one that is locked cannot be.
    if terminal.locked || (source.slave.is_none() && !closed && !source.controls) {
        return Ok(());
    }
    let ends = Ends::open(master, settings, terminal.packet).explain(what)?;
    if !ends.is_flowing().explain(what)? {
        return refuse("its output is stopped (Ctrl-S), or nobody has read it for long");
    }
    terminal.queues = ends.collect().explain(what)?;
    Ok(())
}

fn node(pid: i32, index: Option<u32>) -> Option<NodeV1> {
    let meta = fs::metadata(format!("/proc/{pid}/root/dev/pts/{}", index?)).ok()?;
    let is_it = device_number(&meta) == (SLAVES, index?);
    is_it.then(|| NodeV1 { uid: meta.uid(), gid: meta.gid(), mode: meta.mode() & 0o7777 })
}

fn device_number(meta: &fs::Metadata) -> (u32, u32) {
    (sys::files::major(meta.rdev()), sys::files::minor(meta.rdev()))
}

fn name_of(source: &Source) -> String {
    match source.key {
        Some(Key::Pts(index)) => format!("/dev/pts/{index}"),
        Some(Key::OuterPts(index)) => format!("/dev/pts/{index} of whoever started the application"),
        Some(Key::Device(major, minor)) => format!("device {major}:{minor}"),
        _ => "that is hung up".to_owned(),
    }
}
