//! Seccomp: strict mode, and filters with their order of installation (seccomp(2)).
//!
//! Collecting and applying both make calls that a filter may deny, so threads that have one are traced with
//! PTRACE_O_SUSPEND_SECCOMP, which needs CAP_SYS_ADMIN.

use crate::explain::{Explain, Result};
use crate::procfs::Status;
use crate::program::Program;
use crate::state::translation;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

const STRICT: &str = "1";
const FILTER: &str = "2";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompV1 {
    #[default]
    Off,
    Strict,
    /// Oldest first.
    Filters(Vec<FilterV1>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterV1 {
    /// `struct sock_filter`, eight bytes each.
    pub program: ByteBuf,
    pub flags: u64,
}

/// Is the thread under seccomp, so that it has to be traced with the filters suspended? Not when `ours` says that the
/// application has the filter of its capsule, and the thread has no other: that one denies nothing.
pub fn is_on(status: &Status, ours: bool) -> bool {
    match status.text("Seccomp") {
        STRICT => true,
        FILTER => !(ours && status.text("Seccomp_filters") == "1"),
        _ => false,
    }
}

/// `ours`: the oldest filter is that of the capsule, which every restore installs anew.
pub fn collect(tid: i32, status: &Status, ours: bool) -> Result<SeccompV1> {
    if !is_on(status, ours) {
        return Ok(SeccompV1::Off);
    }
    let what = || format!("Could not read the seccomp filters of thread {tid}");
    match status.text("Seccomp") {
        STRICT => return Ok(SeccompV1::Strict),
        FILTER => {}
        _ => return Ok(SeccompV1::Off),
    }
    let mut filters = Vec::new();
    while let Some(program) = sys::ptrace::seccomp_filter(tid, filters.len()).explain(what)? {
        let flags = sys::ptrace::seccomp_filter_flags(tid, filters.len()).explain(what)?;
        filters.push(FilterV1 { program: ByteBuf::from(program), flags });
    }
    if ours && filters.first().is_some_and(|first| first.program[..] == translation::own_filter()) {
        filters.remove(0);
    }
    Ok(SeccompV1::Filters(filters))
}

impl SeccompV1 {
    fn filters(&self) -> &[FilterV1] {
        match self {
            SeccompV1::Filters(filters) => filters,
            _ => &[],
        }
    }
}

/// The filters that all threads have from the start: installed once, before the threads are made, they are one
/// object for all, as the synchronising of a later filter (SECCOMP_FILTER_FLAG_TSYNC) demands.
pub fn common<'a>(threads: impl Iterator<Item = &'a SeccompV1>) -> &'a [FilterV1] {
    let prefix = |a: &'a [FilterV1], b: &'a [FilterV1]| {
        let length = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        &a[..length]
    };
    threads.map(SeccompV1::filters).reduce(prefix).unwrap_or(&[])
}

/// Adds the calls that install `filters`. Needs CAP_SYS_ADMIN, so it comes before the credentials.
pub fn install(filters: &[FilterV1], program: &mut Program) {
    const SECCOMP_SET_MODE_FILTER: u64 = 1;
    for filter in filters {
        let instructions = program.data(&filter.program);
        let length = (filter.program.len() / 8) as u64;
        let prog = program.data(&[length.to_le_bytes(), instructions.to_le_bytes()].concat());
        program.call("seccomp", libc::SYS_seccomp, &[SECCOMP_SET_MODE_FILTER, filter.flags, prog]);
    }
}

/// Adds what one thread has beyond the common filters.
pub fn apply(saved: &SeccompV1, common: usize, program: &mut Program) {
    const SECCOMP_MODE_STRICT: u64 = 1;
    match saved {
        SeccompV1::Off => {}
        SeccompV1::Strict => {
            program.call(
                "PR_SET_SECCOMP",
                libc::SYS_prctl,
                &[libc::PR_SET_SECCOMP as u64, SECCOMP_MODE_STRICT],
            );
        }
        SeccompV1::Filters(filters) => install(&filters[common.min(filters.len())..], program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_filters_are_the_shared_prefix() {
        let filter = |byte: u8| FilterV1 { program: ByteBuf::from(vec![byte; 8]), flags: 0 };
        let a = SeccompV1::Filters(vec![filter(1), filter(2)]);
        let b = SeccompV1::Filters(vec![filter(1), filter(3)]);
        assert_eq!(common([&a, &b].into_iter()), &[filter(1)]);
        assert!(common([&a, &SeccompV1::Off].into_iter()).is_empty());
    }
}
