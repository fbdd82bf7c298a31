//! Sockets that an application which is rolled back has by name, and only one can have on this host: IP sockets with a
//! port, UNIX sockets with a name. The restored processes get duplicates of the very sockets: the port stays open, and
//! clients that wait to be accepted are kept. Until the old processes have ended, nothing of such a socket is changed.

use super::network::{self, BodyV1, inet::RoleV1};
use super::unix::{self, StateV1};
use super::{DescriptionV1, KindV1};
use crate::explain::{Explain, Result};
use crate::freeze::FrozenTree;
use crate::ids::DescriptionId;
use crate::procfs;
use crate::rebuild::Rebuild;
use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use sys::process;
use sys::socket_options::number;

/// A socket of the old processes.
struct Held {
    file: OwnedFd,
    domain: i32,
    kind: i32,
    protocol: i32,
    /// What it is bound to: an IP socket's `struct sockaddr`, a UNIX socket's `sun_path`.
    name: Vec<u8>,
    listens: bool,
    connected: bool,
}

/// The sockets of an application that have names, each until it is inherited.
#[derive(Default)]
pub struct Estate {
    held: Vec<Held>,
}

impl Estate {
    /// Looks through the descriptors of stopped processes.
    pub fn of(tree: &FrozenTree) -> Result<Self> {
        let mut seen: HashSet<PathBuf> = HashSet::new();
        let mut held = Vec::new();
        for process in tree.processes.iter().filter(|process| !process.is_zombie()) {
            let what = || format!("Could not examine the sockets of process {}", process.pid);
            let handle = process::pidfd_open(process.pid).explain(what)?;
            for fd in procfs::descriptors(process.pid).explain(what)? {
                let link = std::fs::read_link(format!("/proc/{}/fd/{fd}", process.pid)).explain(what)?;
                if link.as_os_str().as_encoded_bytes().starts_with(b"socket:") && seen.insert(link) {
                    held.extend(Held::examine(process::pidfd_getfd(&handle, fd).explain(what)?));
                }
            }
        }
        Ok(Self { held })
    }

    fn take(&mut self, suits: impl Fn(&Held) -> bool) -> Option<OwnedFd> {
        let index = self.held.iter().position(suits)?;
        Some(self.held.swap_remove(index).file)
    }
}

impl Held {
    /// `None` for a socket that no other can be in the way of.
    fn examine(file: OwnedFd) -> Option<Self> {
        let socket = file.as_fd();
        let option = |name| number(socket, libc::SOL_SOCKET, name).ok();
        let domain = option(libc::SO_DOMAIN)?;
        let name = match domain {
            libc::AF_INET | libc::AF_INET6 => sys::network::local_address(socket).ok()?,
            libc::AF_UNIX => sys::unix_sockets::own_name(socket).ok()??,
            _ => return None,
        };
        Some(Self {
            domain,
            kind: option(libc::SO_TYPE)?,
            protocol: option(libc::SO_PROTOCOL)?,
            name,
            listens: option(libc::SO_ACCEPTCONN) == Some(1),
            connected: sys::network::peer_address(socket).is_ok(),
            file,
        })
    }

    /// May this be the socket that was saved with that name? A connection of bytes has a peer with a state of its own.
    fn is(&self, domain: i32, kind: i32, protocol: i32, name: &[u8]) -> bool {
        let connection = self.connected && kind != libc::SOCK_DGRAM;
        (self.domain, self.kind, self.protocol) == (domain, kind, protocol)
            && self.name == name
            && !connection
    }
}

/// Gives the restore whatever the old processes have that it would otherwise have to make anew. To be called before
/// any socket is made.
pub fn apply(descriptions: &[DescriptionV1], rebuild: &mut Rebuild) -> Result<()> {
    let Some(mut incumbent) = rebuild.incumbent.take() else { return Ok(()) };
    // In a network namespace of its own nobody is in the way, but for the paths of UNIX sockets.
    let inside = rebuild.sockets.are_inside();
    let image = Arc::clone(&rebuild.image);
    for description in descriptions {
        let file = match &description.kind {
            KindV1::Network(_) if inside => None,
            KindV1::Network(saved) => inherit_ip(saved, &mut incumbent.estate),
            KindV1::Unix(own) => {
                let saved = image.unix_sockets.iter().find(|socket| socket.id == own.socket);
                let saved = saved.filter(|saved| !is_free(saved, inside, rebuild));
                saved.and_then(|saved| inherit_unix(saved, &mut incumbent.estate))
            }
            _ => None,
        };
        if let Some(file) = file {
            rebuild.inherited.insert(description.id);
            rebuild.descriptions.insert(description.id, file);
        }
    }
    rebuild.incumbent = Some(incumbent);
    Ok(())
}

/// May a name be taken though the old processes have it? In another network namespace, or another view of a volume.
fn is_free(saved: &unix::SocketV1, inside: bool, rebuild: &Rebuild) -> bool {
    saved.held_name().is_some_and(|name| match name.bytes.first() {
        Some(0) => inside,
        _ => rebuild.views.contain(&name.bytes),
    })
}

fn inherit_ip(saved: &network::SocketV1, estate: &mut Estate) -> Option<OwnedFd> {
    let BodyV1::Inet(own) = &saved.body else { return None };
    if !own.is_bound(saved) {
        return None;
    }
    let is = |held: &Held| held.is(saved.domain, saved.kind, saved.protocol, &own.local);
    match own.role {
        RoleV1::Listener { .. } => estate.take(|held| is(held) && held.listens).or_else(|| estate.take(is)),
        RoleV1::Plain => estate.take(|held| is(held) && !held.listens),
        _ => None,
    }
}

/// One with clients of the snapshot in its queue, or messages, would need to be filled, and is not inherited.
fn inherit_unix(saved: &unix::SocketV1, estate: &mut Estate) -> Option<OwnedFd> {
    let name = saved.held_name()?;
    let is = |held: &Held| {
        held.domain == libc::AF_UNIX && held.kind == saved.kind && held.name == name.bytes.as_slice()
    };
    match &saved.state {
        StateV1::Listening { waiting, .. } if waiting.is_empty() => {
            estate.take(|held| is(held) && held.listens)
        }
        StateV1::Idle if saved.is_datagram() && saved.queue.is_empty() => estate.take(is),
        _ => None,
    }
}

/// Gives inherited sockets the options and flags that they had. The old processes have ended, and the new ones have not
/// begun: what cannot be done is a note.
pub fn settle(rebuild: &mut Rebuild) {
    let image = Arc::clone(&rebuild.image);
    let inherited: Vec<DescriptionId> = rebuild.inherited.drain().collect();
    for description in image.descriptions.iter().filter(|known| inherited.contains(&known.id)) {
        let Some(file) = rebuild.descriptions.get(&description.id) else { continue };
        let settled = match &description.kind {
            KindV1::Network(saved) => network::settle_inherited(file.as_fd(), saved),
            KindV1::Unix(own) => match image.unix_sockets.iter().find(|socket| socket.id == own.socket) {
                Some(saved) => unix::settle_inherited(saved, rebuild),
                None => Ok(()),
            },
            _ => Ok(()),
        };
        let settled = settled
            .and_then(|()| set_flags(file.as_fd(), description))
            .and_then(|()| super::apply_owner(description, file, rebuild));
        if let Err(fault) = settled {
            rebuild.notes.push(format!("{}: {}", fault.message, fault.causes.join(": ")));
        }
    }
}

fn set_flags(file: BorrowedFd, description: &DescriptionV1) -> Result<()> {
    sys::files::set_status_flags(file, description.flags & (libc::O_NONBLOCK | libc::O_APPEND))
        .explain(|| "Could not set the flags of a socket that was kept".to_owned())
}
