//! Whether a capture is still what was captured.

use crate::attributes;
use crate::content;
use crate::error::{Doing, Error, Result};
use crate::known::modified_ns;
use crate::replica;
use crate::tree::{BodyV1, EntryV1, TreeV1, below};
use std::collections::HashMap;
use std::fs::{self, Metadata, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Compares everything but the contents of files: that nothing is missing or there besides, kinds, sizes, owners, modes,
/// times, attributes.
///
/// # Errors
/// `Damaged` with the first difference; `Io`.
pub fn check_structure(tree: &TreeV1, folder: &Path) -> Result<()> {
    let mut inside: HashMap<&[u8], usize> = HashMap::new();
    for entry in &tree.entries {
        check_entry(tree, entry, folder)?;
        if !entry.path.is_empty() {
            let at = entry.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            *inside.entry(&entry.path[..at]).or_default() += 1;
        }
    }
    for entry in tree.entries.iter().filter(|entry| matches!(entry.body, BodyV1::Folder)) {
        let place = entry.below(folder);
        let found = fs::read_dir(&place).doing("list", &place)?.count();
        if found != inside.get(entry.path.as_slice()).copied().unwrap_or(0) {
            return Err(Error::damaged(&place, "something was put into it"));
        }
        // Only now: what is missing or too much is worth more words.
        let now = fs::symlink_metadata(&place).doing("examine", &place)?;
        if modified_ns(&now) != entry.modified_ns {
            return Err(Error::damaged(&place, "it has another modification time"));
        }
    }
    Ok(())
}

fn check_entry(tree: &TreeV1, entry: &EntryV1, folder: &Path) -> Result<()> {
    let place = entry.below(folder);
    let wrong = |why: &str| Err(Error::damaged(&place, why));
    let now = match fs::symlink_metadata(&place) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return wrong("it is missing"),
        now => now.doing("examine", &place)?,
    };
    let body = match &entry.body {
        BodyV1::Same { entry } => &tree.entries[*entry as usize].body,
        body => body,
    };
    if !is_kind(body, &now) {
        return wrong("it is of another kind or size");
    }
    if let BodyV1::Link { target } = body
        && fs::read_link(&place).doing("read", &place)?.as_os_str().as_bytes() != target.as_slice()
    {
        return wrong("the link leads elsewhere");
    }
    if let BodyV1::Same { entry: first } = entry.body {
        let first = tree.entries[first as usize].below(folder);
        let other = fs::symlink_metadata(&first).doing("examine", &first)?;
        return match (other.dev(), other.ino()) == (now.dev(), now.ino()) {
            true => Ok(()),
            false => wrong("it was another name of a file and is a file of its own"),
        };
    }
    if (now.uid(), now.gid()) != (entry.uid, entry.gid) {
        return wrong("it has another owner; copy a snapshot with its owners, as \"cp -a\" does for root");
    }
    if now.mode() & 0o7777 != entry.mode_in_capture() && !matches!(body, BodyV1::Link { .. }) {
        return wrong("it has another mode");
    }
    if modified_ns(&now) != entry.modified_ns && !matches!(body, BodyV1::Folder) {
        return wrong("it has another modification time");
    }
    let mut attributes = attributes::read(&place, &place)?;
    let mut saved = entry.attributes.clone();
    for list in [&mut attributes, &mut saved] {
        list.sort_by(|a, b| a.name.cmp(&b.name));
    }
    if attributes == saved { Ok(()) } else { wrong("it has other attributes") }
}

fn is_kind(body: &BodyV1, now: &Metadata) -> bool {
    let kind = now.file_type();
    match body {
        BodyV1::Folder => kind.is_dir(),
        BodyV1::File { size, .. } => kind.is_file() && now.len() == *size,
        BodyV1::Link { .. } => kind.is_symlink(),
        BodyV1::Fifo => kind.is_fifo(),
        BodyV1::Device { block: true, number } => kind.is_block_device() && now.rdev() == *number,
        BodyV1::Device { block: false, number } => kind.is_char_device() && now.rdev() == *number,
        BodyV1::Same { .. } => false,
    }
}

/// Compares the contents of every file with its checksum. `go_on` hears how many bytes were read since it was last
/// asked, and returns false to stop.
///
/// # Errors
/// `Damaged`; `Io`; `Cancelled`.
pub fn check_contents(tree: &TreeV1, folder: &Path, go_on: &mut dyn FnMut(u64) -> bool) -> Result<()> {
    for entry in &tree.entries {
        let BodyV1::File { size, checksum, .. } = entry.body else { continue };
        if sum(folder, entry, size, go_on)? != checksum {
            return Err(Error::damaged(&entry.below(folder), "the checksum of its contents does not match"));
        }
    }
    Ok(())
}

fn sum(folder: &Path, entry: &EntryV1, size: u64, go_on: &mut dyn FnMut(u64) -> bool) -> Result<u64> {
    let place = below(folder, &entry.path);
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&place).doing("open", &place)?;
    content::checksum(&file, size, go_on).doing("read", &place)?.ok_or(Error::Cancelled)
}

/// More files than these are written through to the disk by writing its whole file system.
const FEW: usize = 128;

impl TreeV1 {
    /// Notes the checksums of files that were copied into the capture in `folder`, and sees to it that they and all names
    /// are on the disk. Those of earlier captures are known, and are there.
    ///
    /// # Errors
    /// `Io`; `Cancelled` when `go_on`, which hears how many bytes were read since it was last asked, returns false.
    pub fn complete(&mut self, folder: &Path, go_on: &mut dyn FnMut(u64) -> bool) -> Result<()> {
        let is_new = |entry: &EntryV1| matches!(entry.body, BodyV1::File { checksum: 0, .. });
        let everything = self.entries.iter().filter(|entry| is_new(entry)).count() > FEW;
        for entry in self.entries.iter_mut().filter(|entry| is_new(entry)) {
            let sum = sum(folder, entry, entry.size(), go_on)?;
            if let BodyV1::File { checksum, .. } = &mut entry.body {
                *checksum = sum;
            }
            if !everything {
                replica::sync(&entry.below(folder), false)?;
            }
        }
        if everything {
            return replica::sync(folder, true);
        }
        let folders = self.entries.iter().filter(|entry| matches!(entry.body, BodyV1::Folder));
        folders.map(|entry| entry.below(folder)).try_for_each(|folder| replica::sync(&folder, false))
    }
}
