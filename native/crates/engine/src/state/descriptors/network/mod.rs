//! Sockets other than UNIX ones: IP of every kind, netlink, packet. What all of them have in common is here, the rest in
//! a file for each family.

pub mod address;
pub mod connection;
mod diagnosis;
pub mod inet;
mod lock;
pub mod messages;
mod multicast;
mod netlink;
mod options;
mod packet;
mod queue;
pub mod quiet;
mod reading;
mod revival;
mod wire;

use super::{DescriptionV1, Found, KindV1};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::ids::DescriptionId;
use crate::rebuild::Rebuild;
use crate::sockets::Sockets;
use inet::RoleV1;
use options::{OptionV1, SOL_SOCKET, Stage};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, fchown};
use std::sync::Arc;
use sys::socket_options as option;

/// A socket's names and options, whatever its family.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SocketV1 {
    /// AF_INET and so on.
    pub domain: i32,
    /// SOCK_STREAM and so on.
    pub kind: i32,
    pub protocol: i32,
    /// Who made it: SO_REUSEPORT groups have one owner.
    pub uid: u32,
    pub gid: u32,
    pub options: Vec<OptionV1>,
    /// Classic BPF, 8 bytes an instruction.
    pub filter: ByteBuf,
    pub body: BodyV1,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum BodyV1 {
    Inet(inet::InetV1),
    Netlink(netlink::NetlinkV1),
    Packet(packet::PacketV1),
}

/// The packet socket whose rings a mapping of this inode shows.
pub fn of_ring(inode: u64, descriptions: &[DescriptionV1]) -> Option<DescriptionId> {
    let is_it = |description: &&DescriptionV1| match &description.kind {
        KindV1::Network(socket) => matches!(&socket.body, BodyV1::Packet(own) if own.inode == inode),
        _ => false,
    };
    descriptions.iter().find(is_it).map(|description| description.id)
}

/// The address family of a socket (`SO_DOMAIN`).
pub fn domain(found: &Found) -> Result<i32> {
    option::number(found.file.as_fd(), SOL_SOCKET, libc::SO_DOMAIN)
        .explain(|| format!("Could not examine {} of process {}", found.name(), found.pid))
}

pub fn collect(found: &Found, id: DescriptionId, collection: &mut Collection) -> Result<SocketV1> {
    let socket = found.file.as_fd();
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    in_application_namespace(found, &collection.sockets)?;
    let domain = domain(found)?;
    let kind = option::number(socket, SOL_SOCKET, libc::SO_TYPE).explain(what)?;
    let mut saved = SocketV1 {
        domain,
        kind,
        protocol: option::number(socket, SOL_SOCKET, libc::SO_PROTOCOL).explain(what)?,
        uid: found.meta.uid(),
        gid: found.meta.gid(),
        options: options::collect(found, socket, kind)?,
        filter: ByteBuf::from(filter(found)?),
        body: BodyV1::Netlink(netlink::NetlinkV1::default()),
    };
    saved.body = match domain {
        libc::AF_INET | libc::AF_INET6 => BodyV1::Inet(inet::collect(found, id, &saved, collection)?),
        libc::AF_NETLINK => BodyV1::Netlink(netlink::collect(found)?),
        libc::AF_PACKET => BodyV1::Packet(packet::collect(found, collection)?),
        other => found.refuse(&format!("stasis does not know sockets of address family {other}"))?,
    };
    Ok(saved)
}

/// Sockets are made again in one namespace, the application's own or that of this command, so they must live in it.
fn in_application_namespace(found: &Found, sockets: &Sockets) -> Result<()> {
    let inode = |file: OwnedFd| std::fs::File::from(file).metadata().map(|meta| meta.ino());
    let Ok(theirs) = sys::network::namespace(found.file.as_fd()) else { return Ok(()) };
    match inode(theirs) {
        Ok(theirs) if theirs != sockets.namespace()? => {
            let other = if sockets.are_inside() { "its application" } else { "stasis" };
            found.refuse(&format!("it lives in another network namespace than {other}"))
        }
        _ => Ok(()),
    }
}

fn filter(found: &Found) -> Result<Vec<u8>> {
    match option::filter(found.file.as_fd()) {
        Ok(program) => Ok(program),
        Err(sys::Errno::EACCES) => found.refuse("an eBPF program filters what it receives"),
        Err(errno) => Err(errno).explain(|| format!("Could not read the filter of {}", found.name())),
    }
}

pub fn apply(mut sockets: Vec<(&DescriptionV1, &SocketV1)>, rebuild: &mut Rebuild) -> Result<()> {
    // Listeners first: connections share their ports, and some connect to them.
    sockets.sort_by_key(|(_, socket)| socket.is_connection());
    sockets.retain(|(description, _)| !rebuild.inherited.contains(&description.id));
    for (description, socket) in &sockets {
        let what = || format!("Could not restore socket {}", description.id.0);
        let file = match &socket.body {
            BodyV1::Inet(own) => inet::apply(description.id, socket, own, rebuild)?,
            BodyV1::Netlink(own) => netlink::apply(socket, own, rebuild)?,
            BodyV1::Packet(own) => packet::apply(socket, own, &rebuild.sockets)?,
        };
        let flags = description.flags & (libc::O_NONBLOCK | libc::O_APPEND);
        sys::files::set_status_flags(file.as_fd(), flags).explain(what)?;
        rebuild.descriptions.insert(description.id, file);
    }
    Ok(())
}

/// Sets going what peers elsewhere can notice, as the last thing before the processes run.
pub fn go_live(sockets: Vec<(&DescriptionV1, &SocketV1)>, rebuild: &mut Rebuild) -> Result<()> {
    let image = Arc::clone(&rebuild.image);
    revival::let_in(&image);
    if rebuild.close_connections {
        return Ok(());
    }
    revival::go_live(&image, rebuild)?;
    for (description, saved) in sockets {
        let (Some(file), BodyV1::Inet(own)) = (rebuild.descriptions.get(&description.id), &saved.body) else {
            continue;
        };
        // Too late to turn back: what cannot be done is told.
        let outcome = match own.role {
            RoleV1::Connection => complete(file.as_fd(), saved, true),
            RoleV1::Connecting => inet::connect_again(file.as_fd(), own),
            _ => Ok(()),
        };
        if let Err(fault) = outcome {
            rebuild.notes.push(format!("{}: {}", fault.message, fault.causes.join(": ")));
        }
    }
    Ok(())
}

/// Gives a socket that was taken over what it was saved with: no new one is made, so this changes one that is in use.
pub fn settle_inherited(socket: BorrowedFd, saved: &SocketV1) -> Result<()> {
    let BodyV1::Inet(own) = &saved.body else { return Ok(()) };
    inet::settle_inherited(socket, saved, own)?;
    complete(socket, saved, false)
}

impl SocketV1 {
    fn is_connection(&self) -> bool {
        matches!(&self.body, BodyV1::Inet(own) if own.role == RoleV1::Connection)
    }
}

/// A new socket of the same owner, with what must be there before it gets a name.
fn make(saved: &SocketV1, protocol: i32, sockets: &Sockets) -> Result<OwnedFd> {
    let what = || "Could not make a socket".to_owned();
    let file = sockets.make(saved.domain, saved.kind, protocol).explain(what)?;
    own(&file, saved);
    options::apply(file.as_fd(), &saved.options, Stage::Unbound, false)?;
    Ok(file)
}

/// Gives a socket its owner. Without CAP_CHOWN it stays ours, which only SO_REUSEPORT groups and /proc/net can tell.
fn own(file: &OwnedFd, saved: &SocketV1) {
    let _ = fchown(file, Some(saved.uid), Some(saved.gid));
}

/// The last steps: all options, and the filter, which must not see what was put into the queue.
fn complete(socket: BorrowedFd, saved: &SocketV1, connected: bool) -> Result<()> {
    let outcome = options::apply(socket, &saved.options, Stage::Complete, connected);
    if !saved.filter.is_empty() {
        option::attach_filter(socket, &saved.filter).explain(|| "Could not restore a filter".to_owned())?;
    }
    const SO_LOCK_FILTER: i32 = 44;
    if options::saved_number(&saved.options, SOL_SOCKET, SO_LOCK_FILTER) != 0 {
        option::set_number(socket, SOL_SOCKET, SO_LOCK_FILTER, 1)
            .explain(|| "Could not lock a filter".to_owned())?;
    }
    outcome
}
