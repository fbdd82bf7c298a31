//! Pages that an application made inaccessible without a mapping of their own (`MADV_GUARD_INSTALL`, madvise(2), kernel
//! 6.13): the C library guards thread stacks with them. The kernel tells of them from 6.15 on.

use super::memory::AddressSpaceV1;
use crate::program::Program;
use serde::{Deserialize, Serialize};
use std::ops::Range;

const MADV_GUARD_INSTALL: u64 = 102;

/// Consecutive guard pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardV1 {
    /// Address in the process.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

impl GuardV1 {
    pub fn new(range: Range<u64>) -> Self {
        Self { start: range.start, length: range.end - range.start }
    }

    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }
}

/// Adds the calls that install the guards: when the pages are loaded, and before anything is locked or sealed.
pub fn apply(memory: &AddressSpaceV1, program: &mut Program) {
    for guard in &memory.guards {
        program.call("madvise", libc::SYS_madvise, &[guard.start, guard.length, MADV_GUARD_INSTALL]);
    }
}

/// Are there guards within `range`?
pub fn within(memory: &AddressSpaceV1, range: Range<u64>) -> bool {
    let next = memory.guards.partition_point(|guard| guard.end() <= range.start);
    memory.guards.get(next).is_some_and(|guard| guard.start < range.end)
}
