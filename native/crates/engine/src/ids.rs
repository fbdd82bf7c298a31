//! Ids as the application knows them, apart from what this host's kernel calls the same things now (plain `i32`, as
//! system calls take them).

use serde::{Deserialize, Serialize};

/// A process or thread id in the application's own (innermost) PID namespace; it is kept across a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OriginalPid(pub i32);

/// An open file description of the snapshot: what several descriptors may share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DescriptionId(pub u32);

impl std::fmt::Display for OriginalPid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
