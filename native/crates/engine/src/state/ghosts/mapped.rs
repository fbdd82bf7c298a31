//! Files without a name of which only mappings can be had: /proc/PID/map_files, which leads to the file, takes
//! CAP_CHECKPOINT_RESTORE.
//!
//! glibc's sem_open(3) makes a semaphore under one name, gives it another and deletes the first, so the mapping bears a
//! deleted name while the file has a good one. multiprocessing of Python deletes that one, too.

use super::{Collector, GhostV1, Source, View};
use crate::explain::{Result, refused};
use crate::procfs::{Mapping, Status};
use crate::state::contents::{Contents, Window};
use crate::state::descriptors::watched::mount_points;
use serde_bytes::ByteBuf;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

const TMPFS_MAGIC: i64 = 0x0102_1994;
/// How many entries of a file system are looked at in search of a name.
const SEARCHED: usize = 100_000;

/// What a mapping of a deleted name shows.
pub enum Found {
    /// The file has this name, too.
    Named(PathBuf, Metadata),
    Ghost(u32),
}

/// Finds the file behind a mapping whose name, `path`, was deleted.
pub fn find(pid: i32, map: &Mapping, path: &[u8], view: &View, collector: &mut Collector) -> Result<Found> {
    let window = Window::of(pid, map)?;
    let cannot = |why: &str| {
        let what = format!("the deleted file {}", String::from_utf8_lossy(path));
        refused(pid, &what, why).hint("Run stasis as root")
    };
    let points = mount_points(pid, map.device);
    // On others, stat(2) and /proc/PID/maps may tell different numbers of one file.
    if !points.iter().any(|point| is_tmpfs(point, view)) {
        return Err(cannot("it is mapped, and to read it through /proc takes CAP_CHECKPOINT_RESTORE"));
    }
    if let Some(id) = collector.by_inode.get(&map.file()).copied() {
        collector.sources[id as usize].enter(window);
        return Ok(Found::Ghost(id));
    }
    match search(points, map.file(), view) {
        Ok(Some((path, meta))) => Ok(Found::Named(path, meta)),
        Ok(None) => Ok(Found::Ghost(collector.add_mapped(map, path, window))),
        Err(TooMany) => Err(cannot("too many files are there to tell whether it has another name")),
    }
}

impl Source {
    fn enter(&mut self, window: Window) {
        if self.contents.as_mut().is_some_and(|contents| contents.enter(window)) {
            self.ghost.size = self.ghost.size.max(window.end());
        }
    }
}

impl Collector {
    fn add_mapped(&mut self, map: &Mapping, path: &[u8], window: Window) -> u32 {
        let id = self.sources.len() as u32;
        self.by_inode.insert(map.file(), id);
        let ghost = ghost(id, path, window);
        self.sources.push(Source { ghost, contents: Some(Contents::Mapped(vec![window])) });
        id
    }
}

/// Nobody sees whose the file is, what it permits, and its times. Whoever mapped it made it, most likely.
fn ghost(id: u32, path: &[u8], window: Window) -> GhostV1 {
    let (uid, gid) = Status::read(&window.pid.to_string()).unwrap_or_default().file_owner();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now_ns = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    GhostV1 {
        id,
        path: ByteBuf::from(path.to_vec()),
        mode: libc::S_IFREG | 0o600,
        uid,
        gid,
        size: window.end(),
        device: 0,
        accessed_ns: now_ns,
        modified_ns: now_ns,
        nameless: false,
        elsewhere: None,
        pages: Vec::new(),
    }
}

fn is_tmpfs(point: &[u8], view: &View) -> bool {
    let mount = sys::files::open(&view.path(point), libc::O_PATH);
    mount.and_then(|mount| sys::paths::file_system(mount.as_fd())).is_ok_and(|kind| kind == TMPFS_MAGIC)
}

struct TooMany;

/// Looks for a file by device and inode below mount points of its file system. What may not be read belongs to others.
fn search(
    points: Vec<Vec<u8>>,
    file: (u64, u64),
    view: &View,
) -> std::result::Result<Option<(PathBuf, Metadata)>, TooMany> {
    let mut folders: Vec<PathBuf> =
        points.into_iter().map(|point| OsString::from_vec(point).into()).collect();
    let mut left = SEARCHED;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(view.path(folder.as_os_str().as_encoded_bytes())) else {
            continue;
        };
        for entry in entries.flatten() {
            left = left.checked_sub(1).ok_or(TooMany)?;
            let Ok(meta) = entry.metadata() else { continue };
            let path = folder.join(entry.file_name());
            if (meta.dev(), meta.ino()) == file {
                return Ok(Some((path, meta)));
            }
            if meta.is_dir() && meta.dev() == file.0 {
                folders.push(path);
            }
        }
    }
    Ok(None)
}
