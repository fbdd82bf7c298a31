//! The capsule of an application that stasis started: what a new one must be like.

use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::sockets::Sockets;
use crate::state::translation;
use abi::edits::Lasting;
use abi::network::OwnNetwork;
use abi::request::{Home, Origin, Target};
use abi::wire::IDS;
use capsule::{
    Aid, BuildSpec, Building, Capsule, ClockOffsets, Ending, Init, Interposition, IpcList, Own, Volume,
};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::rc::Rc;

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
    /// What an earlier restore changed for good.
    #[serde(default, skip_serializing_if = "Lasting::is_none")]
    pub lasting: Lasting,
}

/// A running capsule: its saved form, its helper on the host, and the log that the application may have open.
pub struct Source {
    pub saved: CapsuleV1,
    pub init: i32,
    pub log: PathBuf,
    /// The application's state folder.
    pub folder: PathBuf,
    /// Folders that belong to its state.
    pub volumes: Vec<Volume>,
    /// What it has for itself in `/dev`.
    pub own: Own,
    /// The mqueue file system of its IPC namespace, where the kernel has one.
    pub queues: Option<OwnedFd>,
    /// Where its System V ids are translated.
    pub interposition: Option<Interposition>,
    /// What its own network namespace has, if it has one.
    pub network: Option<OwnNetwork>,
    /// The network namespace that it is in.
    pub sockets: Rc<Sockets>,
    capsule: Capsule,
}

impl Source {
    /// The device number of a file system that the application has for itself, if it has.
    pub fn device(&self, own: bool, path: &str) -> Option<u64> {
        let meta = std::fs::metadata(format!("/proc/{}/root{path}", self.init));
        meta.ok().filter(|_| own).map(|meta| meta.dev())
    }

    /// Keeps the application from making and removing ids, and finds its table, where ids are translated.
    pub fn hold_ids(&mut self) -> Result<Option<translation::Source>> {
        let Some(interposition) = self.interposition else { return Ok(None) };
        self.capsule.hold_ids()?;
        let table = self.capsule.take(IDS)?;
        table.map(|table| translation::Source::new(interposition, table)).transpose()
    }

    /// Waits, once every process has been killed, until the helper has removed what the kernel does not.
    pub fn await_end(&mut self) {
        self.release_ids();
        self.capsule.await_end();
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
    let folder = home.data.join("apps").join(aid.to_string());
    let saved = CapsuleV1 {
        aid: aid.to_string(),
        name: found.name().to_owned(),
        command: found.command().to_vec(),
        hostname: hosted.hostname,
        root: hosted.root.and(hosted.root_inside).map(OriginalPid),
        ending: hosted.root_ending,
        terminal: hosted.terminal,
        lasting: capsule::collect_lasting(found.lasting(), &folder)
            .explain(|| format!("Could not read the files that are \"{}\"'s own", found.name()))?,
    };
    let folder = home.data.join("apps").join(aid.to_string());
    let (log, volumes) = (folder.join("log"), found.volumes().to_vec());
    // One that an older version started does not know the question.
    let queues = found.open_ipc(IpcList::PosixQueues).unwrap_or_default();
    let interposition = found.interposition();
    let (init, own) = (hosted.init, hosted.own);
    let network = found.network().cloned();
    let inside = network.as_ref().map(|_| Sockets::inside(home, &aid, init)).transpose()?;
    let sockets = Rc::new(inside.unwrap_or_default());
    Ok(Some(Source {
        saved,
        init,
        log,
        folder,
        volumes,
        own,
        queues,
        interposition,
        network,
        sockets,
        capsule: found,
    }))
}

/// What a new capsule has that the saved one does not say.
pub struct New<'a> {
    /// What it is called, where not as before.
    pub name: Option<&'a str>,
    pub clock_offsets: Option<ClockOffsets>,
    pub interposition: Option<Interposition>,
    /// The application brings its `/dev/shm` along.
    pub own_shared_memory: bool,
    /// Where not as before.
    pub hostname: Option<&'a str>,
    pub origin: Option<&'a Origin>,
    /// What its own network namespace has, if it gets one.
    pub network: Option<OwnNetwork>,
    /// Whose place it takes.
    pub replaces: Option<Capsule>,
}

/// Makes an empty capsule like the saved one.
pub fn build(saved: &CapsuleV1, new: New, home: &Home, init: Init<'_>) -> Result<Building> {
    let spec = BuildSpec {
        name: new.name.unwrap_or(&saved.name).to_owned(),
        command: saved.command.clone(),
        hostname: new.hostname.or(Some(&*saved.hostname)).filter(|name| !name.is_empty()).map(str::to_owned),
        clock_offsets: new.clock_offsets,
        terminal: saved.terminal,
        interposition: new.interposition,
        own_shared_memory: new.own_shared_memory,
        origin: new.origin.cloned(),
        network: new.network,
        replaces: new.replaces,
    };
    capsule::build(home, spec, init)
}
