//! Captures in other places: second names of their files, or copies.

use crate::attributes;
use crate::content;
use crate::error::{Doing, Result};
use crate::tree::{BodyV1, EntryV1, TreeV1};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

/// Makes the folder `to` with the files of the capture in `from`, under second names where the file systems allow that.
/// It is a capture again: nobody may write to it.
///
/// # Errors
/// `Io`. What was made of `to` stays.
pub fn link(tree: &TreeV1, from: &Path, to: &Path) -> Result<()> {
    make(tree, to, &|_| true, EntryV1::mode_in_capture, &|entry| {
        // Refused on another file system, for a file of somebody else, and when it has as many names as it can have.
        match fs::hard_link(entry.below(from), entry.below(to)) {
            Ok(()) => Ok(()),
            Err(_) => copy_node(tree, entry, from, to, entry.mode_in_capture()),
        }
    })
}

/// Makes the capture `to` of what came from elsewhere in `from`, of which nothing but the contents of files is used: kinds, links,
/// owners, modes, attributes and times are those of the tree.
///
/// # Errors
/// `Io`. What was made of `to` stays.
pub fn adopt(tree: &TreeV1, from: &Path, to: &Path) -> Result<()> {
    let node = |entry: &EntryV1| copy_node(tree, entry, from, to, entry.mode_in_capture());
    make(tree, to, &|_| true, EntryV1::mode_in_capture, &node)
}

/// Makes the folder `to` with copies of everything in the capture in `from`, as the captured folder was: for writing.
///
/// # Errors
/// `Io`. What was made of `to` stays.
pub fn copy(tree: &TreeV1, from: &Path, to: &Path) -> Result<()> {
    copy_some(tree, from, to, &|_| true)
}

/// The same for entries that are `wanted`, by their places in the tree. With each of them the folders above it must be.
///
/// # Errors
/// `Io`. What was made of `to` stays.
pub fn copy_some(tree: &TreeV1, from: &Path, to: &Path, wanted: &dyn Fn(usize) -> bool) -> Result<()> {
    make(tree, to, wanted, |entry| entry.mode, &|entry| copy_node(tree, entry, from, to, entry.mode))
}

fn make(
    tree: &TreeV1,
    to: &Path,
    wanted: &dyn Fn(usize) -> bool,
    mode: impl Fn(&EntryV1) -> u32,
    node: &dyn Fn(&EntryV1) -> Result<()>,
) -> Result<()> {
    let chosen = tree.entries.iter().enumerate().filter(|(place, _)| wanted(*place));
    let entries: Vec<&EntryV1> = chosen.map(|(_, entry)| entry).collect();
    for entry in &entries {
        if matches!(entry.body, BodyV1::Folder) {
            let folder = entry.below(to);
            DirBuilder::new().mode(0o700).create(&folder).doing("make", &folder)?;
        } else {
            node(entry)?;
        }
    }
    // Inner ones first: what is put into a folder changes its times.
    for entry in entries.into_iter().rev().filter(|entry| matches!(entry.body, BodyV1::Folder)) {
        attributes::put(entry, mode(entry), &entry.below(to))?;
    }
    Ok(())
}

fn copy_node(tree: &TreeV1, entry: &EntryV1, from: &Path, to: &Path, mode: u32) -> Result<()> {
    let made = entry.below(to);
    match &entry.body {
        BodyV1::File { size, .. } => copy_file(&entry.below(from), &made, *size)?,
        BodyV1::Same { entry: first } => {
            let first = tree.entries[*first as usize].below(to);
            return fs::hard_link(first, &made).doing("make", &made);
        }
        BodyV1::Link { target } => symlink(OsStr::from_bytes(target), &made).doing("make", &made)?,
        BodyV1::Fifo => sys::files::make_fifo(&made, 0o600).doing("make", &made)?,
        BodyV1::Device { block, number } => {
            let node = 0o600 | if *block { libc::S_IFBLK } else { libc::S_IFCHR };
            sys::paths::make_node(&made, node, *number).doing("make", &made)?;
        }
        BodyV1::Folder => return Ok(()),
    }
    attributes::put(entry, mode, &made)
}

fn copy_file(from: &Path, to: &Path, size: u64) -> Result<()> {
    let source = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(from);
    let target = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(to);
    content::copy(&source.doing("open", from)?, &target.doing("make", to)?, size).doing("copy to", to)
}

/// Removes a tree in which folders may deny their owner to enter them, as in an overlay's own.
///
/// # Errors
/// That of the first entry that stays.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(folder);
            fs::remove_dir_all(folder)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Lets the owner into every folder. What cannot be changed shows when it is to be removed.
fn open_up(folder: &Path) {
    let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// Writes a file, a folder's entries, or with `everything` the whole file system that it is on through to the disk.
///
/// # Errors
/// `Io`, such as of a disk that fails.
pub fn sync(path: &Path, everything: bool) -> Result<()> {
    use std::os::fd::AsFd;
    let open = File::open(path).doing("open", path)?;
    let done = if everything {
        sys::trees::sync_file_system(open.as_fd())
    } else {
        open.sync_all().map_err(Into::into)
    };
    done.doing("write through to the disk", path)
}
