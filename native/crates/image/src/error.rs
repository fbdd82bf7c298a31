//! What can go wrong with an image, as a person reads it. The engine picks the code of each.

use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Cloneable, because a failure of the writing thread is reported by every later call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Truncated or altered; `what` names the file, the part and what is wrong with it.
    #[error("The snapshot is damaged: {what}")]
    Damaged { what: String },
    /// Written in a format that a later version brought.
    #[error("The image has format {found}, and this version reads formats up to {supported}")]
    TooNew { found: u32, supported: u32 },
    /// Sections that must not be passed over, and that this version does not know: as good as too new.
    #[error("The image has sections that this version does not know: {names}")]
    Unknown { names: String },
    /// There is something where the snapshot was to be made.
    #[error("Could not create \"{}\": it exists already", path.display())]
    Exists { path: PathBuf },
    /// No folder, or a folder without manifest and packs.
    #[error("There is no snapshot in \"{}\"", path.display())]
    NotASnapshot { path: PathBuf },
    /// The kernel refused. `errno` is its number, see errno(3).
    #[error("Could not {doing} \"{}\": {}", path.display(), io::Error::from_raw_os_error(*errno))]
    Io { doing: &'static str, path: PathBuf, errno: i32 },
    /// Beyond a limit of the format.
    #[error("Could not take {found} for {what}: the limit is {limit}")]
    TooLarge { what: &'static str, found: u64, limit: u64 },
    /// The caller of this crate asked for what the format cannot express.
    #[error("Could not write the image: {what}")]
    Misuse { what: String },
    /// The caller's progress function said to stop.
    #[error("Verifying was interrupted")]
    Cancelled,
}

impl Error {
    /// `doing` completes "Could not ...", e.g. "write".
    pub(crate) fn io(doing: &'static str, path: &Path, error: &io::Error) -> Self {
        // Errors that std makes up itself (an unexpected end of file) have no number.
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        Self::Io { doing, path: path.to_path_buf(), errno }
    }

    pub(crate) fn damaged(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::Damaged { what: format!("\"{}\": {what}", path.display()) }
    }

    /// The kernel's error number, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}
