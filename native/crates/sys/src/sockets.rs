//! UNIX sockets that carry descriptors (unix(7), SCM_RIGHTS).

use crate::{Errno, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Most descriptors that go with one message.
pub const MAX_DESCRIPTORS: usize = 16;

/// Room for one SCM_RIGHTS message of [`MAX_DESCRIPTORS`], aligned for its header.
#[repr(C, align(8))]
struct Ancillary([u8; 128]);

/// Sends bytes with descriptors attached to the first of them. Returns how many bytes went out; the
/// descriptors went with them when that is not 0. A vanished peer is `EPIPE`, never a signal.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<usize> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(Errno::EINVAL);
    }
    let mut part = libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: bytes.len() };
    let mut ancillary = Ancillary([0; 128]);
    let mut message = header(&mut part);
    if !descriptors.is_empty() {
        attach(&mut message, &mut ancillary, descriptors);
    }
    // SAFETY: `message` points at live locals; the kernel only reads them.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    Ok(Errno::check(sent as libc::c_long)? as usize)
}

fn attach(message: &mut libc::msghdr, ancillary: &mut Ancillary, descriptors: &[BorrowedFd<'_>]) {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let bytes = size_of_val(numbers.as_slice()) as u32;
    message.msg_control = ancillary.0.as_mut_ptr().cast();
    // SAFETY: the buffer holds one message of MAX_DESCRIPTORS, more than is written; CMSG_FIRSTHDR is not
    // null because the control length covers a whole header.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(bytes) as usize;
        let first = libc::CMSG_FIRSTHDR(message);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(bytes) as usize;
        ptr::copy_nonoverlapping(numbers.as_ptr().cast::<u8>(), libc::CMSG_DATA(first), bytes as usize);
    }
}

/// Receives bytes and the descriptors that came with them (close-on-exec). 0 bytes mean the end.
pub fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut ancillary = Ancillary([0; 128]);
    let mut message = header(&mut part);
    message.msg_control = ancillary.0.as_mut_ptr().cast();
    message.msg_controllen = ancillary.0.len();
    // SAFETY: `message` points at live, writable locals of the lengths it states.
    let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let got = Errno::check(got as libc::c_long)? as usize;
    Ok((got, detach(&message)))
}

fn detach(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: the kernel filled in a well-formed list of control messages; each number in a SCM_RIGHTS one
    // is a new descriptor that nobody else owns. They may be unaligned, hence read_unaligned.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(message);
        while let Some(control) = next.as_ref() {
            if control.cmsg_level == libc::SOL_SOCKET && control.cmsg_type == libc::SCM_RIGHTS {
                let count = (control.cmsg_len - libc::CMSG_LEN(0) as usize) / size_of::<RawFd>();
                let numbers = libc::CMSG_DATA(control).cast::<RawFd>();
                let fds = (0..count).map(|i| numbers.add(i).read_unaligned());
                descriptors.extend(fds.map(|fd| OwnedFd::from_raw_fd(fd)));
            }
            next = libc::CMSG_NXTHDR(message, next);
        }
    }
    descriptors
}

fn header(part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: msghdr is plain data for which all zeroes mean "nothing".
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

/// Starts (or starts again) to listen. The peer credentials of later connections name the process that
/// called this last (unix(7), SO_PEERCRED).
pub fn listen(socket: BorrowedFd<'_>, backlog: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    Errno::check(unsafe { libc::listen(socket.as_raw_fd(), backlog) }.into()).map(drop)
}

/// The effective uid that the peer of a connected UNIX socket had, in the caller's user namespace.
pub fn peer_uid(socket: BorrowedFd<'_>) -> Result<u32> {
    let mut peer = MaybeUninit::<libc::ucred>::zeroed();
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `peer`, which is plain data.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            peer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Errno::check(done.into())?;
    // SAFETY: zeroed, then filled in by the kernel.
    Ok(unsafe { peer.assume_init() }.uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_travels_with_its_bytes() {
        let (a, b) = UnixStream::pair().expect("a pair");
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        assert_eq!(send(a.as_fd(), b"take it", &[writer.as_fd()]), Ok(7));
        drop(writer);
        let mut bytes = [0; 16];
        let (length, descriptors) = receive(b.as_fd(), &mut bytes).expect("a message");
        assert_eq!(&bytes[..length], b"take it");
        let [descriptor] = <[OwnedFd; 1]>::try_from(descriptors).expect("one descriptor");
        std::io::PipeWriter::from(descriptor).write_all(b"through").expect("the pipe is open");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("the other end is closed");
        assert_eq!(text, "through");
        assert_eq!(peer_uid(a.as_fd()), Ok(crate::lifecycle::effective_uid()));
    }
}
