//! What the kernel says of UNIX sockets by their inode (sock_diag(7)).

use crate::{Errno, Result};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const HEADER: usize = 16;
/// UDIAG_SHOW_NAME | VFS | PEER | ICONS | RQLEN.
const SHOW: u32 = 0x1f;

/// One socket, as sock_diag(7) describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixDiag {
    /// 1 connected, 7 closed, 10 listening.
    pub state: u8,
    pub name: Option<Vec<u8>>,
    /// Lower half of the inode of the node that the socket is bound to.
    pub node: Option<u32>,
    /// Inode of the peer; 0 when the peer has no descriptor: closed, or not accepted yet.
    pub peer: Option<u32>,
    /// Inodes of clients that wait to be accepted; 0 for one that has closed meanwhile.
    pub waiting: Vec<u32>,
    /// Of a listener: how many wait, and how many may.
    pub queue: (u32, u32),
    /// Bit 0: receives no more, bit 1: sends no more.
    pub shutdown: u8,
}

/// A netlink socket that answers questions about the sockets of one network namespace.
#[derive(Debug)]
pub struct DiagSocket(OwnedFd);

impl From<OwnedFd> for DiagSocket {
    /// Asks by a netlink socket of the protocol `NETLINK_SOCK_DIAG`, about the network namespace that it was made in.
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl DiagSocket {
    /// Asks about the caller's network namespace.
    pub fn open() -> Result<Self> {
        const NETLINK_SOCK_DIAG: i32 = 4;
        // SAFETY: plain numbers; the new descriptor belongs to nobody else.
        unsafe {
            let fd = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
            Errno::check(fd.into())?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Asks about the network namespace of `/proc/PID/ns/net`, opened as `namespace`.
    pub fn open_in(namespace: File) -> Result<Self> {
        let inside = move || {
            // SAFETY: plain numbers. Only this thread, which ends at once, changes its namespace.
            Errno::check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }.into())?;
            Self::open()
        };
        std::thread::spawn(inside).join().map_err(|_| Errno::EIO)?
    }

    /// Describes the socket with this inode; none when there is no such socket here.
    pub fn unix(&self, inode: u64) -> Result<Option<UnixDiag>> {
        let request = request(inode as u32);
        // SAFETY: the buffer is live and its length is passed.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        Errno::check(sent as i64)?;
        let mut bytes = vec![0u8; 65536];
        // SAFETY: the buffer is live, writable and its length is passed.
        let got = unsafe { libc::recv(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        bytes.truncate(Errno::check(got as i64)? as usize);
        match parse(&bytes) {
            Err(Errno::ENOENT) => Ok(None),
            other => other.map(Some),
        }
    }
}

fn request(inode: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend_from_slice(&40u32.to_ne_bytes());
    bytes.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    // struct unix_diag_req: family, protocol, pad, states, inode, show, cookie (none)
    bytes.extend_from_slice(&[libc::AF_UNIX as u8, 0, 0, 0]);
    for word in [u32::MAX, inode, SHOW, u32::MAX, u32::MAX] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn parse(bytes: &[u8]) -> Result<UnixDiag> {
    let length = word(bytes, 0).ok_or(Errno::EIO)? as usize;
    let body = bytes.get(HEADER..length).ok_or(Errno::EIO)?;
    match short(bytes, 4) {
        Some(NLMSG_ERROR) => Err(Errno(-(word(body, 0).unwrap_or(0) as i32))),
        Some(SOCK_DIAG_BY_FAMILY) => describe(body).ok_or(Errno::EIO),
        _ => Err(Errno::EIO),
    }
}

/// struct unix_diag_msg {family, type, state, pad, inode, cookie[2]}, then attributes.
fn describe(body: &[u8]) -> Option<UnixDiag> {
    let mut diag = UnixDiag { state: *body.get(2)?, ..UnixDiag::default() };
    let mut rest = body.get(16..)?;
    while rest.len() >= 4 {
        let length = short(rest, 0)? as usize;
        let data = rest.get(4..length)?;
        match short(rest, 2)? {
            0 => diag.name = Some(data.to_vec()),
            1 => diag.node = word(data, 0),
            2 => diag.peer = word(data, 0),
            3 => diag.waiting = (0..data.len() / 4).filter_map(|i| word(data, i * 4)).collect(),
            4 => diag.queue = (word(data, 0)?, word(data, 4)?),
            6 => diag.shutdown = *data.first()?,
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(diag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_pair_names_each_other_as_peers() {
        let (a, b) = UnixStream::pair().unwrap();
        let [a, b] = [a, b].map(|socket| File::from(OwnedFd::from(socket)).metadata().unwrap().ino());
        let diag = DiagSocket::open().unwrap();
        // Both are closed by now: the question must be answered with "none", not with an error.
        assert_eq!((diag.unix(a), diag.unix(b)), (Ok(None), Ok(None)));
        let (c, d) = UnixStream::pair().unwrap();
        let inode = |socket: &UnixStream| {
            File::from(OwnedFd::from(socket.try_clone().unwrap())).metadata().unwrap().ino()
        };
        let found = diag.unix(inode(&c)).unwrap().unwrap();
        assert_eq!((found.state, found.peer, found.shutdown), (1, Some(inode(&d) as u32), 0));
        d.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(diag.unix(inode(&c)).unwrap().unwrap().shutdown, 1);
    }

    #[test]
    fn damaged_answers_are_errors() {
        assert_eq!(parse(&[]), Err(Errno::EIO));
        assert_eq!(parse(&[200, 0, 0, 0, 20, 0, 0, 0]), Err(Errno::EIO));
        assert_eq!(describe(&[0; 15]), None);
    }
}
