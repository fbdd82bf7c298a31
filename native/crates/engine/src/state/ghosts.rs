//! Files that are open, mapped or somebody's working folder under a name that they have no more.
//!
//! One that has no name at all travels in the snapshot with its contents. One that has other names stays where it is, and
//! is found again by its file handle or by one of those names. During a restore each has a path again, for as long as
//! it takes to open it everywhere.

use super::contents::Contents;
use super::filesystem::View;
use super::memory::PageRunV1;
use super::posix_memory;
use super::volumes::is_within;
use crate::explain::{Explain, Result, refused};
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

mod conjuring;
mod mapped;
pub use conjuring::{Names, apply};
pub use mapped::{Found, find};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GhostV1 {
    pub id: u32,
    /// The name it had, in the application's view.
    pub path: ByteBuf,
    /// Type and permissions.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Of a device node: which device.
    pub device: u64,
    /// Nanoseconds since 1970.
    pub accessed_ns: i64,
    pub modified_ns: i64,
    /// It never had a name (O_TMPFILE), and may yet get one.
    pub nameless: bool,
    /// It has other names: how to find it.
    pub elsewhere: Option<ElsewhereV1>,
    pub pages: Vec<PageRunV1>,
}

/// A file that lives on under other names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ElsewhereV1 {
    pub inode: u64,
    /// Type and bytes of its file handle, where the file system has such.
    pub handle: Option<(i32, ByteBuf)>,
    /// Another name of it, where one was found.
    pub name: Option<ByteBuf>,
}

/// A ghost met while collecting, and where its contents are read; none for what is no regular file.
pub struct Source {
    pub ghost: GhostV1,
    pub contents: Option<Contents>,
}

#[derive(Default)]
pub struct Collector {
    by_inode: HashMap<(u64, u64), u32>,
    pub sources: Vec<Source>,
    /// Device number of the `/dev/shm` that the application has for itself.
    pub own_memory: Option<u64>,
    /// Folders that are captured with the application: a file in there is found by its name, not by its inode.
    pub volumes: Vec<String>,
}

/// A deleted file that takes more than this on disk is refused: it would be copied while the application waits.
const LARGEST: u64 = 64 << 30;
/// How many folder entries are looked at in search of another name.
const SEARCHED: usize = 20_000;

impl Collector {
    /// Enters the file without its name that `through` (a /proc link) leads to.
    pub fn add(
        &mut self,
        pid: i32,
        through: &Path,
        path: &[u8],
        meta: &Metadata,
        view: &View,
    ) -> Result<u32> {
        let next = self.sources.len() as u32;
        let id = *self.by_inode.entry((meta.dev(), meta.ino())).or_insert(next);
        if id == next || self.shows_no_file(id) {
            let elsewhere = (meta.nlink() > 0 && !meta.is_dir())
                .then(|| find_elsewhere(pid, through, path, meta, (view, &self.volumes)))
                .transpose()?;
            let contents = contents(pid, through, path, meta, elsewhere.is_some())?;
            let source = Source { ghost: ghost(id, path, meta, elsewhere), contents };
            match self.sources.get_mut(id as usize) {
                Some(known) => *known = source,
                None => self.sources.push(source),
            }
        }
        Ok(id)
    }

    /// The path, in the application's view, of a file in its own `/dev/shm` that the kernel knows by a name that is gone.
    /// So it is with every named semaphore: sem_open(3) makes it under another name.
    pub fn named_in_memory(&self, inode: (u64, u64), view: &View) -> Option<ByteBuf> {
        let is_own = self.own_memory == Some(inode.0);
        is_own.then(|| other_name(Path::new(posix_memory::FOLDER), inode, view)).flatten()
    }

    /// Only mappings of it have been met so far.
    fn shows_no_file(&self, id: u32) -> bool {
        let known = self.sources.get(id as usize);
        known.is_some_and(|known| matches!(known.contents, Some(Contents::Mapped(_))))
    }
}

fn contents(
    pid: i32,
    through: &Path,
    path: &[u8],
    meta: &Metadata,
    elsewhere: bool,
) -> Result<Option<Contents>> {
    if !meta.is_file() || elsewhere {
        return Ok(None);
    }
    if meta.blocks() * 512 > LARGEST {
        let what = format!("the deleted file {}", String::from_utf8_lossy(path));
        return Err(refused(pid, &what, "it takes more than 64 GiB"));
    }
    let opened = File::open(through).map(|file| Some(Contents::File(file)));
    opened.explain(|| format!("Could not read {}", through.display()))
}

fn ghost(id: u32, path: &[u8], meta: &Metadata, elsewhere: Option<ElsewhereV1>) -> GhostV1 {
    let own_name = format!("/#{}", meta.ino());
    GhostV1 {
        id,
        path: ByteBuf::from(path.to_vec()),
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        size: meta.len(),
        device: meta.rdev(),
        accessed_ns: meta.atime() * 1_000_000_000 + meta.atime_nsec(),
        modified_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        // The kernel calls a nameless file by the number of its inode.
        nameless: meta.is_file() && meta.nlink() == 0 && path.ends_with(own_name.as_bytes()),
        elsewhere,
        pages: Vec::new(),
    }
}

fn find_elsewhere(
    pid: i32,
    through: &Path,
    path: &[u8],
    meta: &Metadata,
    (view, volumes): (&View, &[String]),
) -> Result<ElsewhereV1> {
    let what = || format!("Could not examine {}", through.display());
    let file = sys::files::open(through, libc::O_PATH).explain(what)?;
    let handle = sys::paths::handle_of(file.as_fd()).ok().map(|(kind, bytes)| (kind, ByteBuf::from(bytes)));
    let volume = volumes.iter().find(|volume| is_within(path, volume));
    let parent = match volume {
        Some(volume) => Some(Path::new(volume.as_str())),
        None => Path::new(std::ffi::OsStr::from_bytes(path)).parent(),
    };
    let name = parent.and_then(|parent| other_name(parent, (meta.dev(), meta.ino()), view));
    if name.is_none() && (handle.is_none() || volume.is_some()) {
        let what = format!("the file {}", String::from_utf8_lossy(path));
        let why = "this name of it was deleted, it has others, and none of them could be found";
        return Err(refused(pid, &what, why));
    }
    Ok(ElsewhereV1 { inode: meta.ino(), handle, name })
}

/// Looks for another name of a file in a folder, such as that where its lost name was, and below.
fn other_name(folder: &Path, inode: (u64, u64), view: &View) -> Option<ByteBuf> {
    let mut folders = vec![folder.to_path_buf()];
    let mut left = SEARCHED;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(view.path(folder.as_os_str().as_bytes())) else { continue };
        for entry in entries.flatten() {
            left = left.checked_sub(1)?;
            let Ok(found) = entry.metadata() else { continue };
            let name = folder.join(entry.file_name());
            if (found.dev(), found.ino()) == inode {
                return Some(ByteBuf::from(name.into_os_string().into_encoded_bytes()));
            }
            if found.is_dir() && found.dev() == inode.0 {
                folders.push(name);
            }
        }
    }
    None
}

/// Where the application's `path` is for this command.
fn here(path: &[u8], rebuild: &Rebuild) -> PathBuf {
    rebuild.path(path)
}
