//! Socket options as bytes (getsockopt(2), setsockopt(2), socket(7)); what they mean is the caller's business.

use crate::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Size in bytes of one instruction of a classic socket filter (`struct sock_filter`).
const FILTER_INSTRUCTION: usize = 8;

/// The value of an option, at most `room` bytes of it.
pub fn option(socket: BorrowedFd<'_>, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
    option_about(socket, level, name, &vec![0; room])
}

/// The value of an option that takes a question: the bytes of `question` go in, and as many may come back.
pub fn option_about(socket: BorrowedFd<'_>, level: i32, name: i32, question: &[u8]) -> Result<Vec<u8>> {
    let mut value = question.to_vec();
    let mut length = value.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `value`, which has that many.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length)
    };
    Errno::check(done.into())?;
    value.truncate(length as usize);
    Ok(value)
}

/// The value of an option that is an integer.
pub fn number(socket: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32> {
    let value = option(socket, level, name, 4)?;
    Ok(value.try_into().map_or(0, i32::from_ne_bytes))
}

pub fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<()> {
    // SAFETY: the pointer and the length describe `value`, which the kernel only reads.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    Errno::check(done.into()).map(drop)
}

pub fn set_number(socket: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<()> {
    set_option(socket, level, name, &value.to_ne_bytes())
}

/// The classic BPF program that filters what a socket receives (`SO_GET_FILTER`), 8 bytes an instruction; empty when
/// there is none, `EACCES` when the filter is an eBPF program.
pub fn filter(socket: BorrowedFd<'_>) -> Result<Vec<u8>> {
    let mut length: libc::socklen_t = 0;
    let mut program: Vec<u8> = Vec::new();
    for _ in 0..2 {
        program.resize(length as usize * FILTER_INSTRUCTION, 0);
        // SAFETY: the kernel writes at most `length` instructions into `program`, which has room for them; asked with 0
        // it writes none and says how many there are.
        let done = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_GET_FILTER,
                program.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        Errno::check(done.into())?;
        if length == 0 {
            return Ok(Vec::new());
        }
    }
    Ok(program)
}

/// Makes a classic BPF program filter what a socket receives (`SO_ATTACH_FILTER`).
pub fn attach_filter(socket: BorrowedFd<'_>, program: &[u8]) -> Result<()> {
    #[repr(C)]
    struct Program {
        instructions: u16,
        first: *const u8,
    }
    let count = u16::try_from(program.len() / FILTER_INSTRUCTION).map_err(|_| Errno::EINVAL)?;
    let fprog = Program { instructions: count, first: program.as_ptr() };
    // SAFETY: `fprog` has the layout of struct sock_fprog and points at `instructions` instructions; the kernel copies
    // them.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const fprog).cast(),
            size_of::<Program>() as libc::socklen_t,
        )
    };
    Errno::check(done.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn an_option_comes_back_as_it_was_set() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        set_number(socket.as_fd(), libc::SOL_SOCKET, libc::SO_BROADCAST, 1).expect("set");
        assert_eq!(number(socket.as_fd(), libc::SOL_SOCKET, libc::SO_BROADCAST), Ok(1));
    }

    #[test]
    fn a_filter_comes_back_as_it_was_attached() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        assert_eq!(filter(socket.as_fd()), Ok(Vec::new()));
        // ret #65535
        let program = [6, 0, 0, 0, 0xff, 0xff, 0, 0];
        attach_filter(socket.as_fd(), &program).expect("attached");
        assert_eq!(filter(socket.as_fd()), Ok(program.to_vec()));
    }
}
