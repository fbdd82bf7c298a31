//! The capsule of an application that stasis started: what a new one must be like.

use crate::explain::Result;
use crate::ids::OriginalPid;
use crate::state::translation;
use abi::request::{Home, Target};
use abi::wire::IDS;
use capsule::{Aid, BuildSpec, Building, Capsule, ClockOffsets, Ending, Interposition};
use serde::{Deserialize, Serialize};
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
    /// Where its System V ids are translated.
    pub interposition: Option<Interposition>,
    capsule: Capsule,
}

impl Source {
    /// Keeps the application from making and removing ids, and finds its table, where ids are translated.
    pub fn hold_ids(&mut self) -> Result<Option<translation::Source>> {
        let Some(interposition) = self.interposition else { return Ok(None) };
        self.capsule.hold_ids()?;
        let table = self.capsule.take(IDS)?;
        table.map(|table| translation::Source::new(interposition, table)).transpose()
    }

    /// Undoes [`hold_ids`](Self::hold_ids), as dropping this does.
    pub fn release_ids(&mut self) {
        if self.interposition.is_some() {
            // A capsule that does not answer has nothing to let go of.
            let _ = self.capsule.release_ids();
        }
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
    let interposition = found.interposition();
    Ok(Some(Source { saved, init: hosted.init, log, interposition, capsule: found }))
}

/// Makes an empty capsule like the saved one, under `name` where one is given.
pub fn build(
    saved: &CapsuleV1,
    name: Option<&str>,
    clock_offsets: Option<ClockOffsets>,
    interposition: Option<Interposition>,
    home: &Home,
    init: &[u8],
) -> Result<Building> {
    let spec = BuildSpec {
        name: name.unwrap_or(&saved.name).to_owned(),
        command: saved.command.clone(),
        hostname: (!saved.hostname.is_empty()).then(|| saved.hostname.clone()),
        clock_offsets,
        terminal: saved.terminal,
        interposition,
    };
    capsule::build(home, spec, init)
}
