//! What is changed of an application while it comes back: files that stand at other paths, strings in its memory, ports,
//! descriptors and connections. Rules files say it (`docs/templates.md`); texts are literal here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edits {
    /// In the order in which they are made: one that stands in another comes after it.
    pub mounts: Vec<Mount>,
    pub environment: Vec<Variable>,
    pub arguments: Vec<Argument>,
    /// Where standard output and error lead that had led to the log or outside.
    pub output: Option<Output>,
    pub ports: Vec<Port>,
    pub leave_out: LeaveOut,
    /// The first that fits a TCP connection decides what becomes of it.
    pub connections: Vec<Connection>,
    /// Run in the capsule when all is built, and before anything of the application runs.
    pub before: Commands,
}

/// Commands, one after the other, each of which must end with 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Commands {
    pub commands: Vec<Vec<String>>,
    pub environment: BTreeMap<String, String>,
}

/// A file or folder that stands at a path for this application alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Where the application finds it: an absolute path at which there is something of the same kind.
    pub target: String,
    pub source: Source,
}

/// What stands there. All but `Path` are files in the application's state folder, and go with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// What is at this absolute path of the host.
    Path(String),
    /// A file that holds this text.
    Text(String),
    /// A copy of the file that is there.
    Copy,
    /// An empty file.
    Empty,
}

/// An environment variable of the processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub name: String,
    pub value: String,
    /// Only in processes of this name (`/proc/PID/comm`).
    #[serde(default)]
    pub process: Option<String>,
}

/// A text that stands in arguments of the processes, and what stands there instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    pub find: String,
    pub replace: String,
    #[serde(default)]
    pub process: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    Log,
    Null,
    /// Appended to this file of the host.
    Path(String),
}

/// A port on which the application listens or is bound to, and which it is on the host's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    pub from: u16,
    /// 0 for any that is free.
    pub to: u16,
}

/// Descriptors that lead to `/dev/null`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaveOut {
    /// Files, and folders with all in them.
    pub paths: Vec<String>,
    /// Kinds of descriptors as `inspect` calls them.
    pub kinds: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// `ADDRESS:PORT` of either end; `*` for any address or port.
    pub end: String,
    pub keep: bool,
}

/// Edits that outlast the restore: the application's folder records them, and a snapshot of it takes them along.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lasting {
    pub mounts: Vec<LastingMount>,
    /// What programs that are started in the capsule get.
    pub environment: BTreeMap<String, String>,
    /// Ports that are others on the host; `to` is never 0.
    pub ports: Vec<Port>,
}

impl Lasting {
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastingMount {
    pub target: String,
    /// What is mounted: absolute, or a name in the application's state folder.
    pub source: String,
    /// In a snapshot, the contents of a file of the state folder; none for one that begins empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Vec<u8>>,
    /// A file of the state folder begins empty again when the application is restored.
    #[serde(default)]
    pub empty: bool,
}
