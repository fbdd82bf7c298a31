//! A connection to a capsule's helper.

use crate::{Aid, home};
use abi::frame::{self, Inbox};
use abi::request::Home;
use abi::wire::{Failure, Reply, Request};
use abi::{Control, Fault};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use sys::poll::{Interest, poll};
use sys::{Errno, sockets};

/// How long a helper may take to answer what it can answer at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a wait looks whether its caller has given it up.
const CANCEL_INTERVAL: Duration = Duration::from_millis(50);
/// Bytes taken per receive call.
const CHUNK: usize = 64 << 10;

pub struct Link {
    stream: UnixStream,
    inbox: Inbox<OwnedFd>,
}

/// Why a conversation with a helper came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The helper, and with it the application, has ended.
    #[error("the application has ended")]
    Ended,
    #[error("the capsule does not answer")]
    Silent,
    #[error("interrupted")]
    Cancelled,
    #[error("the capsule refused")]
    Failed(Failure),
    #[error("the capsule gave an answer to another question")]
    Confused,
    #[error("its network could not be connected")]
    Unconnected(Fault),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for LinkError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno(number) if number == Errno::EPIPE.0 || number == Errno::ECONNRESET.0 => Self::Ended,
            errno => Self::Io(errno.into()),
        }
    }
}

/// How long to wait for a reply.
#[derive(Clone, Copy)]
pub enum Wait<'a> {
    /// For something that the helper answers at once.
    Shortly,
    /// Until the application does something, the caller gives up, or the point in time has come.
    Until(&'a Control, Option<Instant>),
}

impl Wait<'_> {
    /// How long to poll; an error when the wait is over.
    fn next(self, begun: Instant) -> Result<Duration, LinkError> {
        let (limit, step) = match self {
            Self::Shortly => (Some(begun + PATIENCE), PATIENCE),
            Self::Until(control, _) if control.cancelled() => return Err(LinkError::Cancelled),
            Self::Until(_, limit) => (limit, CANCEL_INTERVAL),
        };
        let Some(limit) = limit else { return Ok(step) };
        match limit.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(LinkError::Silent),
            left => Ok(left.min(step)),
        }
    }
}

impl Link {
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, inbox: Inbox::default() }
    }

    /// [`LinkError::Ended`] when no helper listens.
    pub fn connect(home: &Home, aid: &Aid) -> Result<Self, LinkError> {
        Self::connect_to(home, &home::socket_name(aid))
    }

    /// The same by the name of the socket in the run folder.
    pub fn connect_to(home: &Home, name: &str) -> Result<Self, LinkError> {
        let (_folder, path) = match home::short_path(&home.run, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LinkError::Ended),
            other => other?,
        };
        match UnixStream::connect(path) {
            Ok(stream) => Ok(Self::new(stream)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Err(LinkError::Ended),
                _ => Err(error.into()),
            },
        }
    }

    pub fn send(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        let bytes = frame::encode(request, descriptors.len()).map_err(io::Error::other)?;
        let mut sent = 0;
        while sent < bytes.len() {
            let attached = if sent == 0 { descriptors } else { &[] };
            match sockets::send(self.stream.as_fd(), &bytes[sent..], attached) {
                Ok(length) => sent += length,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Sends a request that is answered at once, and takes the answer.
    pub fn ask(
        &mut self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Vec<OwnedFd>), LinkError> {
        self.send(request, descriptors)?;
        self.receive(Wait::Shortly)
    }

    /// The same for a request that is answered by [`Reply::Done`].
    pub fn tell(&mut self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<(), LinkError> {
        match self.ask(request, descriptors)? {
            (Reply::Done, _) => Ok(()),
            _ => Err(LinkError::Confused),
        }
    }

    /// The next reply. One that says that something failed is an error.
    pub fn receive(&mut self, wait: Wait<'_>) -> Result<(Reply, Vec<OwnedFd>), LinkError> {
        let begun = Instant::now();
        loop {
            match self.next()? {
                Some((Reply::Failed(failure), _)) => return Err(LinkError::Failed(failure)),
                Some(message) => return Ok(message),
                None => {}
            }
            let limit = wait.next(begun)?;
            if poll(&[(self.stream.as_fd(), Interest::Readable)], Some(limit))?[0] {
                self.fill()?;
            }
        }
    }

    /// The next reply that has arrived whole.
    pub fn next(&mut self) -> Result<Option<(Reply, Vec<OwnedFd>)>, LinkError> {
        self.inbox.take().map_err(|error| LinkError::Io(io::Error::other(error)))
    }

    /// Takes what has arrived; waits when nothing has.
    pub fn fill(&mut self) -> Result<(), LinkError> {
        let mut bytes = vec![0; CHUNK];
        match sockets::receive(self.stream.as_fd(), &mut bytes) {
            Ok((0, _)) => Err(LinkError::Ended),
            Ok((length, descriptors)) => {
                self.inbox.accept(&bytes[..length], descriptors);
                Ok(())
            }
            Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
