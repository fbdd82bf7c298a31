//! What is to be made of a captured volume: nothing outside of it.

use super::{Check, PATH_LIMIT, ensure};
use crate::state::volumes::{MOST, VolumeV1};
use std::collections::HashSet;
use volume::{BodyV1, EntryV1, MOST_ENTRIES};

/// Longest name in a folder (NAME_MAX).
const LONGEST_NAME: usize = 255;

pub fn check(volumes: &[VolumeV1]) -> Check {
    ensure(volumes.len() <= MOST, "volumes", "there are too many")?;
    for (index, volume) in volumes.iter().enumerate() {
        let of = |wrong: super::Wrong| wrong.of(format!("volumes[{index}]"));
        check_volume(volume).map_err(of)?;
        let nests = |other: &VolumeV1| {
            let within = |a: &str, b: &str| crate::state::volumes::is_within(a.as_bytes(), b);
            within(&other.path, &volume.path) || within(&volume.path, &other.path)
        };
        ensure(!volumes[..index].iter().any(nests), "path", "it lies in another volume").map_err(of)?;
    }
    Ok(())
}

fn check_volume(volume: &VolumeV1) -> Check {
    let mut words = volume.path.strip_prefix('/').unwrap_or("").split('/');
    let plain = words.all(|word| !word.is_empty() && word != "." && word != "..");
    let good = plain
        && volume.path.starts_with('/')
        && volume.path.len() < PATH_LIMIT
        && !volume.path.contains('\0');
    ensure(good, "path", "it is no path of a volume")?;
    let entries = &volume.tree.entries;
    ensure(!entries.is_empty() && entries.len() <= MOST_ENTRIES, "tree", "no tree has so many entries")?;
    let mut seen = HashSet::new();
    let mut folders: HashSet<&[u8]> = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let of = |wrong: super::Wrong| wrong.of(format!("tree[{index}]"));
        ensure(seen.insert(entry.path.as_slice()), "path", "it is there twice").map_err(of)?;
        check_path(&entry.path, index, &folders).map_err(of)?;
        ensure(entry.mode <= 0o7777, "mode", "it is more than permissions").map_err(of)?;
        check_body(entry, &entries[..index]).map_err(of)?;
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

fn check_body(entry: &EntryV1, before: &[EntryV1]) -> Check {
    let is_top = before.is_empty();
    ensure(!is_top || matches!(entry.body, BodyV1::Folder), "body", "it is no folder")?;
    match &entry.body {
        BodyV1::File { size, .. } => ensure(*size <= i64::MAX as u64, "size", "no file is that large"),
        BodyV1::Same { entry } => {
            let other = before.get(*entry as usize).map(|other| &other.body);
            let good = other.is_some_and(|body| !matches!(body, BodyV1::Folder | BodyV1::Same { .. }));
            ensure(good, "entry", "it is no file")
        }
        BodyV1::Link { target } => super::check_path(target, "target"),
        BodyV1::Folder | BodyV1::Fifo | BodyV1::Device { .. } => Ok(()),
    }
}
