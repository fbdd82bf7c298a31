//! Two worlds, two types: ids as the application knows them, and ids as this host's kernel has them now.

use serde::{Deserialize, Serialize};

/// A process or thread id in the application's own (innermost) PID namespace; it is kept across a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OriginalPid(pub i32);

/// A process or thread id in the PID namespace of this command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CurrentPid(pub i32);

/// An open file description of the snapshot: what several descriptors may share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DescriptionId(pub u32);

impl std::fmt::Display for OriginalPid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Display for CurrentPid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
