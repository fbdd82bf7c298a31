//! Making terminals before the processes grow: a session takes its terminal between its leader's setsid(2) and the birth
//! of its members, which could not get it later.

use super::queues::Ends;
use super::{MasterV1, NodeV1, SessionV1, TerminalV1};
use crate::chain::Chain;
use crate::delivery::Delivery;
use crate::explain::{Explain, Result};
use crate::ids::{DescriptionId, OriginalPid};
use crate::program::Program;
use crate::state::descriptors::terminal::{SideV1, open_flags};
use crate::state::descriptors::{DescriptionV1, KindV1};
use crate::state::process::ProcessV1;
use abi::{Code, Fault};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use sys::Errno;
use sys::pty;
use tracee::{Bench, Stopped};

/// How far up this looks for a terminal's number to become free: each try opens one.
const MOST_TRIES: u32 = 4096;

/// Terminals of a restore, by their number in the snapshot. All of the user's are one.
#[derive(Default)]
pub struct Terminals {
    masters: HashMap<u32, Rc<OwnedFd>>,
    /// A slave of each that has one, so that nothing below sees a terminal without.
    slaves: HashMap<u32, OwnedFd>,
    ready: HashMap<DescriptionId, OwnedFd>,
    pub notes: Vec<String>,
}

/// Where terminals are made, and for whom.
pub struct Site<'a> {
    /// Put before paths of the application.
    pub root: &'a [u8],
    /// The user sits at a terminal and stays attached.
    pub attended: bool,
}

impl Terminals {
    /// Makes every terminal of the chain, except the user's when there is no user.
    pub fn make(chain: &Chain, site: &Site) -> Result<Self> {
        let mut made = Self::default();
        let mut wanted: Vec<&TerminalV1> =
            chain.terminals.iter().filter(|terminal| terminal.master != MasterV1::Outside).collect();
        let users: Vec<u32> = outside(chain).map(|terminal| terminal.id).collect();
        if site.attended {
            wanted.extend(outside(chain).take(1));
        }
        made.open_masters(&wanted, &ptmx(site.root))?;
        if let Some(shared) = users.first().and_then(|first| made.masters.get(first)).cloned() {
            made.masters.extend(users.iter().map(|id| (*id, Rc::clone(&shared))));
        }
        for terminal in wanted {
            made.set_up(terminal, chain)
                .explain(|| format!("Could not restore terminal {}", name_of(terminal)))?;
        }
        Ok(made)
    }

    /// New masters get the lowest free number, so all are opened up to the highest wanted, and the rest is given back.
    fn open_masters(&mut self, wanted: &[&TerminalV1], ptmx: &Path) -> Result<()> {
        let mut missing: BTreeMap<u32, &TerminalV1> =
            wanted.iter().filter_map(|terminal| Some((terminal.index?, *terminal))).collect();
        let mut spare = Vec::new();
        let highest = missing.keys().last().copied().unwrap_or(0);
        for _ in 0..MOST_TRIES.min(highest + 1) {
            if missing.is_empty() {
                break;
            }
            let (master, index) = open_master(ptmx)?;
            if let Some(terminal) = missing.remove(&index) {
                self.masters.insert(terminal.id, Rc::new(master));
            } else {
                spare.push((master, index));
            }
            if index >= highest {
                break;
            }
        }
        for terminal in wanted
            .iter()
            .filter(|terminal| !self.masters.contains_key(&terminal.id))
            .copied()
            .collect::<Vec<_>>()
        {
            let (master, index) = spare.pop().map_or_else(|| open_master(ptmx), Ok)?;
            if let (Some(old), MasterV1::Chain | MasterV1::Capsule) = (terminal.index, terminal.master) {
                self.notes
                    .push(format!("/dev/pts/{old} is in use here: the terminal is now /dev/pts/{index}"));
            }
            self.masters.insert(terminal.id, Rc::new(master));
        }
        Ok(())
    }

    fn set_up(&mut self, terminal: &TerminalV1, chain: &Chain) -> sys::Result<()> {
        let master = Rc::clone(&self.masters[&terminal.id]);
        pty::set_locked(master.as_fd(), false)?;
        let ends = || ends_of(chain, terminal.id);
        let mut cut_off = None;
        for (description, _) in ends().filter(|(_, end)| end.hung_up) {
            let slave = pty::open_peer(master.as_fd(), open_flags(description))?;
            cut_off = Some(self.ready.entry(description.id).or_insert(slave));
        }
        if terminal.master == MasterV1::Gone {
            self.masters.remove(&terminal.id);
            return Ok(());
        }
        if let Some(slave) = cut_off {
            pty::hang_up(slave.as_fd())?;
        }
        if let Some(line) = &terminal.line {
            line.window().apply(master.as_fd())?;
        }
        let controls = chain.sessions.iter().any(|session| session.terminal == terminal.id);
        let has_slave = ends().any(|(_, end)| end.side != SideV1::Master && !end.hung_up);
        if controls || has_slave || terminal.slave_closed || terminal.master != MasterV1::Chain {
            let slave = pty::open_peer(master.as_fd(), libc::O_RDWR)?;
            if let Some(node) = terminal.node.filter(|_| terminal.master == MasterV1::Chain) {
                set_node(slave.as_fd(), node)?;
            }
            self.slaves.insert(terminal.id, slave);
        }
        if let Some(line) = &terminal.line {
            line.settings().apply(master.as_fd())?;
            if self.slaves.contains_key(&terminal.id) {
                Ends::open(master.as_fd(), line.settings(), false)?.apply(&terminal.queues)?;
            }
        }
        Ok(())
    }

    pub fn is_made(&self, terminal: u32) -> bool {
        self.masters.contains_key(&terminal)
    }

    pub fn master(&self, terminal: u32) -> sys::Result<BorrowedFd<'_>> {
        self.masters.get(&terminal).map(|master| master.as_fd()).ok_or(Errno::EIO)
    }

    pub fn take_ready(&mut self, description: DescriptionId) -> Option<OwnedFd> {
        self.ready.remove(&description)
    }

    /// The master of the terminal that whoever restored the application relays to: the capsule's, or the user's.
    pub fn attended(&self, chain: &Chain, holder: MasterV1) -> Option<BorrowedFd<'_>> {
        let terminal = chain.terminals.iter().find(|terminal| terminal.master == holder)?;
        self.masters.get(&terminal.id).map(|master| master.as_fd())
    }

    /// A slave of the user's terminal.
    pub fn outside_slave(&self, chain: &Chain) -> Option<&OwnedFd> {
        outside(chain).find_map(|terminal| self.slaves.get(&terminal.id))
    }

    /// What must wait until every descriptor of the terminals is open.
    pub fn complete(&mut self, chain: &Chain) -> Result<()> {
        for terminal in &chain.terminals {
            let what = || format!("Could not restore terminal {}", name_of(terminal));
            let slave = self.slaves.remove(&terminal.id);
            let Some(master) = self.masters.get(&terminal.id) else { continue };
            if let Some(slave) = slave.filter(|_| terminal.exclusive_slave) {
                pty::set_exclusive(slave.as_fd()).explain(what)?;
            }
            if terminal.exclusive_master {
                pty::set_exclusive(master.as_fd()).explain(what)?;
            }
            if terminal.packet {
                pty::set_packet(master.as_fd(), true).explain(what)?;
            }
            if terminal.locked {
                pty::set_locked(master.as_fd(), true).explain(what)?;
            }
        }
        Ok(())
    }
}

/// Gives a slave's node its owner, which an ordinary user's devpts may not have, and its permissions.
fn set_node(slave: BorrowedFd, node: NodeV1) -> sys::Result<()> {
    const UNCHANGED: u32 = u32::MAX;
    match sys::files::set_node_owner(slave, node.uid, node.gid, node.mode) {
        Err(Errno::EPERM | Errno::EINVAL) => {
            sys::files::set_node_owner(slave, UNCHANGED, UNCHANGED, node.mode)
        }
        set => set,
    }
}

/// The controlling terminals of the sessions that are being grown.
pub struct Control<'a> {
    chain: &'a Chain,
    terminals: &'a Terminals,
    delivery: Delivery,
}

impl<'a> Control<'a> {
    pub fn new(chain: &'a Chain, terminals: &'a Terminals, delivery: &Delivery) -> Result<Self> {
        let ours =
            delivery.ours.try_clone().explain(|| "Could not share a socket of the restore".to_owned())?;
        Ok(Self { chain, terminals, delivery: Delivery { ours, theirs: delivery.theirs } })
    }

    fn sessions(&self) -> impl Iterator<Item = &SessionV1> {
        self.chain.sessions.iter().filter(|session| self.terminals.is_made(session.terminal))
    }

    fn session_of(&self, process: &ProcessV1) -> Option<&SessionV1> {
        self.sessions().find(|session| session.sid == process.sid && self.leads(process))
    }

    /// Whether a process leads its session: its own, or in place of the user's shell, which is not of the chain.
    pub fn leads(&self, process: &ProcessV1) -> bool {
        process.sid == process.pid || self.replaces_leader(process)
    }

    /// A root becomes the leader of the session that it was a member of when the user's terminal is to control it.
    pub fn replaces_leader(&self, process: &ProcessV1) -> bool {
        process.parent.is_none()
            && self.chain.processes[0].pid == process.pid
            && self.chain.processes.iter().all(|other| other.pid != process.sid)
            && self.sessions().any(|session| session.sid == process.sid)
    }

    /// Gives a new session its terminal, if it has one. `leader` is the process that called setsid(2).
    pub fn take(&self, process: &ProcessV1, leader: &Stopped, bench: &Bench) -> Result<()> {
        let Some(session) = self.session_of(process) else { return Ok(()) };
        self.with_terminal(session, leader, bench, |program, fd| {
            program.call("TIOCSCTTY", libc::SYS_ioctl, &[fd, libc::TIOCSCTTY, 0]);
        })
        .map(drop)
    }

    /// Puts the right group into the foreground, and takes the terminal from processes that had given it up.
    pub fn settle(&self, pids: &HashMap<OriginalPid, i32>, bench: &Bench) -> Result<()> {
        for session in self.sessions() {
            let leader = self.chain.processes.iter().find(|process| {
                process.sid == session.sid && self.leads(process) && pids.contains_key(&process.pid)
            });
            let Some(leader) = leader else { continue };
            self.set_foreground(session, leader, &Stopped::assume(pids[&leader.pid]), bench)?;
            for member in &session.without {
                let member = Stopped::assume(pids[member]);
                self.with_terminal(session, &member, bench, |program, fd| {
                    program.call("TIOCNOTTY", libc::SYS_ioctl, &[fd, libc::TIOCNOTTY]);
                })?;
            }
        }
        Ok(())
    }

    fn set_foreground(
        &self,
        session: &SessionV1,
        leader: &ProcessV1,
        stopped: &Stopped,
        bench: &Bench,
    ) -> Result<()> {
        let known = self.chain.processes.iter().any(|process| process.pgid == session.foreground);
        let group = if leader.sid != leader.pid
            && !self.chain.processes.iter().any(|p| p.pid == session.foreground)
        {
            // The group in front was the shell's, or one that the shell made: now the new leader's own.
            leader.pid
        } else {
            session.foreground
        };
        if group.0 <= 0 {
            return Ok(());
        }
        let set = |program: &mut Program, fd| {
            let at = program.data(&group.0.to_le_bytes());
            program.call("TIOCSPGRP", libc::SYS_ioctl, &[fd, libc::TIOCSPGRP, at]);
        };
        if known || group == leader.pid {
            return self.with_terminal(session, stopped, bench, set);
        }
        // A group all of whose members have ended: it is formed for as long as it takes.
        let Ok(temporary) = bench.clone3(stopped, 0, libc::SIGCHLD as u64, Some(group.0)) else {
            return Ok(());
        };
        let temporary = Stopped::assume(temporary);
        let formed = bench.call(&temporary, "setpgid", libc::SYS_setpgid, &[0, 0]);
        let set = formed
            .explain(|| format!("Could not restore process group {group}"))
            .and_then(|_| self.with_terminal(session, stopped, bench, set));
        crate::family::end(&temporary, bench, 0)?;
        const WALL: u64 = libc::__WALL as u64;
        let mut program = Program::new(bench);
        program.call("wait4", libc::SYS_wait4, &[temporary.tid() as u64, 0, WALL, 0]);
        program.run(stopped)?;
        set
    }

    /// Runs calls in a process that has the session's terminal open for as long as they take.
    fn with_terminal(
        &self,
        session: &SessionV1,
        thread: &Stopped,
        bench: &Bench,
        calls: impl FnOnce(&mut Program, u64),
    ) -> Result<()> {
        let what = || format!("Could not give session {} its terminal", session.sid);
        let master = self.terminals.master(session.terminal).explain(what)?;
        let slave = pty::open_peer(master, libc::O_RDWR).explain(what)?;
        let fd = self.delivery.send(thread, bench, &[slave.as_raw_fd()])?[0] as u64;
        let mut program = Program::new(bench);
        calls(&mut program, fd);
        program.call("close", libc::SYS_close, &[fd]);
        program.run(thread).map(drop)
    }

    /// Opens /dev/tty in the name of the processes whose terminal it is.
    pub fn open_aliases(
        &self,
        pids: &HashMap<OriginalPid, i32>,
        bench: &Bench,
    ) -> Result<HashMap<DescriptionId, OwnedFd>> {
        let mut opened = HashMap::new();
        for session in self.sessions() {
            let leader = self
                .chain
                .processes
                .iter()
                .find(|process| self.session_of(process).is_some_and(|s| s.sid == session.sid));
            let Some(&leader) = leader.and_then(|leader| pids.get(&leader.pid)) else { continue };
            let aliases = ends_of(self.chain, session.terminal)
                .filter(|(_, end)| end.side == SideV1::Alias && !end.hung_up);
            for (description, _) in aliases {
                opened.insert(
                    description.id,
                    open_alias(&Stopped::assume(leader), bench, open_flags(description))?,
                );
            }
        }
        Ok(opened)
    }
}

impl Terminals {
    pub fn add_ready(&mut self, descriptions: HashMap<DescriptionId, OwnedFd>) {
        self.ready.extend(descriptions);
    }
}

fn open_alias(leader: &Stopped, bench: &Bench, flags: i32) -> Result<OwnedFd> {
    let what = || "Could not open /dev/tty".to_owned();
    let mut program = Program::new(bench);
    let path = program.string(b"/dev/tty");
    let flags = flags | libc::O_CLOEXEC | libc::O_NOCTTY;
    program.call("openat", libc::SYS_openat, &[libc::AT_FDCWD as u64, path, flags as u64]);
    let fd = program.run(leader)?[0] as i32;
    let handle = sys::process::pidfd_open(leader.tid()).explain(what)?;
    let file = sys::process::pidfd_getfd(&handle, fd).explain(what)?;
    program.call("close", libc::SYS_close, &[fd as u64]);
    program.run(leader)?;
    Ok(file)
}

/// The terminals of the user.
fn outside(chain: &Chain) -> impl Iterator<Item = &TerminalV1> {
    chain
        .terminals
        .iter()
        .filter(|terminal| terminal.master == MasterV1::Outside && is_in_use(chain, terminal.id))
}

/// False for devices that are in the snapshot as files.
fn is_in_use(chain: &Chain, terminal: u32) -> bool {
    ends_of(chain, terminal).next().is_some()
        || chain.sessions.iter().any(|session| session.terminal == terminal)
}

fn ends_of(
    chain: &Chain,
    terminal: u32,
) -> impl Iterator<Item = (&DescriptionV1, &crate::state::descriptors::terminal::TerminalEndV1)> {
    chain.descriptions.iter().filter_map(move |description| match &description.kind {
        KindV1::Terminal(end) if end.terminal == terminal => Some((description, end)),
        _ => None,
    })
}

fn ptmx(root: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&[root, b"/dev/ptmx"].concat()))
}

fn open_master(ptmx: &Path) -> Result<(OwnedFd, u32)> {
    let what = || format!("Could not make a pseudo terminal with {}", ptmx.display());
    let master = pty::open_master(ptmx, libc::O_RDWR)
        .map_err(|errno| Fault::new(Code::RestoreFailed, what()).because(errno))?;
    let index = pty::index(master.as_fd()).explain(what)?;
    Ok((master, index))
}

fn name_of(terminal: &TerminalV1) -> String {
    terminal.index.map_or_else(|| "without a number".to_owned(), |index| format!("/dev/pts/{index}"))
}
