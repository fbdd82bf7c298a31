//! Control groups (cgroups(7)) that the application's processes are in, where those are not the snapshot command's own:
//! a process that was merely in the same group as whoever took the snapshot comes back in the group of whoever restores.

mod hierarchy;
mod joining;

pub use hierarchy::Made;
pub use joining::{apply, apply_threads};

use crate::explain::{Explain, Result};
use crate::freeze::FrozenTree;
use crate::ids::OriginalPid;
use crate::procfs::Status;
use hierarchy::Hierarchies;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CgroupsV1 {
    /// Outer before inner.
    pub groups: Vec<GroupV1>,
    pub members: Vec<MemberV1>,
    pub namespaces: Vec<CgroupNamespaceV1>,
}

/// A group as a restore makes it, where it does not exist.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupV1 {
    /// The middle field of a line of /proc/PID/cgroup.
    pub hierarchy: String,
    /// From the root of the cgroup namespace of the command that took the snapshot.
    pub path: String,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Limits: files and their contents.
    pub properties: Vec<(String, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberV1 {
    pub process: OriginalPid,
    /// The one thread that this is about; none for the whole process.
    pub thread: Option<OriginalPid>,
    pub hierarchy: String,
    pub path: String,
}

/// A cgroup namespace of the application's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CgroupNamespaceV1 {
    /// Hierarchies and what is their root in it.
    pub roots: Vec<(String, String)>,
    pub processes: Vec<OriginalPid>,
}

/// Hierarchy to path.
type Place = BTreeMap<String, String>;

/// Reads /proc/`of`/cgroup: lines `number:hierarchy:path`.
fn place(of: &str) -> Result<Place> {
    let path = format!("/proc/{of}/cgroup");
    let text = match std::fs::read_to_string(&path) {
        // A kernel without control groups.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Place::new()),
        text => text.explain(|| format!("Could not read {path}"))?,
    };
    Ok(parse(&text))
}

fn parse(text: &str) -> Place {
    let pair = |line: &str| {
        let mut words = line.splitn(3, ':').skip(1);
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

pub fn collect(tree: &FrozenTree, notes: &mut Vec<String>) -> Result<CgroupsV1> {
    let own = place("thread-self")?;
    let mut saved = CgroupsV1::default();
    for process in tree.processes.iter().filter(|process| !process.is_zombie()) {
        let leader = place(&process.pid.to_string())?;
        let id = original(&process.pid.to_string());
        saved.add(id, None, &leader, &own, notes);
        for thread in &process.threads[1..] {
            let path = format!("{}/task/{}", process.pid, thread.stopped.tid());
            saved.add(id, Some(original(&path)), &place(&path)?, &leader, notes);
        }
    }
    saved.namespaces = namespaces(tree)?;
    saved.groups = groups(&saved, &place(&tree.processes[0].pid.to_string())?, notes);
    Ok(saved)
}

fn original(path: &str) -> OriginalPid {
    OriginalPid(Status::read(path).unwrap_or_default().innermost("NSpid"))
}

impl CgroupsV1 {
    fn add(
        &mut self,
        process: OriginalPid,
        thread: Option<OriginalPid>,
        place: &Place,
        usual: &Place,
        notes: &mut Vec<String>,
    ) {
        for (hierarchy, path) in place.iter().filter(|(hierarchy, path)| usual.get(*hierarchy) != Some(path))
        {
            if path.starts_with("/..") || path.ends_with(" (deleted)") {
                notes.push(format!("process {process} does not keep its control group {hierarchy}:{path}"));
                continue;
            }
            let (hierarchy, path) = (hierarchy.clone(), path.clone());
            self.members.push(MemberV1 { process, thread, hierarchy, path });
        }
    }
}

/// The groups of all members with those above them, and what lies below the groups of the first process.
fn groups(saved: &CgroupsV1, root: &Place, notes: &mut Vec<String>) -> Vec<GroupV1> {
    let mut paths: BTreeSet<(String, String)> = BTreeSet::new();
    let mut hierarchies = Hierarchies::default();
    let rooted = saved.namespaces.iter().flat_map(|namespace| namespace.roots.iter().cloned());
    let joined = saved.members.iter().map(|member| (member.hierarchy.clone(), member.path.clone()));
    for (hierarchy, path) in joined.chain(rooted) {
        for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            paths.insert((hierarchy.clone(), path[..end].to_owned()));
        }
        if root.get(&hierarchy) == Some(&path) && path != "/" {
            let below = hierarchies.below(&hierarchy, &path);
            paths.extend(below.into_iter().map(|path| (hierarchy.clone(), path)));
        }
    }
    paths.retain(|(_, path)| path.len() > 1);
    let mut groups = Vec::new();
    for (hierarchy, path) in paths {
        match hierarchies.describe(&hierarchy, &path) {
            Ok(group) => groups.push(group),
            Err(error) => {
                notes.push(format!("the control group {hierarchy}:{path} cannot be made anew: {error}"))
            }
        }
    }
    groups
}

/// The cgroup namespaces that are not this command's, with their roots: how they differ for a reader inside and outside.
fn namespaces(tree: &FrozenTree) -> Result<Vec<CgroupNamespaceV1>> {
    let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/cgroup")).ok();
    let own = link("thread-self");
    let mut found: BTreeMap<_, Vec<i32>> = BTreeMap::new();
    for process in tree.processes.iter().filter(|process| !process.is_zombie()) {
        let theirs = link(&process.pid.to_string());
        if theirs != own {
            found.entry(theirs).or_default().push(process.pid);
        }
    }
    let describe = |pids: Vec<i32>| {
        let processes = pids.iter().map(|pid| original(&pid.to_string())).collect();
        Ok(CgroupNamespaceV1 { roots: roots(pids[0])?, processes })
    };
    found.into_values().map(describe).collect()
}

fn roots(pid: i32) -> Result<Vec<(String, String)>> {
    let what = || format!("Could not read the cgroup namespace of process {pid}");
    let outside = place(&pid.to_string())?;
    let namespace = File::open(format!("/proc/{pid}/ns/cgroup")).explain(what)?;
    let inside = std::thread::scope(|scope| {
        let visit = || {
            sys::namespaces::enter_cgroup(&namespace).explain(what)?;
            place(&pid.to_string())
        };
        scope.spawn(visit).join().expect("a visit to a namespace does not panic")
    })?;
    let root = |(hierarchy, path): (String, String)| {
        let below = inside.get(&hierarchy)?.trim_end_matches('/');
        let root = path.strip_suffix(below)?;
        Some((hierarchy, if root.is_empty() { "/".to_owned() } else { root.to_owned() }))
    };
    Ok(outside.into_iter().filter_map(root).filter(|(_, root)| root != "/").collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_path_may_contain_colons() {
        let place = super::parse("12:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/user.slice\n");
        assert_eq!(place["cpu,cpuacct"], "/a:b");
        assert_eq!(place[""], "/user.slice");
        assert_eq!(place.len(), 3);
    }
}
