//! Descriptors of terminals: masters, slaves, and /dev/tty.

use super::regular::{self, RegularV1};
use super::{DescriptionV1, Found};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::ids::DescriptionId;
use crate::rebuild::Rebuild;
use crate::state::terminals::collecting::{Key, SLAVES};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use sys::Errno;
use sys::pty::{self, Termios};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TerminalEndV1 {
    /// Number of the terminal among those of the snapshot.
    pub terminal: u32,
    pub side: SideV1,
    /// Cut off from its terminal: reads see the end, all else EIO.
    pub hung_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SideV1 {
    Master,
    Slave,
    /// Opened as /dev/tty.
    Alias,
}

/// Flags that are not for open(2): it acts on them once, or they want an owner first.
const NOT_AT_OPEN: i32 =
    libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC | libc::O_NOCTTY | libc::O_ASYNC | libc::O_CLOEXEC;

const MASTER: (u32, u32) = (5, 2);
const ALIAS: (u32, u32) = (5, 0);
/// Virtual consoles and serial lines; and /dev/tty, /dev/console and /dev/ptmx.
const CONSOLES: [u32; 2] = [4, 5];

fn device(found: &Found) -> (u32, u32) {
    (sys::files::major(found.meta.rdev()), sys::files::minor(found.meta.rdev()))
}

pub fn is_terminal(found: &Found) -> bool {
    let (major, _) = device(found);
    let known = major == SLAVES || CONSOLES.contains(&major);
    found.meta.file_type().is_char_device()
        && found.flags & libc::O_PATH == 0
        && (known || Termios::of(found.file.as_fd()).is_ok())
}

pub fn collect(found: &Found, id: DescriptionId, collection: &mut Collection) -> Result<TerminalEndV1> {
    let rdev = device(found);
    if rdev == MASTER {
        if found.flags & libc::O_ACCMODE != libc::O_RDWR {
            return found.refuse("it is a master that is not open for both reading and writing");
        }
        let terminal = collection.terminals.add_master(found, id)?;
        return Ok(TerminalEndV1 { terminal, side: SideV1::Master, hung_up: false });
    }
    let live = !matches!(Termios::of(found.file.as_fd()), Err(Errno::EIO));
    let side = if rdev == ALIAS { SideV1::Alias } else { SideV1::Slave };
    let terminals = &collection.terminals;
    let key = match pty::device(found.file.as_fd()) {
        _ if rdev.0 == SLAVES => terminals.key(rdev, Some(found.meta.dev())),
        Ok(device) => terminals.key(device, None),
        Err(_) if side == SideV1::Alias => Key::Lost(id),
        Err(_) => terminals.key(rdev, None),
    };
    if let Key::Device(..) = key {
        if !live {
            return found.refuse("it is a device that is hung up");
        }
        let file = regular::collect_file(found, collection)?;
        collection.devices.insert(id, file);
    }
    let terminal = collection.terminals.add_slave(found, key, live, id)?;
    Ok(TerminalEndV1 { terminal, side, hung_up: !live })
}

/// A device that is not the application's terminal: what `collect` kept for this case.
pub fn as_file(id: DescriptionId, collection: &mut Collection) -> Option<RegularV1> {
    collection.devices.remove(&id)
}

pub fn apply(ends: Vec<(&DescriptionV1, &TerminalEndV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, end) in ends {
        let what = || format!("Could not restore a descriptor of terminal {}", end.terminal);
        let file = match rebuild.terminals.take_ready(description.id) {
            Some(file) => file,
            None => open(description, end, rebuild)?,
        };
        let flags = description.flags & (libc::O_NONBLOCK | libc::O_APPEND | libc::O_ASYNC);
        if rebuild.terminals.is_made(end.terminal) && !end.hung_up {
            sys::files::set_status_flags(file.as_fd(), flags).explain(what)?;
        }
        rebuild.descriptions.insert(description.id, file);
    }
    rebuild.terminals.complete(&rebuild.image)
}

fn open(description: &DescriptionV1, end: &TerminalEndV1, rebuild: &mut Rebuild) -> Result<OwnedFd> {
    let what = || format!("Could not open terminal {}", end.terminal);
    if !rebuild.terminals.is_made(end.terminal) {
        return rebuild.streams.for_mode(description.flags).explain(what);
    }
    if end.side == SideV1::Master {
        return rebuild
            .terminals
            .master(end.terminal)
            .and_then(|master| Ok(master.try_clone_to_owned()?))
            .explain(what);
    }
    open_slave(description, end.terminal, rebuild).explain(what)
}

fn open_slave(description: &DescriptionV1, terminal: u32, rebuild: &Rebuild) -> sys::Result<OwnedFd> {
    pty::open_peer(rebuild.terminals.master(terminal)?, open_flags(description))
}

/// How the description is opened again.
pub fn open_flags(description: &DescriptionV1) -> i32 {
    description.flags & !NOT_AT_OPEN
}
