//! Netlink messages as bytes: header, attributes, and a conversation with one kernel subsystem (netlink(7)).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use sys::{Errno, namespaces, network, poll};

pub const NLM_F_REQUEST: u16 = 1;
pub const NLM_F_ACK: u16 = 4;
pub const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
/// The kernel fills at most this much of a receive buffer when it dumps.
const ROOM: usize = 64 << 10;

/// One message with its header; `sequence` tells answers apart.
pub fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = (HEADER + body.len()) as u32;
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4) as usize);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// One attribute, padded.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + value.len());
    bytes.extend(((4 + value.len()) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An attribute that consists of others.
pub fn nest(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    const NLA_F_NESTED: u16 = 0x8000;
    attribute(kind | NLA_F_NESTED, &parts.concat())
}

/// Splits a run of attributes into kinds and values; stops where the bytes make no sense.
pub fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut list = Vec::new();
    while bytes.len() >= 4 {
        let length = half(bytes, 0) as usize;
        let Some(value) = bytes.get(4..length) else { break };
        list.push((half(bytes, 2) & 0x3fff, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    list
}

/// The native 16-bit number at byte `at`.
pub fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |two| u16::from_ne_bytes(two.try_into().expect("two bytes")))
}

/// The native 32-bit number at byte `at`.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |four| u32::from_ne_bytes(four.try_into().expect("four bytes")))
}

/// Does something in another network namespace: sockets stay in the one that they were made in.
pub fn within<T: Send>(
    namespace: BorrowedFd<'_>,
    what: impl FnOnce() -> sys::Result<T> + Send,
) -> sys::Result<T> {
    // A thread of its own goes there, so that this one need not find back.
    std::thread::scope(|scope| {
        let there = || namespaces::enter_network(namespace).and_then(|()| what());
        scope.spawn(there).join().unwrap_or(Err(Errno::EIO))
    })
}

/// A netlink socket of our own.
#[derive(Debug)]
pub struct Conversation(OwnedFd);

impl From<OwnedFd> for Conversation {
    /// Through this socket, about the network namespace that it was made in.
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl From<Conversation> for OwnedFd {
    fn from(conversation: Conversation) -> Self {
        conversation.0
    }
}

impl Conversation {
    pub fn open(protocol: i32) -> sys::Result<Self> {
        network::socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol).map(Self)
    }

    /// A conversation about another network namespace: a socket stays in the one that it was made in.
    pub fn open_in(namespace: BorrowedFd<'_>, protocol: i32) -> sys::Result<Self> {
        within(namespace, || Self::open(protocol))
    }

    /// Sends one dump request and returns the bodies of all messages that answer it.
    pub fn dump(&self, kind: u16, body: &[u8]) -> sys::Result<Vec<Vec<u8>>> {
        self.send(&message(kind, NLM_F_REQUEST | NLM_F_DUMP, 1, body))?;
        let mut bodies = Vec::new();
        loop {
            let bytes = network::receive(self.0.as_fd(), ROOM)?;
            for (kind, body) in split(&bytes)? {
                match kind {
                    NLMSG_DONE => return Ok(bodies),
                    NLMSG_ERROR => return error(body).map(|()| bodies),
                    _ => bodies.push(body.to_vec()),
                }
            }
        }
    }

    /// Sends one question and returns the body of the message that answers it.
    pub fn get(&self, kind: u16, body: &[u8]) -> sys::Result<Vec<u8>> {
        self.send(&message(kind, NLM_F_REQUEST, 1, body))?;
        let bytes = network::receive(self.0.as_fd(), ROOM)?;
        match split(&bytes)?.first() {
            Some((NLMSG_ERROR, body)) => error(body).and(Err(Errno(libc::EBADMSG))),
            Some((_, body)) => Ok(body.to_vec()),
            None => Err(Errno(libc::EBADMSG)),
        }
    }

    /// Sends messages, one of which asks for an acknowledgement or fails, and waits for that.
    pub fn ask(&self, messages: &[u8]) -> sys::Result<()> {
        self.send(messages)?;
        loop {
            let bytes = network::receive(self.0.as_fd(), ROOM)?;
            for (kind, body) in split(&bytes)? {
                if kind == NLMSG_ERROR {
                    return error(body);
                }
            }
        }
    }

    /// From now on also hears what the kernel tells all who listen: of the kinds in `groups`, a mask of bits. Nothing was sent yet.
    pub fn listen(&self, groups: u32) -> sys::Result<()> {
        // struct sockaddr_nl: family, padding, a number that the kernel gives, groups. One without a number hears nothing.
        let mut address = (libc::AF_NETLINK as u16).to_ne_bytes().to_vec();
        address.extend([0; 6]);
        address.extend(groups.to_ne_bytes());
        network::bind(self.0.as_fd(), &address)
    }

    /// Waits until something is told, or `limit` has passed; what it is is not looked at. Returns whether something was told.
    pub fn hear(&self, limit: Duration) -> sys::Result<bool> {
        let readable = poll::poll(&[(self.0.as_fd(), poll::Interest::Readable)], Some(limit))?;
        if !readable.iter().any(|ready| *ready) {
            return Ok(false);
        }
        match network::receive(self.0.as_fd(), ROOM) {
            // More was told than there is room for.
            Ok(_) | Err(Errno(libc::ENOBUFS)) => Ok(true),
            Err(errno) => Err(errno),
        }
    }

    fn send(&self, messages: &[u8]) -> sys::Result<()> {
        network::send_to(self.0.as_fd(), messages, &[]).map(drop)
    }
}

fn error(body: &[u8]) -> sys::Result<()> {
    match word(body, 0) as i32 {
        0 => Ok(()),
        number => Err(Errno(-number)),
    }
}

fn split(mut bytes: &[u8]) -> sys::Result<Vec<(u16, &[u8])>> {
    let mut list = Vec::new();
    while bytes.len() >= HEADER {
        let length = word(bytes, 0) as usize;
        let body = bytes.get(HEADER..length).ok_or(Errno(libc::EBADMSG))?;
        list.push((half(bytes, 4), body));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let bytes = [attribute(3, b"abcde"), attribute(9, &7u32.to_ne_bytes())].concat();
        assert_eq!(attributes(&bytes), [(3, &b"abcde"[..]), (9, &7u32.to_ne_bytes()[..])]);
    }

    #[test]
    fn a_damaged_attribute_ends_the_list() {
        let mut bytes = attribute(3, b"abcd");
        bytes.extend([200, 0, 4, 0]);
        assert_eq!(attributes(&bytes), [(3, &b"abcd"[..])]);
    }

    #[test]
    fn messages_are_split_at_their_lengths() {
        let bytes = [message(20, 0, 1, b"one"), message(21, 0, 1, b"other")].concat();
        let kinds: Vec<_> = split(&bytes).expect("whole messages");
        assert_eq!(kinds, [(20, &b"one"[..]), (21, &b"other"[..])]);
        assert!(split(&bytes[..38]).is_err());
    }
}
