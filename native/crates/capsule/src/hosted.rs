//! Processes of a capsule as the host sees them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The pid, in the PID namespace of the caller's `/proc`, of the process that `pidfd` names; `ESRCH`-like
/// `NotFound` when it has been reaped (proc_pid_fdinfo(5)).
pub fn pid_of(pidfd: BorrowedFd<'_>) -> io::Result<i32> {
    let info = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.filter(|pid| *pid > 0).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The clock ticks after boot at which a process started, and its parent (proc_pid_stat(5), fields 22 and 4).
pub fn start_and_parent(pid: i32) -> io::Result<(u64, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything, parentheses and blanks included; the last parenthesis ends it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = fields.split_whitespace();
    let parent = fields.nth(1).and_then(|field| field.parse().ok());
    let start = fields.nth(17).and_then(|field| field.parse().ok());
    start.zip(parent).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Whether the process that started at `start_ticks` under this pid has not ended. One that nobody has reaped yet has.
pub fn lives(pid: i32, start_ticks: u64) -> bool {
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_whitespace().next().map(|state| !matches!(state, "Z" | "X"))
    };
    start_and_parent(pid).is_ok_and(|(start, _)| start == start_ticks) && state().unwrap_or(false)
}

/// Every process below the helper `init`, in the order of a walk through the tree: all of the application, since
/// what loses its parent becomes the helper's child.
#[must_use]
pub fn processes_of(init: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([init]);
    let mut open = children_of(init);
    open.reverse();
    while let Some(pid) = open.pop() {
        if seen.insert(pid) {
            found.push(pid);
            open.extend(children_of(pid).into_iter().rev());
        }
    }
    found
}

/// Children belong to the thread that forked them (proc_tid_children(5)).
fn children_of(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Resident memory of one process in bytes (proc_pid_statm(5), field 2); 0 for one that is gone.
pub fn resident_bytes(pid: i32) -> u64 {
    /// x86-64 has pages of one size in this count.
    const PAGE: u64 = 4096;
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_pidfd_leads_to_the_pid_and_the_stat_file_to_its_parent() {
        let own = std::process::id() as i32;
        let handle = sys::lifecycle::process_handle(own).unwrap();
        assert_eq!(pid_of(handle.as_fd()).unwrap(), own);
        let (start, parent) = start_and_parent(own).unwrap();
        assert!(start > 0 && lives(own, start) && !lives(own, start + 1));
        assert_eq!(parent, std::os::unix::process::parent_id() as i32);
        assert!(resident_bytes(own) > 0);
    }
}
