//! Groups as folders: describing one, making one.

use super::GroupV1;
use std::collections::HashMap;
use std::io::Result;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::rc::Rc;

/// Limits that a group made anew gets, of both versions. Those of cpuset come first: without them no process may join.
const PROPERTIES: [&str; 19] = [
    "cgroup.type",
    "cpuset.cpus",
    "cpuset.mems",
    "cpu.max",
    "cpu.weight",
    "cpu.shares",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "memory.min",
    "memory.low",
    "memory.high",
    "memory.max",
    "memory.swap.max",
    "memory.oom.group",
    "memory.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "pids.max",
    "io.weight",
    "freezer.self_freezing",
];
/// How many groups below the application's a snapshot describes at most.
const MOST: usize = 1000;

/// Hierarchies, opened when they are first wanted.
#[derive(Default)]
pub struct Hierarchies {
    opened: HashMap<String, Rc<OwnedFd>>,
}

impl Hierarchies {
    /// The folder of a group, for as long as this lives.
    pub fn folder(&mut self, hierarchy: &str, path: &str) -> Result<PathBuf> {
        if !self.opened.contains_key(hierarchy) {
            let opened = sys::cgroups::open_hierarchy(hierarchy)?;
            self.opened.insert(hierarchy.to_owned(), Rc::new(opened));
        }
        let fd = self.opened[hierarchy].as_raw_fd();
        Ok(PathBuf::from(format!("/proc/thread-self/fd/{fd}{path}")))
    }

    /// Paths of all groups below one; none where they cannot be looked at.
    pub fn below(&mut self, hierarchy: &str, path: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut left = vec![path.to_owned()];
        while let Some(path) = left.pop() {
            let Ok(entries) = self.folder(hierarchy, &path).and_then(std::fs::read_dir) else { continue };
            for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                if found.len() < MOST {
                    let path = format!("{path}/{}", entry.file_name().to_string_lossy());
                    found.push(path.clone());
                    left.push(path);
                }
            }
        }
        found
    }

    pub fn describe(&mut self, hierarchy: &str, path: &str) -> Result<GroupV1> {
        let folder = self.folder(hierarchy, path)?;
        let meta = std::fs::metadata(&folder)?;
        let read = |name: &str| {
            let text = std::fs::read_to_string(folder.join(name)).ok()?;
            Some((name.to_owned(), text.trim_end().to_owned()))
        };
        Ok(GroupV1 {
            hierarchy: hierarchy.to_owned(),
            path: path.to_owned(),
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            properties: PROPERTIES.into_iter().filter_map(read).collect(),
        })
    }

    /// Makes a group that does not exist. Returns what could not be set; nothing when it was there.
    pub fn make(&mut self, group: &GroupV1, made: &mut Made) -> Result<Vec<String>> {
        let folder = self.folder(&group.hierarchy, &group.path)?;
        if folder.exists() {
            return Ok(Vec::new());
        }
        std::fs::create_dir(&folder)?;
        made.note(self.opened[&group.hierarchy].clone(), folder.clone());
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(group.mode))?;
        std::os::unix::fs::chown(&folder, Some(group.uid), Some(group.gid))?;
        let mut failed = Vec::new();
        for (name, value) in &group.properties {
            let file = folder.join(name);
            let now = std::fs::read_to_string(&file);
            let differs = now.map_or(true, |now| now.trim_end() != value);
            if differs && std::fs::write(&file, value).is_err() {
                failed.push(format!("{name}={value}"));
            }
        }
        Ok(failed)
    }
}

/// Groups that a restore has made. Dropped before [`Made::keep`], when their processes have ended, it removes them.
#[derive(Default)]
pub struct Made {
    folders: Vec<(Rc<OwnedFd>, PathBuf)>,
}

impl Made {
    fn note(&mut self, hierarchy: Rc<OwnedFd>, folder: PathBuf) {
        self.folders.push((hierarchy, folder));
    }

    pub fn keep(&mut self) {
        self.folders.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for (_, folder) in self.folders.drain(..).rev() {
            // One that somebody else uses by now is theirs.
            let _ = std::fs::remove_dir(folder);
        }
    }
}
