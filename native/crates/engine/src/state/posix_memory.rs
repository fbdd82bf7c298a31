//! POSIX shared memory and named semaphores (shm_overview(7), sem_overview(7)): the contents of the `/dev/shm` that a
//! capsule has for itself. They are there again, under the same names, before any process is made.

use super::memory::PageRunV1;
use super::pages;
use crate::explain::{Explain, Result, refused};
use crate::freeze::FrozenTree;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PosixMemoryV1 {
    /// The folder itself, under an empty path, then everything in it: folders before what is in them.
    pub entries: Vec<EntryV1>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
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
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum BodyV1 {
    Folder,
    File {
        /// Bytes.
        size: u64,
        pages: Vec<PageRunV1>,
    },
    /// Another name of an earlier entry.
    Same {
        entry: u32,
    },
    Link {
        target: ByteBuf,
    },
    Fifo,
    /// The node of a socket; sockets that live are bound anew.
    Socket,
}

/// Where the folder is in the application's view.
pub const FOLDER: &str = "/dev/shm";
/// An application with more entries in the folder is refused.
pub const MOST_ENTRIES: usize = 1 << 20;

/// The folder as it was found, and from where contents are read.
pub struct Source {
    folder: PathBuf,
    saved: PosixMemoryV1,
}

impl Source {
    pub fn finish(self) -> PosixMemoryV1 {
        self.saved
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let size = |entry: &EntryV1| if let BodyV1::File { size, .. } = entry.body { size } else { 0 };
        self.saved.entries.iter().map(size).sum()
    }

    /// Every file, open, with its size and the place for its contents.
    pub fn files(&mut self) -> impl Iterator<Item = io::Result<(File, u64, &mut Vec<PageRunV1>)>> {
        let folder = &self.folder;
        self.saved.entries.iter_mut().filter_map(move |entry| match &mut entry.body {
            BodyV1::File { size, pages } => {
                Some(open(&below(folder, &entry.path)).map(|file| (file, *size, pages)))
            }
            _ => None,
        })
    }
}

/// Opens a file for reading, where possible without leaving a trace of it.
fn open(path: &Path) -> io::Result<File> {
    let with = |flags| OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | flags).open(path);
    with(libc::O_NOATIME).or_else(|_| with(0))
}

fn below(folder: &Path, path: &[u8]) -> PathBuf {
    if path.is_empty() { folder.to_path_buf() } else { folder.join(OsStr::from_bytes(path)) }
}

/// Lists the folder. Contents are copied with other pages, while the application still stands.
pub fn collect(tree: &FrozenTree, init: i32) -> Result<Source> {
    let pid = tree.processes[0].pid;
    let folder = PathBuf::from(format!("/proc/{init}/root{FOLDER}"));
    let saved = survey(pid, &folder)?;
    Ok(Source { folder, saved })
}

fn survey(pid: i32, folder: &Path) -> Result<PosixMemoryV1> {
    let mut survey = Survey { pid, folder, entries: Vec::new(), names: HashMap::new(), open: Vec::new() };
    let top = fs::metadata(folder).explain(|| format!("Could not examine {FOLDER} of the application"))?;
    survey.enter(Vec::new(), &top)?;
    survey.descend()?;
    Ok(PosixMemoryV1 { entries: survey.entries })
}

struct Survey<'a> {
    pid: i32,
    folder: &'a Path,
    entries: Vec<EntryV1>,
    /// Entries that have other names, by inode.
    names: HashMap<u64, u32>,
    /// Folders that were not looked into yet.
    open: Vec<Vec<u8>>,
}

impl Survey<'_> {
    fn enter(&mut self, path: Vec<u8>, meta: &Metadata) -> Result<()> {
        if self.entries.len() >= MOST_ENTRIES {
            return Err(refused(self.pid, FOLDER, "it holds more than a million files"));
        }
        let body = self.body(&path, meta)?;
        if matches!(body, BodyV1::Folder) {
            self.open.push(path.clone());
        }
        self.entries.push(EntryV1 {
            path: ByteBuf::from(path),
            body,
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            accessed_ns: meta.atime() * 1_000_000_000 + meta.atime_nsec(),
            modified_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        });
        Ok(())
    }

    /// Enters what is in folders that were met.
    fn descend(&mut self) -> Result<()> {
        while let Some(path) = self.open.pop() {
            self.enter_all(&path)?;
        }
        Ok(())
    }

    fn enter_all(&mut self, path: &[u8]) -> Result<()> {
        let what = || format!("Could not list {FOLDER}/{}", String::from_utf8_lossy(path));
        for found in fs::read_dir(below(self.folder, path)).explain(what)? {
            let found = found.explain(what)?;
            let meta = found.metadata().explain(what)?;
            let parent = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
            self.enter([&parent, found.file_name().as_bytes()].concat(), &meta)?;
        }
        Ok(())
    }

    fn body(&mut self, path: &[u8], meta: &Metadata) -> Result<BodyV1> {
        let name = || format!("{FOLDER}/{}", String::from_utf8_lossy(path));
        let kind = meta.mode() & libc::S_IFMT;
        if kind != libc::S_IFDIR && meta.nlink() > 1 {
            let next = self.entries.len() as u32;
            let entry = *self.names.entry(meta.ino()).or_insert(next);
            if entry != next {
                return Ok(BodyV1::Same { entry });
            }
        }
        Ok(match kind {
            libc::S_IFDIR => BodyV1::Folder,
            libc::S_IFREG => BodyV1::File { size: meta.len(), pages: Vec::new() },
            libc::S_IFIFO => BodyV1::Fifo,
            libc::S_IFSOCK => BodyV1::Socket,
            libc::S_IFLNK => {
                let target = fs::read_link(below(self.folder, path));
                let target = target.explain(|| format!("Could not read {}", name()))?;
                BodyV1::Link { target: ByteBuf::from(target.into_os_string().into_encoded_bytes()) }
            }
            _ => return Err(refused(self.pid, &name(), "it is a device")),
        })
    }
}

/// The folder of a new capsule, reached by `root`.
fn folder_below(root: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&[root, FOLDER.as_bytes()].concat()))
}

/// Fills the folder of a new capsule. Everything belongs to this command for now, so that it can be opened whatever its
/// permissions; but times are right, since they tell whether a mapped file has changed.
pub fn apply<'p>(
    saved: &PosixMemoryV1,
    root: &[u8],
    pack: &dyn Fn(u32) -> io::Result<&'p File>,
) -> Result<()> {
    let folder = folder_below(root);
    for entry in &saved.entries {
        make(saved, entry, &folder, pack).explain(|| format!("Could not restore {}", name_of(entry)))?;
    }
    Ok(())
}

fn make<'p>(
    saved: &PosixMemoryV1,
    entry: &EntryV1,
    folder: &Path,
    pack: &dyn Fn(u32) -> io::Result<&'p File>,
) -> io::Result<()> {
    let path = below(folder, &entry.path);
    match &entry.body {
        BodyV1::Folder if entry.path.is_empty() => Ok(()),
        BodyV1::Folder => fs::DirBuilder::new().mode(0o700).create(path),
        BodyV1::File { size, pages } => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.set_len(*size)?;
            pages::fill_file(&file, pages, *size, pack)?;
            Ok(sys::paths::set_times(&path, entry.accessed_ns, entry.modified_ns, false)?)
        }
        BodyV1::Same { entry } => {
            let other = saved.entries.get(*entry as usize).ok_or(io::ErrorKind::NotFound)?;
            fs::hard_link(below(folder, &other.path), path)
        }
        BodyV1::Link { target } => std::os::unix::fs::symlink(OsStr::from_bytes(target), path),
        BodyV1::Fifo => Ok(sys::files::make_fifo(&path, 0o600)?),
        BodyV1::Socket => Ok(sys::paths::make_node(&path, libc::S_IFSOCK | 0o600, 0)?),
    }
}

/// Gives everything its owner, permissions and times, once all of it is open that the application has open.
pub fn settle(saved: &PosixMemoryV1, root: &[u8]) -> Result<()> {
    let folder = folder_below(root);
    for entry in saved.entries.iter().filter(|entry| !matches!(entry.body, BodyV1::Same { .. })) {
        let what = || format!("Could not restore the attributes of {}", name_of(entry));
        set_attributes(entry, &below(&folder, &entry.path)).explain(what)?;
    }
    Ok(())
}

/// Owner first, since changing it takes away set-id bits; times last.
fn set_attributes(entry: &EntryV1, path: &Path) -> io::Result<()> {
    let now = fs::symlink_metadata(path)?;
    if (now.uid(), now.gid()) != (entry.uid, entry.gid) {
        std::os::unix::fs::lchown(path, Some(entry.uid), Some(entry.gid))?;
    }
    if !now.is_symlink() {
        fs::set_permissions(path, Permissions::from_mode(entry.mode))?;
    }
    Ok(sys::paths::set_times(path, entry.accessed_ns, entry.modified_ns, false)?)
}

fn name_of(entry: &EntryV1) -> String {
    format!("{FOLDER}/{}", String::from_utf8_lossy(&entry.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_back_with_links_modes_and_times() {
        let root = std::env::temp_dir().join(format!("stasis-posix-memory-{}", std::process::id()));
        let (from, to) = (root.join("from"), root.join(&FOLDER[1..]));
        fs::create_dir_all(from.join("inner")).unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("inner/data"), "").unwrap();
        fs::hard_link(from.join("inner/data"), from.join("other")).unwrap();
        std::os::unix::fs::symlink("inner/data", from.join("link")).unwrap();
        fs::set_permissions(from.join("inner"), Permissions::from_mode(0o1555)).unwrap();
        sys::paths::set_times(&from.join("inner"), 5, 1_000_000_007, true).unwrap();
        let saved = survey(1, &from).unwrap();
        assert_eq!(saved.entries.len(), 5);
        let bytes = root.as_os_str().as_bytes();
        apply(&saved, bytes, &|_| Err(io::ErrorKind::NotFound.into())).unwrap();
        settle(&saved, bytes).unwrap();
        let meta = |name: &str| fs::symlink_metadata(to.join(name)).unwrap();
        assert_eq!(meta("inner/data").ino(), meta("other").ino());
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("inner/data"));
        assert_eq!((meta("inner").mode() & 0o7777, meta("inner").mtime_nsec()), (0o1555, 7));
        for folder in [&from, &to] {
            fs::set_permissions(folder.join("inner"), Permissions::from_mode(0o700)).unwrap();
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
