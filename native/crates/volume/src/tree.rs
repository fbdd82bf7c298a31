//! What a captured folder must be like, entry by entry.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A folder with more entries is refused.
pub const MOST_ENTRIES: usize = 2 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeV1 {
    /// The folder itself, under an empty path, then everything in it: folders before what is in them.
    pub entries: Vec<EntryV1>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryV1 {
    /// Below the folder.
    pub path: ByteBuf,
    pub body: BodyV1,
    /// Permissions.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Nanoseconds since 1970.
    pub accessed_ns: i64,
    pub modified_ns: i64,
    /// Extended attributes, access lists among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeV1>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeV1 {
    pub name: ByteBuf,
    pub value: ByteBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyV1 {
    Folder,
    File {
        /// Bytes.
        size: u64,
        /// Of the contents (docs/image_format.md).
        checksum: u64,
        /// The file that was captured; none when it cannot be told from a later version of itself.
        origin: Option<OriginV1>,
    },
    /// Another name of an earlier entry.
    Same {
        entry: u32,
    },
    Link {
        target: ByteBuf,
    },
    Fifo,
    Device {
        block: bool,
        number: u64,
    },
}

/// What a file was when it was captured. One that is the same in all of this has the same contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginV1 {
    pub device: u64,
    pub inode: u64,
    /// Nanoseconds since 1970.
    pub changed_ns: i64,
}

impl TreeV1 {
    /// Bytes of all files, each counted once.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(EntryV1::size).sum()
    }

    /// How many files there are, each counted once.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.entries.iter().filter(|entry| matches!(entry.body, BodyV1::File { .. })).count() as u64
    }
}

impl EntryV1 {
    /// Where it lies in a capture or copy.
    #[must_use]
    pub fn below(&self, folder: &Path) -> PathBuf {
        below(folder, &self.path)
    }

    /// Bytes; 0 for what is no file.
    #[must_use]
    pub fn size(&self) -> u64 {
        if let BodyV1::File { size, .. } = self.body { size } else { 0 }
    }

    /// The mode that it has in a capture: its owner may always read it, so that a capture can be looked at and removed.
    #[must_use]
    pub fn mode_in_capture(&self) -> u32 {
        match self.body {
            BodyV1::Folder => self.mode | 0o700,
            BodyV1::File { .. } => self.mode | 0o400,
            _ => self.mode,
        }
    }
}

pub fn below(folder: &Path, path: &[u8]) -> PathBuf {
    if path.is_empty() { folder.to_path_buf() } else { folder.join(OsStr::from_bytes(path)) }
}
