//! What a snapshot holds, in words for a person.

pub mod wording;

use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::ids::DescriptionId;
use crate::state::descriptors::unix::SocketV1;
use crate::state::descriptors::{DescriptionV1, DescriptorV1};
use crate::state::host::HostV1;
use crate::state::memory::{BackingV1, MappingV1};
use crate::state::process::{BodyV1, LiveV1, ProcessV1};
use crate::state::volumes::VolumeV1;
use crate::store;
use abi::Control;
use abi::request::Inspect;
use image::SnapshotReader;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Serialize)]
pub struct Inspection {
    format: u32,
    label: Value,
    host: Host,
    /// Of the application; absent for a process tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    /// Whether it has a `/dev/shm` of its own.
    own_shared_memory: bool,
    /// Whether it has a network namespace of its own.
    own_network: bool,
    /// What leads out of that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<abi::network::Link>,
    /// Of anonymous memory and memory files that processes share.
    shared_bytes: u64,
    /// What its UNIX sockets are bound to; abstract names begin with `@`.
    unix_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<Volume>,
    processes: Vec<Process>,
    sections: Vec<Section>,
    /// Of the manifest and all packs.
    bytes: u64,
}

/// The host that the snapshot was taken on.
#[derive(Debug, Serialize)]
struct Host {
    kernel: String,
    machine: String,
    boot_id: String,
}

#[derive(Debug, Serialize)]
struct Process {
    pid: i32,
    /// 0 when the parent is not of the chain.
    ppid: i32,
    pgid: i32,
    sid: i32,
    comm: String,
    /// Empty for a process that has ended and was not waited for.
    exe: String,
    cwd: String,
    threads: usize,
    vmas: usize,
    /// Of page data that is this process's own.
    bytes: u64,
    /// Files that are mapped, each once.
    mapped: Vec<Mapped>,
    descriptors: Vec<Descriptor>,
}

/// A captured folder.
#[derive(Debug, Serialize)]
struct Volume {
    path: String,
    files: u64,
    bytes: u64,
}

/// What a process has mapped of one file.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Mapped {
    path: String,
    bytes: u64,
    executable: bool,
    /// Whether what it writes there reaches the file.
    written: bool,
}

#[derive(Debug, Serialize)]
struct Descriptor {
    fd: i32,
    kind: String,
    detail: String,
    flags: String,
}

#[derive(Debug, Serialize)]
struct Section {
    kind: String,
    version: u16,
    bytes: u64,
}

/// Describes one snapshot. Page data is not read.
pub fn describe(request: Inspect, control: &Control) -> Result<Inspection> {
    control.proceed()?;
    let what = || format!("Could not read the snapshot \"{}\"", request.dir.display());
    let mut reader = SnapshotReader::open(&request.dir, None).explain(what)?;
    let label = store::label(&mut reader)?;
    let chain = Chain::read(&mut reader)?;
    let section =
        |(kind, version, bytes): (&str, u16, u64)| Section { kind: kind.to_owned(), version, bytes };
    Ok(Inspection {
        format: image::FORMAT_VERSION,
        label,
        sections: reader.sections().map(section).collect(),
        bytes: reader.total_bytes(),
        processes: processes(&chain),
        hostname: chain.capsule.as_ref().map(|capsule| capsule.hostname.clone()),
        own_shared_memory: chain.posix_memory.is_some(),
        own_network: chain.network.is_some(),
        links: chain.network.as_ref().map(|network| network.own.links.clone()).unwrap_or_default(),
        unix_names: chain.unix_sockets.iter().filter_map(SocketV1::own_name).collect(),
        volumes: chain.volumes.iter().map(volume).collect(),
        shared_bytes: chain.shared_memory.iter().map(|object| object.size).sum(),
        host: host(chain.host),
    })
}

fn volume(VolumeV1 { path, tree, .. }: &VolumeV1) -> Volume {
    Volume { path: path.clone(), files: tree.files(), bytes: tree.bytes() }
}

fn host(host: HostV1) -> Host {
    Host { kernel: host.release, machine: host.machine, boot_id: host.boot_id }
}

fn processes(chain: &Chain) -> Vec<Process> {
    let descriptions: HashMap<_, _> =
        chain.descriptions.iter().map(|description| (description.id, description)).collect();
    chain.processes.iter().map(|process| describe_process(process, chain, &descriptions)).collect()
}

type Descriptions<'a> = HashMap<DescriptionId, &'a DescriptionV1>;

fn describe_process(process: &ProcessV1, chain: &Chain, descriptions: &Descriptions) -> Process {
    let live = live(process);
    Process {
        pid: process.pid.0,
        ppid: process.parent.map_or(0, |parent| parent.0),
        pgid: process.pgid.0,
        sid: process.sid.0,
        comm: process.comm.clone(),
        exe: live.map_or_else(String::new, |live| live.executable.path().display().to_string()),
        cwd: live
            .map_or_else(String::new, |live| String::from_utf8_lossy(&live.filesystem.cwd.path).into_owned()),
        threads: live.map_or(0, |live| live.threads.len()),
        vmas: live.map_or(0, |live| live.memory.mappings.len()),
        bytes: live.map_or(0, |live| live.memory.pages.iter().map(|run| run.length).sum()),
        mapped: live.map_or_else(Vec::new, |live| mapped(&live.memory.mappings)),
        descriptors: table(process, chain)
            .iter()
            .filter_map(|descriptor| describe_descriptor(descriptor, descriptions))
            .collect(),
    }
}

/// Files by path, with what all mappings of each come to.
fn mapped(mappings: &[MappingV1]) -> Vec<Mapped> {
    let mut files: BTreeMap<String, Mapped> = BTreeMap::new();
    for mapping in mappings {
        let BackingV1::File { file, .. } = &mapping.backing else { continue };
        let path = file.path().display().to_string();
        let entry =
            files.entry(path.clone()).or_insert(Mapped { path, bytes: 0, executable: false, written: false });
        entry.bytes += mapping.end - mapping.start;
        entry.executable |= mapping.protection & libc::PROT_EXEC as u64 != 0;
        entry.written |= mapping.shared && mapping.may_write;
    }
    files.into_values().collect()
}

fn live(process: &ProcessV1) -> Option<&LiveV1> {
    match &process.body {
        BodyV1::Live(live) => Some(live),
        BodyV1::Zombie { .. } => None,
    }
}

/// A process's descriptors, which may be its parent's. Parents come before children, so this ends, even for an
/// image that claims otherwise.
fn table<'a>(process: &'a ProcessV1, chain: &'a Chain) -> &'a [DescriptorV1] {
    let mut current = process;
    for _ in 0..chain.processes.len() {
        match live(current) {
            Some(live) if !live.shares_files => return &live.descriptors,
            None => return &[],
            Some(_) => {}
        }
        let parent = chain.processes.iter().find(|other| Some(other.pid) == current.parent);
        match parent {
            Some(parent) => current = parent,
            None => return &[],
        }
    }
    &[]
}

fn describe_descriptor(descriptor: &DescriptorV1, descriptions: &Descriptions) -> Option<Descriptor> {
    let description = descriptions.get(&descriptor.description)?;
    let (kind, detail) = wording::kind(&description.kind);
    Some(Descriptor {
        fd: descriptor.fd,
        kind,
        detail,
        flags: wording::flags(description.flags, descriptor.close_on_exec),
    })
}
