//! The capsule of an application that stasis started: what a new one must be like.

use crate::explain::Result;
use crate::ids::OriginalPid;
use abi::request::{Home, Target};
use capsule::{Aid, BuildSpec, Building, ClockOffsets, Ending, IpcList, Own};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CapsuleV1 {
    pub aid: String,
    pub name: String,
    /// The command that the application was started with.
    pub command: Vec<String>,
    pub hostname: String,
    /// The process whose end is the application's; none when it had ended, then with how.
    pub root: Option<OriginalPid>,
    pub ending: Option<Ending>,
    /// The capsule keeps the master of the application's terminal.
    pub terminal: bool,
}

/// A running capsule: its saved form, its helper on the host, and the log that the application may have open.
pub struct Source {
    pub saved: CapsuleV1,
    pub init: i32,
    pub log: PathBuf,
    /// What it has for itself in `/dev`.
    pub own: Own,
    /// The mqueue file system of its IPC namespace, where the kernel has one.
    pub queues: Option<OwnedFd>,
}

impl Source {
    /// The device number of a file system that the application has for itself, if it has.
    pub fn device(&self, own: bool, path: &str) -> Option<u64> {
        let meta = std::fs::metadata(format!("/proc/{}/root{path}", self.init));
        meta.ok().filter(|_| own).map(|meta| meta.dev())
    }
}

/// The capsule that a target names or is in, if it is in one of ours.
pub fn find(home: &Home, target: &Target) -> Result<Option<Source>> {
    let aid: Aid = match target {
        Target::Aid(aid) => aid.parse()?,
        Target::Pid(pid) => match capsule::owner_of(home, *pid) {
            Some(aid) => aid,
            None => return Ok(None),
        },
    };
    let mut found = capsule::find(home, &aid)?;
    let hosted = found.hosted()?;
    let saved = CapsuleV1 {
        aid: aid.to_string(),
        name: found.name().to_owned(),
        command: found.command().to_vec(),
        hostname: hosted.hostname,
        root: hosted.root.and(hosted.root_inside).map(OriginalPid),
        ending: hosted.root_ending,
        terminal: hosted.terminal,
    };
    let log = home.data.join("apps").join(aid.to_string()).join("log");
    // One that an older version started does not know the question.
    let queues = found.open_ipc(IpcList::PosixQueues).unwrap_or_default();
    Ok(Some(Source { saved, init: hosted.init, log, own: hosted.own, queues }))
}

/// Makes an empty capsule like the saved one, under `name` where one is given. `own_shared_memory`: the application
/// brings its `/dev/shm` along.
pub fn build(
    saved: &CapsuleV1,
    name: Option<&str>,
    clock_offsets: Option<ClockOffsets>,
    own_shared_memory: bool,
    home: &Home,
    init: &[u8],
) -> Result<Building> {
    let spec = BuildSpec {
        name: name.unwrap_or(&saved.name).to_owned(),
        command: saved.command.clone(),
        hostname: (!saved.hostname.is_empty()).then(|| saved.hostname.clone()),
        clock_offsets,
        terminal: saved.terminal,
        own_shared_memory,
    };
    capsule::build(home, spec, init)
}
