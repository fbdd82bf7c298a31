//! What is to be made in a capsule's `/dev/shm`: nothing outside of it, and nothing through a link.

use super::memory::check_runs;
use super::{Check, Known, PATH_LIMIT, ensure};
use crate::state::posix_memory::{BodyV1, EntryV1, MOST_ENTRIES, PosixMemoryV1};
use std::collections::HashSet;

/// Longest name in a folder (NAME_MAX).
const LONGEST_NAME: usize = 255;

pub fn check(saved: &PosixMemoryV1, known: &Known) -> Check {
    ensure(saved.entries.len() <= MOST_ENTRIES, "posix_memory", "it has too many entries")?;
    let mut seen = HashSet::new();
    let mut folders: HashSet<&[u8]> = HashSet::new();
    for (index, entry) in saved.entries.iter().enumerate() {
        let of = |wrong: super::Wrong| wrong.of(format!("posix_memory[{index}]"));
        ensure(seen.insert(entry.path.as_slice()), "path", "it is there twice").map_err(of)?;
        check_path(&entry.path, index, &folders).map_err(of)?;
        ensure(entry.mode <= 0o7777, "mode", "it is more than permissions").map_err(of)?;
        check_body(entry, &saved.entries[..index], known).map_err(of)?;
        if matches!(entry.body, BodyV1::Folder) {
            folders.insert(&entry.path);
        }
    }
    Ok(())
}

/// The first entry is the folder itself; any other is a name in a folder that came before.
fn check_path(path: &[u8], index: usize, folders: &HashSet<&[u8]>) -> Check {
    if index == 0 {
        return ensure(path.is_empty(), "path", "it is not the folder itself");
    }
    let at = path.iter().rposition(|byte| *byte == b'/');
    let (parent, name) = at.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
    let plain = !name.is_empty() && name != b"." && name != b".." && !name.contains(&0);
    ensure(plain && name.len() <= LONGEST_NAME && path.len() < PATH_LIMIT, "path", "no file can have it")?;
    ensure(folders.contains(parent), "path", "it is in no folder")
}

fn check_body(entry: &EntryV1, before: &[EntryV1], known: &Known) -> Check {
    let is_top = before.is_empty();
    ensure(!is_top || matches!(entry.body, BodyV1::Folder), "body", "it is no folder")?;
    match &entry.body {
        BodyV1::File { size, pages } => {
            ensure(*size <= i64::MAX as u64, "size", "no file is that large")?;
            check_runs(pages, *size, known)
        }
        BodyV1::Same { entry } => {
            let other = before.get(*entry as usize).map(|other| &other.body);
            let good = other.is_some_and(|body| !matches!(body, BodyV1::Folder | BodyV1::Same { .. }));
            ensure(good, "entry", "it is no file")
        }
        BodyV1::Link { target } => super::check_path(target, "target"),
        BodyV1::Folder | BodyV1::Fifo | BodyV1::Socket => Ok(()),
    }
}
