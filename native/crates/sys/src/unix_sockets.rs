//! UNIX sockets as things to examine and to rebuild (unix(7)): names, queues, peers, ancillary data.
//!
//! Names are the bytes of `sun_path`: a path without its final NUL, or an abstract name with its leading NUL.

use crate::{Errno, Result};
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Room for the ancillary data of one message: SCM_MAX_FD descriptors, credentials, and what else may come along.
const CONTROL_ROOM: usize = 4096;
const SCM_PIDFD: i32 = 4;
const SIOCUNIXFILE: libc::c_ulong = 0x89E0;
const PATH_AT: usize = offset_of!(libc::sockaddr_un, sun_path);
const PATH_ROOM: usize = size_of::<libc::sockaddr_un>() - PATH_AT;

/// Who sent a message: process, user, group (`SCM_CREDENTIALS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
}

/// A message that is queued, seen without being taken.
#[derive(Debug, Default)]
pub struct Peeked {
    pub bytes: Vec<u8>,
    /// Whole length of the message, which may be more than fitted.
    pub length: usize,
    pub name: Option<Vec<u8>>,
    /// Duplicates, close-on-exec.
    pub rights: Vec<OwnedFd>,
    pub sender: Option<Sender>,
    /// Some ancillary data did not fit.
    pub control_cut: bool,
}

pub fn socket(kind: i32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
        Errno::check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

pub fn accept(listener: BorrowedFd) -> Result<OwnedFd> {
    // SAFETY: null addresses are allowed; the new descriptor belongs to nobody else.
    unsafe {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fd = libc::accept4(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), flags);
        Errno::check(fd.into())?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// The bytes of `struct sockaddr_un` for a name.
pub fn address(name: &[u8]) -> Result<Vec<u8>> {
    if name.is_empty() || name.len() > PATH_ROOM {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(name);
    if name[0] != 0 && name.len() < PATH_ROOM {
        bytes.push(0);
    }
    Ok(bytes)
}

fn name_of(address: &[u8]) -> Option<Vec<u8>> {
    let name = address.get(PATH_AT..)?;
    match name.first()? {
        0 => Some(name.to_vec()),
        _ => Some(name.split(|&byte| byte == 0).next().unwrap_or(name).to_vec()),
    }
}

pub fn connect(socket: BorrowedFd, name: &[u8]) -> Result<()> {
    let address = address(name)?;
    // SAFETY: the address is live and its length is passed.
    let done = unsafe {
        libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), address.len() as libc::socklen_t)
    };
    Errno::check(done.into()).map(drop)
}

/// Dissolves the association of a datagram socket (connect(2), `AF_UNSPEC`).
pub fn disconnect(socket: BorrowedFd) -> Result<()> {
    let address = [0u8; PATH_AT];
    // SAFETY: the address is live and its length is passed.
    let done =
        unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), PATH_AT as libc::socklen_t) };
    Errno::check(done.into()).map(drop)
}

pub fn bind(socket: BorrowedFd, name: &[u8]) -> Result<()> {
    let address = address(name)?;
    // SAFETY: the address is live and its length is passed.
    let done =
        unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), address.len() as libc::socklen_t) };
    Errno::check(done.into()).map(drop)
}

/// `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`.
pub fn shutdown(socket: BorrowedFd, how: i32) -> Result<()> {
    // SAFETY: plain numbers.
    Errno::check(unsafe { libc::shutdown(socket.as_raw_fd(), how) }.into()).map(drop)
}

type NameCall = unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut libc::socklen_t) -> i32;

fn ask_name(socket: BorrowedFd, call: NameCall) -> Result<Option<Vec<u8>>> {
    let mut bytes = [0u8; size_of::<libc::sockaddr_un>() + 1];
    let mut length = bytes.len() as libc::socklen_t;
    // SAFETY: the buffer is live and writable, and its length is passed.
    Errno::check(unsafe { call(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), &raw mut length) }.into())?;
    Ok(name_of(&bytes[..bytes.len().min(length as usize)]))
}

/// What the socket is bound to, or has inherited from the listener that it was accepted by.
pub fn own_name(socket: BorrowedFd) -> Result<Option<Vec<u8>>> {
    ask_name(socket, libc::getsockname)
}

/// The name of the peer, also of one that has been closed; none when unnamed or not connected.
pub fn peer_name(socket: BorrowedFd) -> Result<Option<Vec<u8>>> {
    match ask_name(socket, libc::getpeername) {
        Err(Errno(libc::ENOTCONN)) => Ok(None),
        other => other,
    }
}

/// The file system node that the socket is bound to (`SIOCUNIXFILE`, needs CAP_NET_ADMIN), as an O_PATH descriptor.
pub fn node(socket: BorrowedFd) -> Result<OwnedFd> {
    // SAFETY: this ioctl takes no argument; the new descriptor belongs to nobody else.
    unsafe {
        let fd = libc::ioctl(socket.as_raw_fd(), SIOCUNIXFILE, 0);
        Errno::check(fd.into())?;
        libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Memory of sent messages that nobody has received, in bytes (`SIOCOUTQ`).
pub fn unreceived(socket: BorrowedFd) -> Result<u32> {
    let mut bytes = 0i32;
    // SAFETY: `bytes` is a live integer, which the ioctl fills.
    Errno::check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) }.into())?;
    Ok(bytes as u32)
}

/// `revents` of poll(2) now, for all events.
pub fn events(socket: BorrowedFd) -> Result<i16> {
    let events = libc::POLLIN | libc::POLLOUT | libc::POLLRDHUP | libc::POLLPRI;
    let mut entry = libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 };
    // SAFETY: one live entry.
    Errno::check(unsafe { libc::poll(&raw mut entry, 1, 0) }.into())?;
    Ok(entry.revents)
}

/// Is a byte of urgent data queued (`MSG_OOB`)? It stays.
pub fn has_urgent_byte(socket: BorrowedFd) -> bool {
    let mut byte = 0u8;
    let flags = libc::MSG_OOB | libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: room for one byte.
    unsafe { libc::recv(socket.as_raw_fd(), (&raw mut byte).cast(), 1, flags) == 1 }
}

/// A socket option of level SOL_SOCKET: at most `room` bytes.
pub fn option(socket: BorrowedFd, name: i32, room: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0u8; room];
    let mut length = room as libc::socklen_t;
    // SAFETY: the buffer is live and writable, and its length is passed.
    let done = unsafe {
        let at = bytes.as_mut_ptr().cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, at, &raw mut length)
    };
    Errno::check(done.into())?;
    bytes.truncate(length as usize);
    Ok(bytes)
}

pub fn set_option(socket: BorrowedFd, name: i32, value: &[u8]) -> Result<()> {
    // SAFETY: the value is live and its length is passed.
    let done = unsafe {
        let length = value.len() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, value.as_ptr().cast(), length)
    };
    Errno::check(done.into()).map(drop)
}

pub fn number_option(socket: BorrowedFd, name: i32) -> Result<i32> {
    let bytes = option(socket, name, 4)?;
    Ok(bytes.try_into().map_or(0, i32::from_ne_bytes))
}

pub fn set_number_option(socket: BorrowedFd, name: i32, value: i32) -> Result<()> {
    set_option(socket, name, &value.to_ne_bytes())
}

/// The process, user and group that made the connection or socket pair (`SO_PEERCRED`); none when nobody did.
pub fn peer_credentials(socket: BorrowedFd) -> Result<Option<Sender>> {
    let bytes = option(socket, libc::SO_PEERCRED, 12)?;
    let word = |at: usize| bytes[at..at + 4].try_into().map_or(0, u32::from_ne_bytes);
    let sender = Sender { pid: word(0) as i32, uid: word(4), gid: word(8) };
    Ok((sender.uid != u32::MAX).then_some(sender))
}

/// Looks at the message (or, on a stream, the bytes) at the socket's peek offset. `None` when there is nothing.
pub fn peek(socket: BorrowedFd, room: usize) -> Result<Option<Peeked>> {
    let mut bytes = Vec::with_capacity(room);
    let mut name = [0u8; size_of::<libc::sockaddr_un>() + 1];
    let mut control = [0u64; CONTROL_ROOM / 8];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC | libc::MSG_TRUNC;
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr() as *mut _, iov_len: room };
    // SAFETY: every pointer in the header is to a live buffer of the length given with it; the kernel fills
    // min(got, room) bytes of `bytes`.
    let (message, got) = unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_name = name.as_mut_ptr().cast();
        message.msg_namelen = name.len() as libc::socklen_t;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_ROOM;
        let got = Errno::check(libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) as i64);
        match got {
            Err(Errno::EAGAIN) => return Ok(None),
            Err(errno) => return Err(errno),
            Ok(got) => {
                bytes.set_len(room.min(got as usize));
                (message, got as usize)
            }
        }
    };
    let mut peeked = Peeked {
        bytes,
        length: got,
        name: name_of(&name[..name.len().min(message.msg_namelen as usize)]),
        control_cut: message.msg_flags & libc::MSG_CTRUNC != 0,
        ..Peeked::default()
    };
    take_control(&message, &mut peeked);
    Ok(Some(peeked))
}

/// How many bytes lie, from the peek offset of a stream on, in pieces that end within the next `room` bytes. A piece is
/// what one send(2) put there; the kernel copies it whole or, when it cannot write all of it, not at all. So a
/// buffer that cannot be written behind `room` bytes finds the bounds, which nothing else tells.
pub fn peek_whole_pieces(socket: BorrowedFd, room: usize) -> Result<usize> {
    /// On the page that no process has mapped (mmap(2), vm.mmap_min_addr).
    const UNWRITABLE: *mut libc::c_void = std::ptr::without_provenance_mut(8);
    let mut bytes = vec![0u8; room];
    let mut parts = [
        libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: room },
        libc::iovec { iov_base: UNWRITABLE, iov_len: 1 },
    ];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the first part is live and of the length given; writing to the second fails with EFAULT.
    let got = unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = parts.as_mut_ptr();
        message.msg_iovlen = parts.len();
        libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags)
    };
    match Errno::check(got as i64) {
        Err(Errno::EFAULT) => Ok(0),
        other => other.map(|got| got as usize),
    }
}

fn take_control(message: &libc::msghdr, peeked: &mut Peeked) {
    // SAFETY: the kernel filled in a well-formed list of control messages; each number in SCM_RIGHTS and SCM_PIDFD
    // is a new descriptor that nobody else owns. Data may be unaligned, hence read_unaligned.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = next.as_ref() {
            let length = header.cmsg_len - libc::CMSG_LEN(0) as usize;
            let data = libc::CMSG_DATA(header);
            match (header.cmsg_level, header.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    let numbers = (0..length / 4).map(|i| data.cast::<RawFd>().add(i).read_unaligned());
                    peeked.rights.extend(numbers.map(|fd| OwnedFd::from_raw_fd(fd)));
                }
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => {
                    let word = |i: usize| data.cast::<u32>().add(i).read_unaligned();
                    peeked.sender = Some(Sender { pid: word(0) as i32, uid: word(1), gid: word(2) });
                }
                (libc::SOL_SOCKET, SCM_PIDFD) => {
                    let fd = data.cast::<RawFd>().read_unaligned();
                    if fd >= 0 {
                        drop(OwnedFd::from_raw_fd(fd));
                    }
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(message, next);
        }
    }
}

/// Sends one message whole, without waiting; to `name` or the connected peer.
pub fn send(
    socket: BorrowedFd,
    name: Option<&[u8]>,
    bytes: &[u8],
    rights: &[RawFd],
    sender: Option<Sender>,
) -> Result<usize> {
    let address = name.map(address).transpose()?.unwrap_or_default();
    let control = control(rights, sender);
    let mut part = libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: bytes.len() };
    // SAFETY: every pointer in the header is to a live buffer of the length given with it; the kernel only reads.
    let sent = unsafe {
        let mut message: libc::msghdr = zeroed();
        if !address.is_empty() {
            message.msg_name = address.as_ptr() as *mut _;
            message.msg_namelen = address.len() as libc::socklen_t;
        }
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if !control.is_empty() {
            message.msg_control = control.as_ptr() as *mut _;
            message.msg_controllen = control.len() * 8;
        }
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    Errno::check(sent as i64).map(|sent| sent as usize)
}

/// Control messages, each at a multiple of eight bytes (cmsg(3)).
fn control(rights: &[RawFd], sender: Option<Sender>) -> Vec<u64> {
    let mut bytes = Vec::new();
    let mut add = |kind: i32, data: &[u8]| {
        bytes.extend_from_slice(&(16 + data.len()).to_ne_bytes());
        bytes.extend_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    };
    if !rights.is_empty() {
        add(libc::SCM_RIGHTS, &rights.iter().flat_map(|fd| fd.to_ne_bytes()).collect::<Vec<u8>>());
    }
    if let Some(sender) = sender {
        let words = [sender.pid as u32, sender.uid, sender.gid];
        add(libc::SCM_CREDENTIALS, &words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>());
    }
    bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes"))).collect()
}

/// Sets the mode of what a descriptor refers to (fchmod(2)).
pub fn set_mode(socket: BorrowedFd, mode: u32) -> Result<()> {
    // SAFETY: plain numbers.
    Errno::check(unsafe { libc::fchmod(socket.as_raw_fd(), mode) }.into()).map(drop)
}

/// The classic BPF program attached to a socket: eight bytes an instruction, empty when there is none. The length that
/// the kernel takes and gives for SO_GET_FILTER counts instructions.
pub fn filter(socket: BorrowedFd) -> Result<Vec<u8>> {
    const SO_GET_FILTER: i32 = libc::SO_ATTACH_FILTER;
    let mut length: libc::socklen_t = 0;
    let ask = |at: *mut libc::c_void, length: &mut libc::socklen_t| {
        // SAFETY: with a length of 0 nothing is written; otherwise the buffer has room for that many instructions.
        let done =
            unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_GET_FILTER, at, length) };
        Errno::check(done.into())
    };
    ask(ptr::null_mut(), &mut length)?;
    let mut bytes = vec![0u8; length as usize * 8];
    if length != 0 {
        ask(bytes.as_mut_ptr().cast(), &mut length)?;
    }
    Ok(bytes)
}

/// Attaches a classic BPF program, eight bytes an instruction.
pub fn attach_filter(socket: BorrowedFd, program: &[u8]) -> Result<()> {
    let aligned: Vec<u64> =
        program.chunks_exact(8).map(|c| u64::from_ne_bytes(c.try_into().expect("eight bytes"))).collect();
    let program = libc::sock_fprog { len: aligned.len() as u16, filter: aligned.as_ptr() as *mut _ };
    // SAFETY: the program points at `len` live instructions, which the kernel copies.
    let done = unsafe {
        let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
        let at = (&raw const program).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, at, length)
    };
    Errno::check(done.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn names_keep_their_nuls_only_when_abstract() {
        assert_eq!(name_of(&address(b"/tmp/s").unwrap()), Some(b"/tmp/s".to_vec()));
        assert_eq!(name_of(&address(b"\0a\0b\0").unwrap()), Some(b"\0a\0b\0".to_vec()));
        assert_eq!(name_of(&[1, 0]), None);
        assert_eq!(address(&[b'x'; 109]), Err(Errno(libc::ENAMETOOLONG)));
        assert_eq!(address(&[b'x'; 108]).unwrap().len(), 110);
    }

    #[test]
    fn a_peeked_message_comes_whole_and_stays() {
        let (a, b) = UnixDatagram::pair().unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        set_number_option(b.as_fd(), libc::SO_PASSCRED, 1).unwrap();
        assert_eq!(send(a.as_fd(), None, b"one", &[reader.as_raw_fd()], None), Ok(3));
        for _ in 0..2 {
            let peeked = peek(b.as_fd(), 2).unwrap().unwrap();
            assert_eq!((peeked.bytes.as_slice(), peeked.length), (&b"on"[..], 3));
            assert_eq!(peeked.rights.len(), 1);
            assert_eq!(peeked.sender.unwrap().pid, std::process::id() as i32);
        }
        assert!(peek(a.as_fd(), 2).unwrap().is_none());
    }
}
