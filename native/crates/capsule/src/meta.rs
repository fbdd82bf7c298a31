//! `meta.json`: who an application is. And how it ended, from the helper's `status.json`.

use crate::{Aid, home};
use abi::edits::Lasting;
use abi::network::OwnNetwork;
use abi::request::{Home, Origin};
use abi::wire::{STATUS_FILE, StatusFile, Translation, ViewKind};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub const META_FILE: &str = "meta.json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub aid: Aid,
    pub name: String,
    pub command: Vec<String>,
    /// ISO 8601, UTC.
    pub started: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    pub terminal: bool,
    /// How its System V ids are translated; absent where an IPC namespace keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translation: Option<Translation>,
    /// The template that it comes from, for a clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What its own network namespace has; absent where it is in that of the command which started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<OwnNetwork>,
    /// Folders that belong to its state. What it has of its own of the volume at place N is in `volumes/N`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// What its last restore changed, and every later one must, too.
    #[serde(default, skip_serializing_if = "Lasting::is_none")]
    pub lasting: Lasting,
    /// The helper, once it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<HelperProcess>,
}

/// A folder that belongs to an application's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Absolute, without links.
    pub path: String,
    /// What it sees there of its own; absent where it has the host's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<ViewKind>,
}

/// The helper as the host sees it. The start time tells it from a later process under the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperProcess {
    pub pid: i32,
    /// Clock ticks since the host's boot (proc_pid_stat(5), field 22).
    pub start_ticks: u64,
}

impl Meta {
    /// What tells a clone from its siblings and from what it was cloned from: `GENERATION AID`.
    pub fn generation_token(&self) -> Option<String> {
        self.origin.as_ref().map(|origin| format!("{} {}", origin.generation, self.aid))
    }

    pub fn read(home: &Home, aid: &Aid) -> io::Result<Self> {
        let text = fs::read(home::state(home, aid).join(META_FILE))?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }

    /// Replaces the file as a whole.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join("meta.json.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self).map_err(io::Error::other)?)?;
        fs::rename(new, folder.join(META_FILE))
    }
}

/// What the helper recorded; the default when it has recorded nothing.
pub fn status(home: &Home, aid: &Aid) -> StatusFile {
    let text = fs::read(home::state(home, aid).join(STATUS_FILE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Every application of this name, ended ones too. Only their files are understood: there may be hundreds of others.
pub fn named(home: &Home, name: &str) -> Vec<Meta> {
    let folders = fs::read_dir(home::apps(home)).into_iter().flatten().flatten();
    let texts = folders.filter_map(|entry| fs::read(entry.path().join(META_FILE)).ok());
    let candidates = texts.filter(|text| text.windows(name.len()).any(|part| part == name.as_bytes()));
    let metas = candidates.filter_map(|text| serde_json::from_slice::<Meta>(&text).ok());
    metas.filter(|meta| meta.name == name).collect()
}

/// Every application that has a state folder, oldest first. What is not ours or half made is passed over.
pub fn all(home: &Home) -> Vec<Meta> {
    let folders = fs::read_dir(home::apps(home)).into_iter().flatten().flatten();
    let aids = folders.filter_map(|entry| entry.file_name().to_str()?.parse::<Aid>().ok());
    let mut metas: Vec<Meta> = aids.filter_map(|aid| Meta::read(home, &aid).ok()).collect();
    metas.sort_by(|a, b| (&a.started, &a.aid).cmp(&(&b.started, &b.aid)));
    metas
}
