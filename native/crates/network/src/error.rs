//! What was attempted, and what the kernel said.

use std::fmt;
use sys::Errno;

pub type Result<T> = std::result::Result<T, Error>;

/// A change of the network that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What was attempted, to be read after "Could not".
    pub attempt: String,
    pub errno: Errno,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.attempt, self.errno)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Whether somebody has the port.
    #[must_use]
    pub fn port_taken(&self) -> Option<Taken> {
        match self.errno.0 {
            libc::EADDRINUSE => Some(Taken::Bound),
            libc::EEXIST => Some(Taken::Published),
            _ => None,
        }
    }

    /// Whether there are as many chains as the kernel asks at one place.
    #[must_use]
    pub fn too_many(&self) -> bool {
        self.errno.0 == libc::E2BIG
    }

    /// Whether the kernel was built without something that is needed. nftables says `ENOENT` of kinds of chains and expressions
    /// that it does not have, XFRM `ENOSYS` of algorithms.
    #[must_use]
    pub fn lacks_feature(&self) -> bool {
        let lacking =
            [libc::EOPNOTSUPP, libc::EAFNOSUPPORT, libc::EPROTONOSUPPORT, libc::ENOENT, libc::ENOSYS];
        lacking.contains(&self.errno.0)
    }
}

/// Who has a port of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A program of this host.
    Bound,
    /// A member of an environment.
    Published,
}

/// Says of a failure what was attempted.
pub trait Attempt<T> {
    fn attempt<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Attempt<T> for sys::Result<T> {
    fn attempt<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| Error { attempt: what().into(), errno })
    }
}
