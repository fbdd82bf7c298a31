//! What is queued in a socket, read without being taken: `SO_PEEK_OFF` makes each MSG_PEEK go on where the one before
//! ended, and `SO_PASSCRED` makes each tell who sent it. Both are put back before anything else happens; the
//! application, which stands still, cannot see the change.

use super::{CredentialsV1, MessageV1, SocketV1};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::ids::{DescriptionId, OriginalPid};
use crate::procfs::{FdInfo, Status};
use crate::rebuild::Rebuild;
use crate::state::descriptors::{Found, collect_description};
use crate::state::filesystem;
use serde_bytes::ByteBuf;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use sys::unix_sockets::{self, Peeked, Sender, number_option, set_number_option};

/// Enough for anything that sockets of ordinary buffer size can hold.
const ROOM: usize = 1 << 20;

/// Holds a socket in a state in which its queue can be walked.
struct Walk<'f> {
    socket: BorrowedFd<'f>,
    kind: i32,
    peek_offset: i32,
    pass_credentials: i32,
}

impl<'f> Walk<'f> {
    fn start(socket: BorrowedFd<'f>, kind: i32) -> sys::Result<Self> {
        let peek_offset = number_option(socket, libc::SO_PEEK_OFF)?;
        let pass_credentials = number_option(socket, libc::SO_PASSCRED)?;
        let walk = Self { socket, kind, peek_offset, pass_credentials };
        set_number_option(socket, libc::SO_PASSCRED, 1)?;
        Ok(walk)
    }

    /// Looks at what lies `at` bytes behind the head of the queue.
    fn peek(&self, at: usize, room: usize) -> sys::Result<Option<Peeked>> {
        set_number_option(self.socket, libc::SO_PEEK_OFF, at as i32)?;
        unix_sockets::peek(self.socket, room)
    }

    /// The next message of a datagram or seqpacket socket. An empty one is told from the end by its sender. For these
    /// the offset goes on by itself: asking for the same one again would return an empty message for ever.
    fn message(&self, at: usize) -> sys::Result<Option<Peeked>> {
        let Some(mut peeked) = unix_sockets::peek(self.socket, ROOM)? else { return Ok(None) };
        if peeked.length > peeked.bytes.len() {
            peeked = self.peek(at, peeked.length)?.ok_or(sys::Errno::EIO)?;
        }
        let end = self.kind != libc::SOCK_DGRAM && peeked.length == 0 && peeked.sender.is_none();
        Ok((!end).then_some(peeked))
    }

    /// The next bytes of a stream that have one sender and came with the same descriptors, if any.
    fn stretch(&self, at: usize, left: usize) -> sys::Result<Peeked> {
        let peeked = self.peek(at, left)?.ok_or(sys::Errno::EIO)?;
        if peeked.rights.is_empty() || peeked.bytes.len() < 2 {
            return Ok(peeked);
        }
        // The descriptors belong to the last piece; what comes before it is a stretch of its own.
        set_number_option(self.socket, libc::SO_PEEK_OFF, at as i32)?;
        let before = unix_sockets::peek_whole_pieces(self.socket, peeked.bytes.len() - 1)?;
        match before {
            0 => Ok(peeked),
            plain => {
                let bytes = peeked.bytes[..plain].to_vec();
                Ok(Peeked { length: plain, bytes, rights: Vec::new(), ..peeked })
            }
        }
    }

    fn all(&self, total: usize) -> sys::Result<Vec<Peeked>> {
        let mut messages = Vec::new();
        let mut at = 0;
        if self.kind == libc::SOCK_STREAM {
            // Never a look beyond the end, which would take a pending error away.
            while at < total {
                let stretch = self.stretch(at, total - at)?;
                if stretch.bytes.is_empty() {
                    return Err(sys::Errno::EIO);
                }
                at += stretch.bytes.len();
                messages.push(stretch);
            }
            return Ok(messages);
        }
        set_number_option(self.socket, libc::SO_PEEK_OFF, 0)?;
        while let Some(message) = self.message(at)? {
            at += message.length;
            messages.push(message);
        }
        Ok(messages)
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        // What was accepted a moment ago is accepted again.
        let _ = set_number_option(self.socket, libc::SO_PEEK_OFF, self.peek_offset);
        let _ = set_number_option(self.socket, libc::SO_PASSCRED, self.pass_credentials);
    }
}

/// Reads the queue of a connected or datagram socket; descriptors in flight are captured like any others.
pub fn collect(found: &Found, kind: i32, collection: &mut Collection) -> Result<Vec<MessageV1>> {
    let what = || format!("Could not read what is queued in {} of process {}", found.name(), found.pid);
    let socket = found.file.as_fd();
    let total = sys::files::readable_bytes(socket).explain(what)? as usize;
    let waiting = unix_sockets::events(socket).explain(what)? & libc::POLLIN != 0;
    if !waiting {
        return Ok(Vec::new());
    }
    let peeked = Walk::start(socket, kind).and_then(|walk| walk.all(total)).explain(what)?;
    peeked.into_iter().map(|message| keep(found, message, collection)).collect()
}

fn keep(found: &Found, message: Peeked, collection: &mut Collection) -> Result<MessageV1> {
    if message.control_cut {
        return found.refuse("a message queued in it carries more than this process may open");
    }
    let mut rights = Vec::with_capacity(message.rights.len());
    for fd in message.rights {
        rights.push(in_flight(fd, collection)?);
    }
    Ok(MessageV1 {
        bytes: ByteBuf::from(message.bytes),
        from: message.name.map(ByteBuf::from),
        rights,
        sender: message.sender.and_then(credentials),
    })
}

/// A description that a message refers to, whether or not a process has it open too.
fn in_flight(fd: OwnedFd, collection: &mut Collection) -> Result<DescriptionId> {
    let what = || "Could not examine a descriptor in flight".to_owned();
    let (pid, number) = (sys::process::gettid(), fd.as_raw_fd());
    let file = File::from(fd.try_clone().explain(what)?);
    let found = Found {
        pid,
        fd: number,
        meta: file.metadata().explain(what)?,
        flags: sys::files::status_flags(file.as_fd()).explain(what)?,
        link: filesystem::link(&format!("/proc/{pid}/fd/{number}"))?,
        info: FdInfo::read(pid, number).explain(what)?,
        file,
    };
    // Others are compared with it by its number, so it stays open until the end.
    collection.unix.in_flight.push(fd);
    match collection.registry.known(&found)? {
        Some(id) => Ok(id),
        None => collect_description(found, collection),
    }
}

/// Whoever sent or connected, as the application knows it. Without a process there was no such information.
pub fn credentials(sender: Sender) -> Option<CredentialsV1> {
    if sender.pid == 0 {
        return None;
    }
    let status = Status::read(&sender.pid.to_string()).ok();
    // One that has ended is known by no other number.
    let pid = status.map_or(sender.pid, |status| status.innermost("NSpid"));
    Some(CredentialsV1 { pid: OriginalPid(pid), uid: sender.uid, gid: sender.gid })
}

/// Who a message is sent as: credentials name a process of today. None when the message had none. A sender that is not
/// of the application is represented by the receiver's process, which the note says.
pub fn to_sender(
    saved: Option<CredentialsV1>,
    receiver: &SocketV1,
    rebuild: &Rebuild,
) -> (Option<Sender>, Option<String>) {
    let Some(saved) = saved else { return (None, None) };
    let named = |pid| Sender { pid, uid: saved.uid, gid: saved.gid };
    match rebuild.current(saved.pid) {
        Some(pid) => (Some(named(pid)), None),
        None => {
            let note = format!(
                "a message queued in {} is from process {}, which is not of the application",
                receiver.label(),
                saved.pid
            );
            let stand_in = rebuild.current(receiver.holder).or_else(|| rebuild.pids.values().min().copied());
            (stand_in.map(named), Some(note))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    fn walk(socket: &impl AsFd, kind: i32) -> Vec<(Vec<u8>, usize)> {
        let total = sys::files::readable_bytes(socket.as_fd()).unwrap() as usize;
        let all = Walk::start(socket.as_fd(), kind).and_then(|walk| walk.all(total)).unwrap();
        all.into_iter().map(|message| (message.bytes, message.rights.len())).collect()
    }

    #[test]
    fn a_stream_is_split_where_descriptors_travel() {
        let (mut a, b) = UnixStream::pair().unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        a.write_all(b"plain").unwrap();
        for _ in 0..2 {
            unix_sockets::send(a.as_fd(), None, b"with", &[reader.as_raw_fd()], None).unwrap();
        }
        a.write_all(b"after").unwrap();
        let expected =
            [(b"plain".to_vec(), 0), (b"with".to_vec(), 1), (b"with".to_vec(), 1), (b"after".to_vec(), 0)];
        assert_eq!(walk(&b, libc::SOCK_STREAM), expected);
        assert_eq!(walk(&b, libc::SOCK_STREAM), expected, "looking takes nothing");
        assert_eq!(number_option(b.as_fd(), libc::SO_PEEK_OFF), Ok(-1));
    }

    #[test]
    fn datagrams_keep_their_bounds_and_empty_ones_count() {
        let (a, b) = UnixDatagram::pair().unwrap();
        for message in [&b"abc"[..], b"", b"defgh"] {
            a.send(message).unwrap();
        }
        let expected = [(b"abc".to_vec(), 0), (Vec::new(), 0), (b"defgh".to_vec(), 0)];
        assert_eq!(walk(&b, libc::SOCK_DGRAM), expected);
    }
}
