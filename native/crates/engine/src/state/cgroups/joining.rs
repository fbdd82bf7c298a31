//! Putting processes and threads into their groups.

use super::hierarchy::{Hierarchies, Made};
use super::{CgroupNamespaceV1, CgroupsV1};
use crate::explain::Result;
use crate::ids::OriginalPid;
use crate::nursery::Nursery;
use crate::program::Program;
use crate::rebuild::Rebuild;
use tracee::Stopped;

const CLONE_NEWCGROUP: u64 = libc::CLONE_NEWCGROUP as u64;

/// Makes groups that are missing, and moves processes that have no other threads yet. What cannot be done is a note: the
/// application runs as well in another group.
pub fn apply(saved: &CgroupsV1, made: &mut Made, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    let mut hierarchies = Hierarchies::default();
    for group in &saved.groups {
        let name = format!("{}:{}", group.hierarchy, group.path);
        match hierarchies.make(group, made) {
            Ok(failed) if failed.is_empty() => {}
            Ok(failed) => rebuild.notes.push(format!("the control group {name} lacks {}", failed.join(", "))),
            Err(error) => rebuild.notes.push(format!("the control group {name} could not be made: {error}")),
        }
    }
    for namespace in &saved.namespaces {
        enter(namespace, &mut hierarchies, nursery, rebuild)?;
    }
    for member in saved.members.iter().filter(|member| member.thread.is_none()) {
        join(&mut hierarchies, &member.hierarchy, &member.path, member.process, rebuild);
    }
    Ok(())
}

/// Moves threads that are not in their process's group. They exist now.
pub fn apply_threads(saved: &CgroupsV1, rebuild: &mut Rebuild) {
    let mut hierarchies = Hierarchies::default();
    for member in &saved.members {
        if let Some(thread) = member.thread {
            join(&mut hierarchies, &member.hierarchy, &member.path, thread, rebuild);
        }
    }
}

fn join(hierarchies: &mut Hierarchies, hierarchy: &str, path: &str, id: OriginalPid, rebuild: &mut Rebuild) {
    let Some(current) = rebuild.current(id) else { return };
    let is_thread = !rebuild.image.processes.iter().any(|process| process.pid == id);
    let file = match (is_thread, hierarchy) {
        (false, _) => "cgroup.procs",
        (true, "") => "cgroup.threads",
        (true, _) => "tasks",
    };
    let written = hierarchies
        .folder(hierarchy, path)
        .and_then(|folder| std::fs::write(folder.join(file), current.to_string()));
    if let Err(error) = written {
        rebuild.notes.push(format!("{id} could not join the control group {hierarchy}:{path}: {error}"));
    }
}

/// Makes a cgroup namespace: its roots are the groups of the process that makes it. The others join that one.
fn enter(
    namespace: &CgroupNamespaceV1,
    hierarchies: &mut Hierarchies,
    nursery: &Nursery,
    rebuild: &mut Rebuild,
) -> Result<()> {
    let bench = nursery.hole.bench();
    let Some((&first, others)) = namespace.processes.split_first() else { return Ok(()) };
    for (hierarchy, path) in &namespace.roots {
        join(hierarchies, hierarchy, path, first, rebuild);
    }
    let mut program = Program::new(&bench);
    program.call("unshare", libc::SYS_unshare, &[CLONE_NEWCGROUP]);
    program.run(&Stopped::assume(rebuild.pids[&first]))?;
    for other in others {
        let thread = Stopped::assume(rebuild.pids[other]);
        let path = program.string(format!("/proc/{first}/ns/cgroup").as_bytes());
        program.call("openat", libc::SYS_openat, &[libc::AT_FDCWD as u64, path, libc::O_RDONLY as u64]);
        let fd = program.run(&thread)?[0] as u64;
        program.call("setns", libc::SYS_setns, &[fd, CLONE_NEWCGROUP]);
        program.call("close", libc::SYS_close, &[fd]);
        program.run(&thread)?;
    }
    Ok(())
}
