//! Why a thread could not be controlled.

use sys::Errno;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The thread is gone (it exited, or something killed it) while it was being worked on.
    #[error("thread {0} ended in the meantime")]
    Gone(i32),
    /// A ptrace request or memory transfer failed.
    #[error("{what} of thread {tid}: {errno}")]
    Request { what: &'static str, tid: i32, errno: Errno },
    /// A system call made in the name of the thread failed.
    #[error("system call {name} in process {tid} failed: {errno}")]
    Call { name: &'static str, tid: i32, errno: Errno },
    /// The thread stopped in a way that nothing here causes.
    #[error("thread {tid} stopped unexpectedly: {how}")]
    Surprise { tid: i32, how: String },
    /// The process has no memory in which a call could be prepared.
    #[error("process {0} offers no instruction or stack to make system calls with")]
    NoFoothold(i32),
}

impl Error {
    pub(crate) fn request(what: &'static str, tid: i32) -> impl Fn(Errno) -> Error {
        move |errno| match errno {
            Errno::ESRCH => Error::Gone(tid),
            errno => Error::Request { what, tid, errno },
        }
    }

    /// The kernel's reason, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Request { errno, .. } | Error::Call { errno, .. } => Some(*errno),
            Error::Gone(_) => Some(Errno::ESRCH),
            _ => None,
        }
    }
}
