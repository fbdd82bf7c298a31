//! The last steps: queues, ends of connections, options and flags, when every description exists.

use super::datagrams::Post;
use super::queue::to_sender;
use super::{MessageV1, SocketV1, StateV1, UnixNodeV1, options};
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use crate::state::descriptors::DescriptionV1;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use sys::unix_sockets;

pub fn settle(descriptions: &[DescriptionV1], rebuild: &mut Rebuild) -> Result<()> {
    let image = Arc::clone(&rebuild.image);
    let sockets = &image.unix_sockets;
    let inherited = rebuild.inherited.clone();
    let made = || sockets.iter().filter(|socket| !inherited.contains(&socket.description));
    silence(made(), rebuild)?;
    let mut post = Post::new(sockets, rebuild);
    post.fill()?;
    post.connect()?;
    let mut notes = post.notes;
    for socket in made().filter(|socket| !socket.is_datagram()) {
        notes.extend(fill(socket, sockets, rebuild)?);
    }
    for socket in made() {
        part(socket, rebuild)?;
    }
    for socket in made() {
        finish(socket, descriptions, rebuild)?;
    }
    let mut left = std::mem::take(&mut rebuild.unix);
    left.placed.iter_mut().try_for_each(|placed| placed.settle(rebuild))?;
    rebuild.notes.extend(notes);
    Ok(())
}

/// No signal is to tell of what is being put back (O_ASYNC); `finish` turns this on again.
fn silence<'s>(sockets: impl Iterator<Item = &'s SocketV1>, rebuild: &Rebuild) -> Result<()> {
    for socket in sockets {
        let file = file(socket, rebuild)?;
        sys::files::set_status_flags(file.as_fd(), libc::O_NONBLOCK)
            .explain(|| format!("Could not restore {}", socket.label()))?;
    }
    Ok(())
}

pub fn file<'r>(socket: &SocketV1, rebuild: &'r Rebuild) -> Result<&'r OwnedFd> {
    rebuild
        .descriptions
        .get(&socket.description)
        .ok_or(sys::Errno::ENOENT)
        .explain(|| format!("Could not find {}", socket.label()))
}

/// The descriptors that go with a message.
pub fn rights(message: &MessageV1, rebuild: &Rebuild) -> Result<Vec<RawFd>> {
    let find = |id| {
        rebuild
            .descriptions
            .get(id)
            .map(AsRawFd::as_raw_fd)
            .ok_or(sys::Errno::ENOENT)
            .explain(|| "Could not find a descriptor in flight in the snapshot".to_owned())
    };
    message.rights.iter().map(find).collect()
}

/// Fills the queue of a stream or seqpacket socket from its peer.
fn fill(socket: &SocketV1, sockets: &[SocketV1], rebuild: &Rebuild) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    if socket.queue.is_empty() {
        return Ok(notes);
    }
    let what = || format!("Could not put back what was queued in {}", socket.label());
    let peer = match &socket.state {
        StateV1::Connected(id) => {
            let peer = sockets.iter().find(|peer| peer.id == *id);
            file(peer.ok_or(sys::Errno::ENOENT).explain(what)?, rebuild)?
        }
        _ => rebuild.unix.spouses.get(&socket.id).ok_or(sys::Errno::ENOENT).explain(what)?,
    };
    options::make_room(peer.as_fd());
    for message in &socket.queue {
        let rights = rights(message, rebuild)?;
        let (sender, note) = to_sender(message.sender, socket, rebuild);
        notes.extend(note);
        let sent = unix_sockets::send(peer.as_fd(), None, &message.bytes, &rights, sender).explain(what)?;
        if sent != message.bytes.len() {
            return Err(sys::Errno(libc::ENOBUFS)).explain(what);
        }
    }
    Ok(notes)
}

/// Shuts down what was, and closes peers that had been closed.
fn part(socket: &SocketV1, rebuild: &mut Rebuild) -> Result<()> {
    let what = || format!("Could not shut down {}", socket.label());
    if socket.reset {
        // A peer that closes with unread data leaves ECONNRESET behind.
        let own = file(socket, rebuild)?;
        unix_sockets::send(own.as_fd(), None, &[0], &[], None).explain(what)?;
    }
    let widowed = rebuild.unix.spouses.remove(&socket.id).is_some();
    if widowed && !socket.is_datagram() {
        return Ok(());
    }
    shut(file(socket, rebuild)?.as_fd(), socket.shutdown).explain(what)
}

/// Shuts down what bits 0 (receiving) and 1 (sending) say.
pub fn shut(socket: BorrowedFd, bits: u8) -> sys::Result<()> {
    match bits & 3 {
        0 => Ok(()),
        1 => unix_sockets::shutdown(socket, libc::SHUT_RD),
        2 => unix_sockets::shutdown(socket, libc::SHUT_WR),
        _ => unix_sockets::shutdown(socket, libc::SHUT_RDWR),
    }
}

/// Gives a socket that was taken over the options and the owner that it was saved with. Its backlog stays as it is: to set it,
/// listen(2) would make this command the one whom clients see (`SO_PEERCRED`).
pub fn settle_inherited(socket: &SocketV1, rebuild: &Rebuild) -> Result<()> {
    finish(socket, &rebuild.image.descriptions, rebuild)
}

fn finish(socket: &SocketV1, descriptions: &[DescriptionV1], rebuild: &Rebuild) -> Result<()> {
    let what = || format!("Could not restore {}", socket.label());
    let file = file(socket, rebuild)?;
    options::apply(&socket.options, file.as_fd(), &socket.label())?;
    if socket.mode != 0o777 {
        unix_sockets::set_mode(file.as_fd(), socket.mode).explain(what)?;
    }
    if sys::process::geteuid() == 0 && (socket.uid, socket.gid) != (0, 0) {
        std::os::unix::fs::fchown(file, Some(socket.uid), Some(socket.gid)).explain(what)?;
    }
    let flags = descriptions.iter().find(|description| description.id == socket.description);
    let flags = flags.map_or(0, |description| description.flags);
    sys::files::set_status_flags(file.as_fd(), flags & (libc::O_NONBLOCK | libc::O_ASYNC)).explain(what)
}

/// Opens nodes that the application has open as files, those of restored sockets among them.
pub fn apply_nodes(nodes: Vec<(&DescriptionV1, &UnixNodeV1)>, rebuild: &mut Rebuild) -> Result<()> {
    let image = Arc::clone(&rebuild.image);
    for (description, node) in nodes {
        let same = |socket: &&SocketV1| {
            let own = socket.held_name().and_then(|name| name.node.as_ref());
            own.is_some_and(|own| (own.device, own.inode) == (node.file.device, node.file.inode))
        };
        let held = image.unix_sockets.iter().find(same).and_then(|socket| rebuild.unix.nodes.get(&socket.id));
        let opened = match held {
            Some(held) => {
                held.try_clone().explain(|| format!("Could not open {}", node.file.path().display()))?
            }
            None => rebuild.open(&node.file, description.flags & (libc::O_PATH | libc::O_NOFOLLOW))?,
        };
        rebuild.descriptions.insert(description.id, opened);
    }
    Ok(())
}
