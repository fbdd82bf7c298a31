//! Resource limits of a process (getrlimit(2)).

use crate::explain::{Explain, Result};
use crate::program::Program;
use serde::{Deserialize, Serialize};

/// RLIMIT_CPU (0) to RLIMIT_RTTIME (15).
const COUNT: u32 = 16;
const CAP_SYS_RESOURCE: u32 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitV1 {
    pub soft: u64,
    pub hard: u64,
}

/// The names that /proc/PID/limits uses, in the order of their numbers.
const NAMES: [&str; COUNT as usize] = [
    "Max cpu time",
    "Max file size",
    "Max data size",
    "Max stack size",
    "Max core file size",
    "Max resident set",
    "Max processes",
    "Max open files",
    "Max locked memory",
    "Max address space",
    "Max file locks",
    "Max pending signals",
    "Max msgqueue size",
    "Max nice priority",
    "Max realtime priority",
    "Max realtime timeout",
];

/// Reads /proc/PID/limits: prlimit(2) on another user's process would need CAP_SYS_RESOURCE.
pub fn collect(pid: i32) -> Result<Vec<LimitV1>> {
    let what = || format!("Could not read the limits of process {pid}");
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).explain(what)?;
    let limit = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let mut words = line.split_ascii_whitespace().map(|word| match word {
            "unlimited" => Some(u64::MAX),
            number => number.parse().ok(),
        });
        Some(LimitV1 { soft: words.next()??, hard: words.next()?? })
    };
    NAMES.iter().map(|name| limit(name).ok_or(sys::Errno::EIO).explain(what)).collect()
}

/// Adds the calls for limits that differ from the present ones. Raising a hard limit needs CAP_SYS_RESOURCE on the
/// host; a limit that may not be raised is left at the host's, which the caller reports.
pub fn apply(saved: &[LimitV1], pid: i32, program: &mut Program) -> Result<Vec<String>> {
    let now = collect(pid)?;
    let mut notes = Vec::new();
    for (resource, (saved, now)) in saved.iter().zip(&now).enumerate() {
        let mut want = *saved;
        if saved.hard > now.hard && !sys::process::has_capability(CAP_SYS_RESOURCE) {
            want = LimitV1 { soft: saved.soft.min(now.hard), hard: now.hard };
            notes.push(format!("{} of process {pid} stays at {} (hard)", NAMES[resource], now.hard));
        }
        if want != *now {
            let bytes = [want.soft.to_le_bytes(), want.hard.to_le_bytes()].concat();
            let at = program.data(&bytes);
            program.call("prlimit64", libc::SYS_prlimit64, &[0, resource as u64, at, 0]);
        }
    }
    Ok(notes)
}
