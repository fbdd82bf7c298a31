//! Sockets of any family by their raw addresses: making, binding, connecting, looking at what is queued (socket(2),
//! bind(2), connect(2), recvmsg(2)). An address is the bytes of a `struct sockaddr_...`, as the kernel gives them.

use crate::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Room for every kind of address (`struct sockaddr_storage`).
const ADDRESS: usize = 128;

/// A new socket, close-on-exec.
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Waits until all that the kernel did with packets when this was called is done: until no section that reads under RCU is left
/// of then (membarrier(2), `MEMBARRIER_CMD_GLOBAL`). Where processors run without a tick (`nohz_full`), the end of a packet socket,
/// for which the kernel waits in the same way (packet(7)).
pub fn await_packets() -> Result<()> {
    const MEMBARRIER_CMD_GLOBAL: i32 = 1;
    // SAFETY: plain numbers.
    let waited = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    match Errno::check(waited) {
        Err(Errno(libc::EINVAL | libc::ENOSYS)) => socket(libc::AF_PACKET, libc::SOCK_RAW, 0).map(drop),
        other => other.map(|_| ()),
    }
}

pub fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> Result<()> {
    let length = address.len() as libc::socklen_t;
    // SAFETY: the pointer and the length describe `address`.
    Errno::check(unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), length) }.into()).map(drop)
}

pub fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> Result<()> {
    let length = address.len() as libc::socklen_t;
    // SAFETY: the pointer and the length describe `address`.
    Errno::check(unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length) }.into())
        .map(drop)
}

type NameCall = unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut libc::socklen_t) -> i32;

fn name(socket: BorrowedFd<'_>, call: NameCall) -> Result<Vec<u8>> {
    let mut address = vec![0u8; ADDRESS];
    let mut length = ADDRESS as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `address`, which has that many.
    Errno::check(unsafe { call(socket.as_raw_fd(), address.as_mut_ptr().cast(), &raw mut length) }.into())?;
    address.truncate(length as usize);
    Ok(address)
}

/// getsockname(2).
pub fn local_address(socket: BorrowedFd<'_>) -> Result<Vec<u8>> {
    name(socket, libc::getsockname)
}

/// getpeername(2).
pub fn peer_address(socket: BorrowedFd<'_>) -> Result<Vec<u8>> {
    name(socket, libc::getpeername)
}

/// shutdown(2); `how` is `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`.
pub fn shutdown(socket: BorrowedFd<'_>, how: i32) -> Result<()> {
    // SAFETY: plain numbers.
    Errno::check(unsafe { libc::shutdown(socket.as_raw_fd(), how) }.into()).map(drop)
}

/// A message as recvmsg(2) tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub bytes: Vec<u8>,
    pub from: Vec<u8>,
    /// Control messages: level, type, data.
    pub control: Vec<(i32, i32, Vec<u8>)>,
}

/// Looks at the next message without taking it or waiting for one; at most `room` bytes of it.
pub fn peek(socket: BorrowedFd<'_>, room: usize) -> Result<Message> {
    let mut bytes = vec![0u8; room];
    let mut from = vec![0u8; ADDRESS];
    let mut control = vec![0u64; 128];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: every pointer of `message` leads to a live, writable buffer of the length that it states.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_name = from.as_mut_ptr().cast();
        message.msg_namelen = ADDRESS as libc::socklen_t;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(control.as_slice());
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let got = Errno::check(libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) as i64)?;
        bytes.truncate(got as usize);
        from.truncate(message.msg_namelen as usize);
        Ok(Message { bytes, from, control: read_control(&message) })
    }
}

/// # Safety
/// The kernel has filled in `message`, whose buffers are still live.
unsafe fn read_control(message: &libc::msghdr) -> Vec<(i32, i32, Vec<u8>)> {
    let mut list = Vec::new();
    // SAFETY: the kernel's list is well formed: every header lies in the buffer, and its data follows it.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = next.as_ref() {
            let length = header.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            let data = std::slice::from_raw_parts(libc::CMSG_DATA(next), length).to_vec();
            list.push((header.cmsg_level, header.cmsg_type, data));
            next = libc::CMSG_NXTHDR(message, next);
        }
    }
    list
}

/// Sends without waiting; to `address` when it is not empty. Returns how many bytes went out.
pub fn send_to(socket: BorrowedFd<'_>, bytes: &[u8], address: &[u8]) -> Result<usize> {
    let to = if address.is_empty() { std::ptr::null() } else { address.as_ptr() };
    // SAFETY: pointers and lengths describe `bytes` and `address`; a null address goes with length 0.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            to.cast(),
            address.len() as libc::socklen_t,
        )
    };
    Errno::check(sent as i64).map(|sent| sent as usize)
}

/// Receives without looking at who sent; waits at most as long as the socket's own timeout says.
pub fn receive(socket: BorrowedFd<'_>, room: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0u8; room];
    // SAFETY: the buffer is live and its length is passed.
    let got = unsafe { libc::recv(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), room, 0) };
    bytes.truncate(Errno::check(got as i64)? as usize);
    Ok(bytes)
}

fn queue_size(socket: BorrowedFd<'_>, request: libc::c_ulong) -> Result<u32> {
    let mut bytes = 0i32;
    // SAFETY: the ioctl stores one integer into `bytes`.
    Errno::check(unsafe { libc::ioctl(socket.as_raw_fd(), request as _, &raw mut bytes) }.into())?;
    Ok(bytes as u32)
}

/// Bytes that can be read (`SIOCINQ`, tcp(7), udp(7)).
pub fn unread_bytes(socket: BorrowedFd<'_>) -> Result<u32> {
    queue_size(socket, libc::FIONREAD)
}

/// Bytes that were written and not acknowledged (`SIOCOUTQ`, tcp(7)).
pub fn unacknowledged_bytes(socket: BorrowedFd<'_>) -> Result<u32> {
    queue_size(socket, libc::TIOCOUTQ)
}

/// Bytes that were written and not even sent (`SIOCOUTQNSD`).
pub fn unsent_bytes(socket: BorrowedFd<'_>) -> Result<u32> {
    const SIOCOUTQNSD: libc::c_ulong = 0x894b;
    queue_size(socket, SIOCOUTQNSD)
}

/// The network namespace in which a socket lives (`SIOCGSKNS`, kernel 4.10).
pub fn namespace(socket: BorrowedFd<'_>) -> Result<OwnedFd> {
    const SIOCGSKNS: libc::c_ulong = 0x894c;
    // SAFETY: the ioctl takes no argument; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::ioctl(socket.as_raw_fd(), SIOCGSKNS as _).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// What poll(2) says right now of everything that can be asked for (`POLLRDHUP` and the rest of its bits).
pub fn conditions(socket: BorrowedFd<'_>) -> Result<i16> {
    let events = libc::POLLIN | libc::POLLOUT | libc::POLLPRI | libc::POLLRDHUP;
    let mut entry = libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 };
    // SAFETY: one live pollfd.
    Errno::check(unsafe { libc::poll(&raw mut entry, 1, 0) }.into())?;
    Ok(entry.revents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn a_datagram_can_be_looked_at_twice() {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let to = local_address(receiver.as_fd()).expect("a name");
        assert_eq!(send_to(sender.as_fd(), b"hello", &to), Ok(5));
        for _ in 0..2 {
            let message = peek(receiver.as_fd(), 100).expect("a datagram");
            assert_eq!(message.bytes, b"hello");
            assert_eq!(Ok(message.from), local_address(sender.as_fd()));
        }
        assert_eq!(unread_bytes(receiver.as_fd()), Ok(5));
    }
}
