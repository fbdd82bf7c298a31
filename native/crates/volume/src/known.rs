//! Files that an earlier capture holds already, so that a new one need not copy them.
//!
//! A file is the same when it has the same inode, size, modification and change time. Three things could betray that. A
//! file system that keeps no such times ([`has_true_times`]). A change within one tick of the file system's clock, after the
//! capture: so a file that changed just before it is not trusted. And memory that is mapped for sharing: the kernel sets times
//! for the first write to a page only, so a file that is mapped for writing is not trusted either.

use crate::tree::{BodyV1, EntryV1, OriginV1, TreeV1};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const EXT4: i64 = 0xef53;
const XFS: i64 = 0x5846_5342;
const BTRFS: i64 = 0x9123_683e;

/// What captures hold, by the inodes of the files that they were taken of.
#[derive(Default)]
pub struct Known(HashMap<(u64, u64), (EntryV1, PathBuf)>);

impl Known {
    /// Adds what a capture in `folder` holds.
    pub fn add(&mut self, tree: &TreeV1, folder: &Path) {
        for entry in &tree.entries {
            if let BodyV1::File { origin: Some(origin), .. } = entry.body {
                self.0.insert((origin.device, origin.inode), (entry.clone(), entry.below(folder)));
            }
        }
    }

    /// The entry of an earlier capture that has this very file, and where it lies.
    pub fn find(&self, now: &Metadata) -> Option<(&EntryV1, &Path)> {
        let (entry, path) = self.0.get(&(now.dev(), now.ino()))?;
        let BodyV1::File { size, origin: Some(origin), .. } = entry.body else { return None };
        let same = origin == origin_of(now) && size == now.len() && entry.modified_ns == modified_ns(now);
        same.then_some((entry, path.as_path()))
    }
}

pub fn origin_of(meta: &Metadata) -> OriginV1 {
    let changed_ns = meta.ctime() * 1_000_000_000 + meta.ctime_nsec();
    OriginV1 { device: meta.dev(), inode: meta.ino(), changed_ns }
}

pub fn modified_ns(meta: &Metadata) -> i64 {
    meta.mtime() * 1_000_000_000 + meta.mtime_nsec()
}

pub fn accessed_ns(meta: &Metadata) -> i64 {
    meta.atime() * 1_000_000_000 + meta.atime_nsec()
}

/// Whether the times of files in a folder tell every change: so it is on local disks, where mapped memory counts too.
#[must_use]
pub fn has_true_times(folder: &Path) -> bool {
    let kind = File::open(folder).ok().and_then(|folder| sys::paths::file_system(folder.as_fd()).ok());
    kind.is_some_and(|kind| [EXT4, XFS, BTRFS].contains(&kind))
}
