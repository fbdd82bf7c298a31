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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_bytes::ByteBuf;
    use volume::TreeV1;

    fn entry(path: &[u8], body: BodyV1) -> EntryV1 {
        EntryV1 {
            path: ByteBuf::from(path.to_vec()),
            body,
            mode: 0o644,
            uid: 0,
            gid: 0,
            accessed_ns: 0,
            modified_ns: 0,
            attributes: Vec::new(),
        }
    }

    fn volume(path: &str, entries: Vec<EntryV1>) -> VolumeV1 {
        let entries = [entry(b"", BodyV1::Folder)].into_iter().chain(entries).collect();
        VolumeV1 { path: path.to_owned(), id: 1, tree: TreeV1 { entries } }
    }

    #[test]
    fn nothing_is_made_outside_of_a_volume() {
        let file = || BodyV1::File { size: 1, checksum: 2, origin: None };
        let with = |entries| check(&[volume("/srv/a", entries)]);
        let link = || entry(b"inner", BodyV1::Link { target: ByteBuf::from(b"/etc".to_vec()) });
        with(vec![
            entry(b"inner", BodyV1::Folder),
            entry(b"inner/a", file()),
            entry(b"b", BodyV1::Same { entry: 2 }),
        ])
        .unwrap();
        for path in [&b".."[..], b"../a", b"/etc/a", b"inner/../../a", b"inner/", b"missing/a", b"a\0b", b""]
        {
            let entries = vec![entry(b"inner", BodyV1::Folder), entry(path, file())];
            assert!(with(entries).is_err(), "{}", String::from_utf8_lossy(path));
        }
        assert!(with(vec![link(), entry(b"inner/a", file())]).is_err(), "a path leads through a link");
        assert!(with(vec![entry(b"a", BodyV1::Same { entry: 1 })]).is_err(), "a name is its own");
        assert!(with(vec![entry(b"a", BodyV1::Same { entry: 0 })]).is_err(), "a folder has two names");
    }

    #[test]
    fn volumes_are_folders_apart_from_each_other() {
        for path in ["", "/", "srv", "/srv/", "/srv/../etc", "/srv//a", "/srv/a\0"] {
            assert!(check(&[volume(path, Vec::new())]).is_err(), "{path}");
        }
        let both = |one, other| check(&[volume(one, Vec::new()), volume(other, Vec::new())]);
        both("/srv/a", "/srv/ab").unwrap();
        assert!(both("/srv/a", "/srv/a/b").is_err() && both("/srv/a/b", "/srv/a").is_err());
        assert!(both("/srv/a", "/srv/a").is_err());
    }
}
