//! What can go wrong with a tree of files. The engine picks the code of each.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused; `doing` completes "Could not ...".
    #[error("Could not {doing} \"{}\": {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// Something that cannot be captured.
    #[error("\"{}\" cannot be captured: {why}", path.display())]
    Refused { path: PathBuf, why: &'static str },
    /// A capture that is not what was captured.
    #[error("\"{}\" is not as it was captured: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    /// The caller said to stop.
    #[error("it was interrupted")]
    Cancelled,
}

impl Error {
    pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), why: why.into() }
    }

    pub(crate) fn refused(path: &Path, why: &'static str) -> Self {
        Self::Refused { path: path.to_path_buf(), why }
    }
}

/// Says what was attempted.
pub trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { doing, path: path.to_path_buf(), source })
    }
}

impl<T> Doing<T> for sys::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(io::Error::from).doing(doing, path)
    }
}
