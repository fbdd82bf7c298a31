//! Files that the kernel names by device, inode and handle, as it does for watches: finding their paths.

use super::Found;
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::procfs;
use crate::state::filesystem::{self, FileRefV1, View};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::Metadata;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many folder entries are looked at when there is no other way.
const SEARCHED: usize = 100_000;

/// Finds the file of a line of fdinfo with `ino`, `sdev` and perhaps `fhandle-type` and `f_handle`.
pub fn find(found: &Found, fields: &HashMap<&str, &str>, collection: &mut Collection) -> Result<FileRefV1> {
    let hex = |key: &str| u64::from_str_radix(fields.get(key)?, 16).ok();
    let (Some(inode), Some(device)) = (hex("ino"), hex("sdev")) else {
        return found.refuse("the kernel lists what it watches in an unknown way");
    };
    let device = split(device);
    let handle = hex("fhandle-type").zip(fields.get("f_handle").and_then(|text| bytes(text)));
    let opened =
        handle.and_then(|(kind, bytes)| by_handle(found.pid, device, kind as i32, &bytes, collection));
    if let Some(file) = opened
        && let Some(reference) = reference(found.pid, &file, collection)?
    {
        return Ok(reference);
    }
    match by_search(found.pid, device, inode, &collection.view) {
        Some((path, meta)) => Ok(FileRefV1::new(path.as_os_str().as_bytes(), &meta)),
        None => found.refuse(&format!(
            "it watches inode {inode} of device {}:{}, whose path could not be found",
            device.0, device.1
        )),
    }
}

/// Major and minor number: the kernel's own device numbers have 20 minor bits.
pub fn split(device: u64) -> (u32, u32) {
    ((device >> 20) as u32, (device & 0xf_ffff) as u32)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<&str> = (0..text.len() / 2).filter_map(|at| text.get(at * 2..at * 2 + 2)).collect();
    digits.into_iter().map(|digits| u8::from_str_radix(digits, 16).ok()).collect()
}

/// A mount as a process sees it (/proc/PID/mountinfo).
pub struct Mount {
    pub id: u32,
    pub device: (u32, u32),
    /// It shows a folder of its file system only.
    pub partial: bool,
    point: Vec<u8>,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let (major, minor) = words.get(2)?.split_once(':')?;
        Some(Self {
            id: words[0].parse().ok()?,
            device: (major.parse().ok()?, minor.parse().ok()?),
            partial: *words.get(3)? != "/",
            point: words.get(4)?.as_bytes().to_vec(),
        })
    }
}

fn mounts(pid: i32) -> Vec<Mount> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    text.lines().filter_map(Mount::parse).collect()
}

/// Where a mount of which `wanted` is true can be found, whole file systems first.
pub fn mount_point(pid: i32, wanted: impl Fn(&Mount) -> bool) -> Option<Vec<u8>> {
    let mount = mounts(pid).into_iter().filter(wanted).min_by_key(|mount| mount.partial)?;
    Some(mount.point)
}

/// Mount points of a device in the view of a process, whole file systems first.
pub fn mount_points(pid: i32, device: (u32, u32)) -> Vec<Vec<u8>> {
    let mut mounts: Vec<Mount> = mounts(pid).into_iter().filter(|mount| mount.device == device).collect();
    mounts.sort_by_key(|mount| mount.partial);
    mounts.into_iter().map(|mount| mount.point).collect()
}

/// Needs CAP_DAC_READ_SEARCH (open_by_handle_at(2)).
fn by_handle(
    pid: i32,
    device: (u32, u32),
    kind: i32,
    bytes: &[u8],
    collection: &Collection,
) -> Option<OwnedFd> {
    mount_points(pid, device).iter().find_map(|point| {
        let point = collection.view.path(point);
        // Opening the mount point for reading would be an event of its own; older kernels insist on it.
        [libc::O_PATH, libc::O_RDONLY | libc::O_DIRECTORY].into_iter().find_map(|manner| {
            let mount = sys::files::open(&point, manner).ok()?;
            sys::paths::open_by_handle(mount.as_fd(), kind, bytes, libc::O_PATH).ok()
        })
    })
}

/// The path that the kernel knows for an open file; none when it knows none that leads there.
fn reference(pid: i32, file: &OwnedFd, collection: &mut Collection) -> Result<Option<FileRefV1>> {
    let through = PathBuf::from(format!("/proc/thread-self/fd/{}", file.as_raw_fd()));
    let what = || format!("Could not examine a file that process {pid} watches");
    let meta = std::fs::metadata(&through).explain(what)?;
    let link = filesystem::link(&through.to_string_lossy())?;
    match FileRefV1::find(pid, &link, &meta, &through, collection) {
        // A file that nobody has opened for long has no name until it is looked up again.
        Err(_) => Ok(None),
        found => found.map(Some),
    }
}

/// Looks where the process has files open, then everywhere on the device.
fn by_search(pid: i32, device: (u32, u32), inode: u64, view: &View) -> Option<(PathBuf, Metadata)> {
    let mut folders = VecDeque::new();
    let links =
        procfs::descriptors(pid).unwrap_or_default().into_iter().map(|fd| format!("/proc/{pid}/fd/{fd}"));
    for link in links.chain([format!("/proc/{pid}/cwd"), format!("/proc/{pid}/exe")]) {
        let Ok(path) = std::fs::read_link(link) else { continue };
        folders.extend(path.parent().filter(|parent| parent.is_absolute()).map(Path::to_path_buf));
        folders.push_back(path);
    }
    folders.push_back(PathBuf::from("/etc"));
    let points = mount_points(pid, device).into_iter();
    folders.extend(
        points.map(|point| {
            PathBuf::from(std::ffi::OsString::from(String::from_utf8_lossy(&point).into_owned()))
        }),
    );
    let device = sys::files::device(device.0, device.1);
    let mut seen = HashSet::new();
    let mut left = SEARCHED;
    while let Some(folder) = folders.pop_front() {
        let there = view.path(folder.as_os_str().as_bytes());
        let Ok(meta) = std::fs::symlink_metadata(&there) else { continue };
        if (meta.dev(), meta.ino()) == (device, inode) {
            return Some((folder, meta));
        }
        if !meta.is_dir() || !seen.insert((meta.dev(), meta.ino())) {
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&there) else { continue };
        for entry in entries.flatten() {
            left = left.checked_sub(1)?;
            let Ok(meta) = entry.metadata() else { continue };
            let path = folder.join(entry.file_name());
            if (meta.dev(), meta.ino()) == (device, inode) {
                return Some((path, meta));
            }
            if meta.is_dir() && meta.dev() == device {
                folders.push_back(path);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_from_its_digits() {
        assert_eq!(bytes("27401200"), Some(vec![0x27, 0x40, 0x12, 0]));
        assert_eq!(bytes("zz"), None);
    }
}
