//! The capabilities that widen what the caller may capture and restore.

use super::{Check, text_of};

/// Numbers of linux/capability.h.
pub const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const SYS_RESOURCE: u32 = 24;
const CHECKPOINT_RESTORE: u32 = 40;

pub fn checks() -> Vec<Check> {
    vec![
        capability("CAP_SYS_ADMIN", SYS_ADMIN)
            .otherwise("capsules are built in a user namespace of their own")
            .fix("run stasis as root"),
        capability("CAP_CHECKPOINT_RESTORE", CHECKPOINT_RESTORE)
            .otherwise("a tree taken with --pid cannot get its pids back, unless CAP_SYS_ADMIN is held")
            .fix("run stasis as root"),
        capability("CAP_SYS_PTRACE", SYS_PTRACE)
            .otherwise("processes of other users cannot be captured")
            .fix("run stasis as root"),
        capability("CAP_SYS_RESOURCE", SYS_RESOURCE)
            .otherwise("limits above those of stasis itself cannot be restored, nor a lowered oom_score_adj")
            .fix("run stasis as root, in a container with --cap-add SYS_RESOURCE"),
    ]
}

/// Whether the capability is in force for this process.
pub fn has(number: u32) -> bool {
    let status = text_of("/proc/self/status");
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> number & 1 == 1)
}

fn capability(name: &'static str, number: u32) -> Check {
    let held = has(number);
    Check::new(name, held, if held { "held" } else { "not held" }, "held")
}
