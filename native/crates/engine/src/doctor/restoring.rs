//! What building capsules and bringing processes back needs of the kernel.

use super::{Check, text_of};
use std::fs::OpenOptions;
use sys::probe::{self, Namespace};

pub fn checks() -> Vec<Check> {
    vec![
        pid_namespaces(),
        user_namespaces(),
        Check::call("choice of pids", probe::set_tid(), "CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN")
            .otherwise("a tree taken with --pid cannot get its pids back on this host; a capsule can")
            .fix("run stasis as root"),
        time_namespaces(),
        network_namespaces(),
        sysv_ids(),
        cgroups(),
        Check::call("io_uring", probe::io_uring(), "Linux 5.1, not disabled")
            .otherwise("applications that need io_uring do not run")
            .fix("sysctl kernel.io_uring_disabled=0"),
        Check::call("overlay file system", probe::file_system(c"overlay"), "CONFIG_OVERLAY_FS")
            .otherwise("clones cannot have files of their own above shared ones")
            .fix("modprobe overlay"),
    ]
}

/// By right, or as the ruler of a user namespace.
fn pid_namespaces() -> Check {
    let name = "pid namespaces";
    let needed = "root, or user namespaces";
    let check = match (probe::namespace(Namespace::Pid), probe::namespace_of_user(Namespace::Pid)) {
        (Ok(()), _) => Check::new(name, true, "works", needed),
        (Err(_), Ok(())) => Check::new(name, true, "works, in a user namespace", needed),
        (Err(error), Err(_)) => Check::new(name, false, error.to_string(), needed),
    };
    check.required().otherwise("no capsule can be built").fix("run stasis as root, or allow user namespaces")
}

fn user_namespaces() -> Check {
    Check::call("user namespaces", probe::namespace(Namespace::User), "allowed for this user")
        .otherwise("only root can run applications")
        .fix(
            "sysctl user.max_user_namespaces=15000, and kernel.unprivileged_userns_clone=1 where that exists",
        )
}

fn network_namespaces() -> Check {
    let answer = probe::namespace(Namespace::Net).or_else(|_| probe::namespace_of_user(Namespace::Net));
    Check::call("network namespaces", answer, "CONFIG_NET_NS, and root or user namespaces")
        .otherwise("--network none fails: every application is on the host's network")
}

fn time_namespaces() -> Check {
    let answer = probe::namespace(Namespace::Time).or_else(|_| probe::namespace_of_user(Namespace::Time));
    Check::call("time namespaces", answer, "Linux 5.6 with CONFIG_TIME_NS").otherwise(
        "the monotonic clock jumps when an application is restored on another host or after a reboot",
    )
}

/// Ids of System V objects can be chosen by writing these files (Documentation/admin-guide/sysctl/kernel.rst). They
/// are opened and not written.
fn sysv_ids() -> Check {
    let files = ["sem_next_id", "shm_next_id", "msg_next_id"];
    let open = |file| OpenOptions::new().write(true).open(format!("/proc/sys/kernel/{file}"));
    let failure = files.into_iter().find_map(|file| open(file).err());
    let found = failure.as_ref().map_or_else(|| "works".to_owned(), ToString::to_string);
    Check::new(
        "choice of SysV ids",
        failure.is_none(),
        found,
        "CONFIG_CHECKPOINT_RESTORE, and root or a capsule",
    )
    .otherwise("System V objects of a tree taken with --pid cannot get their ids back on this host")
    .fix("run stasis as root")
}

fn cgroups() -> Check {
    let mounts = text_of("/proc/self/mountinfo");
    let kinds = mounts.lines().filter_map(|line| line.split(" - ").nth(1)?.split(' ').next());
    let mut kinds: Vec<_> = kinds.filter(|kind| kind.starts_with("cgroup")).collect();
    kinds.dedup();
    let found = if kinds.is_empty() { "not mounted".to_owned() } else { kinds.join(", ") };
    Check::new("cgroups", !kinds.is_empty(), found, "cgroup2 mounted")
        .otherwise("applications come back without the cgroups that they were in")
        .fix("mount -t cgroup2 none /sys/fs/cgroup")
}
