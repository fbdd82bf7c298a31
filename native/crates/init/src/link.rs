//! One connection to an engine: whole messages in, whole messages out.

use abi::frame::{self, Inbox};
use abi::wire::{Failure, Reply, Request, Step};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use sys::{Errno, sockets};

/// Bytes taken per receive call.
const CHUNK: usize = 64 << 10;

pub struct Link {
    stream: UnixStream,
    inbox: Inbox<OwnedFd>,
}

impl Link {
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, inbox: Inbox::default() }
    }

    /// Waits for the next request; for the time before the helper serves several engines.
    pub fn receive(&mut self) -> io::Result<(Request, Vec<OwnedFd>)> {
        loop {
            if let Some(message) = self.next()? {
                return Ok(message);
            }
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Makes [`fill`](Self::fill) and [`send`](Self::send) never wait.
    pub fn never_wait(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    /// Takes what has arrived. False at the end of the stream.
    pub fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = vec![0; CHUNK];
        match sockets::receive(self.stream.as_fd(), &mut bytes) {
            Ok((0, _)) => Ok(false),
            Ok((length, descriptors)) => {
                self.inbox.accept(&bytes[..length], descriptors);
                Ok(true)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The next request that is complete.
    pub fn next(&mut self) -> io::Result<Option<(Request, Vec<OwnedFd>)>> {
        self.inbox.take().map_err(io::Error::other)
    }

    /// Tells another helper something that it does not answer.
    pub fn tell(&self, request: &Request) -> io::Result<()> {
        let bytes = frame::encode(request, 0).map_err(io::Error::other)?;
        Ok(sockets::send(self.stream.as_fd(), &bytes, &[]).map(drop)?)
    }

    /// Sends a reply. An engine that does not read what it asked for is an error, not a reason to wait.
    pub fn send(&self, reply: &Reply, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = frame::encode(reply, descriptors.len()).map_err(io::Error::other)?;
        match sockets::send(self.stream.as_fd(), &bytes, descriptors)? {
            sent if sent == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Names the step that a system call was part of.
pub fn at(step: Step) -> impl FnOnce(Errno) -> Failure {
    move |errno| Failure { step, errno: errno.0 }
}

/// The same for the standard library's errors.
pub fn at_io(step: Step) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure { step, errno: Errno::from_io(&error).0 }
}
