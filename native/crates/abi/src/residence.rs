//! What a resident helper is to hold: the memory of a template, laid out such that clones take it over by moving pages.

use serde::{Deserialize, Serialize};

/// Everything about the memory of a template. It travels to the resident helper as JSON in a memory file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    pub layout: Layout,
    /// Where the contents come from.
    pub runs: Vec<Run>,
    /// Parts (address, bytes) to be put into huge pages.
    pub huge: Vec<(u64, u64)>,
    /// The code that clones begin with, at [`Layout::code`].
    pub code: Vec<u8>,
}

/// Where things are. Clones are made from the layout that the memory was loaded with, also by a later version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The start of the part of the address space that restores work in (`engine/src/stub.rs`).
    pub hole: u64,
    /// A page of code, and the data beside it: address and bytes.
    pub code: u64,
    pub data: (u64, u64),
    /// All slots lie in here: start and end.
    pub arena: (u64, u64),
    pub slots: Vec<Slot>,
}

/// One mapping of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The pid that the process has in the snapshot.
    pub pid: i32,
    /// Where the mapping is in the process.
    pub start: u64,
    pub length: u64,
    /// Where it waits: at the same place within a huge page, so that whole page tables move.
    pub address: u64,
    /// Further flags for mmap(2).
    pub flags: u64,
}

/// Bytes of a pack and the address in the arena that they belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub address: u64,
    pub length: u64,
    pub pack: u32,
    pub offset: u64,
}
