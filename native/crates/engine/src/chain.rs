//! Everything that a snapshot says of its applications, section by section (docs/image_format.md).

mod validate;

use crate::explain::{Explain, Result};
use crate::state::capsule::CapsuleV1;
use crate::state::cgroups::CgroupsV1;
use crate::state::descriptors::network::connection::ConnectionsV1;
use crate::state::descriptors::{DescriptionV1, pipe::PipeV1, unix::SocketV1};
use crate::state::ghosts::GhostV1;
use crate::state::host::HostV1;
use crate::state::locks::LockV1;
use crate::state::network::NetworkV1;
use crate::state::posix_memory::PosixMemoryV1;
use crate::state::process::ProcessV1;
use crate::state::shared_memory::SharedMemoryV1;
use crate::state::system_v::SystemVV1;
use crate::state::terminals::{SessionV1, TerminalV1};
use crate::state::translation::TranslationV1;
use crate::state::volumes::{self, VolumeV1};
use abi::{Code, Fault};
use image::{SnapshotReader, SnapshotWriter};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A captured chain of applications. Page data is in packs; all else is here.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    pub host: HostV1,
    /// None for a process tree that stasis did not start.
    pub capsule: Option<CapsuleV1>,
    /// Parents before children.
    pub processes: Vec<ProcessV1>,
    pub descriptions: Vec<DescriptionV1>,
    pub pipes: Vec<PipeV1>,
    pub connections: ConnectionsV1,
    pub terminals: Vec<TerminalV1>,
    /// Sessions that have a controlling terminal.
    pub sessions: Vec<SessionV1>,
    pub unix_sockets: Vec<SocketV1>,
    pub shared_memory: Vec<SharedMemoryV1>,
    pub ghosts: Vec<GhostV1>,
    pub system_v: SystemVV1,
    /// Where System V ids are translated.
    pub translation: Option<TranslationV1>,
    /// What is in the application's own `/dev/shm`; none where it has the host's.
    pub posix_memory: Option<PosixMemoryV1>,
    /// A network namespace of the application's own; none where it is on the network of the command.
    pub network: Option<NetworkV1>,
    pub locks: Vec<LockV1>,
    pub cgroups: CgroupsV1,
    /// Folders that belong to the application's state.
    pub volumes: Vec<VolumeV1>,
}

const VERSION: u16 = 1;

impl Chain {
    pub fn write(&self, writer: &mut SnapshotWriter) -> Result<()> {
        put(writer, "host", &self.host)?;
        put(writer, "capsule", &self.capsule)?;
        put(writer, "processes", &self.processes)?;
        put(writer, "descriptions", &self.descriptions)?;
        put(writer, "pipes", &self.pipes)?;
        put(writer, "connections", &self.connections)?;
        put(writer, "terminals", &self.terminals)?;
        put(writer, "sessions", &self.sessions)?;
        put(writer, "unix_sockets", &self.unix_sockets)?;
        put(writer, "shared_memory", &self.shared_memory)?;
        put(writer, "ghosts", &self.ghosts)?;
        put(writer, "system_v", &self.system_v)?;
        put(writer, "translation", &self.translation)?;
        put(writer, "posix_memory", &self.posix_memory)?;
        // Missing where there is nothing to say: a version that does not know the section then need not refuse the image.
        if let Some(network) = &self.network {
            put(writer, "network", network)?;
        }
        put(writer, "locks", &self.locks)?;
        put(writer, "cgroups", &self.cgroups)?;
        // Without it, older versions can read the snapshot.
        if self.volumes.is_empty() { Ok(()) } else { put(writer, volumes::SECTION, &self.volumes) }
    }

    /// Reads all sections and checks that they can be right together.
    pub fn read(reader: &mut SnapshotReader) -> Result<Self> {
        let chain = Self {
            host: get(reader, "host")?,
            capsule: get(reader, "capsule")?,
            processes: get(reader, "processes")?,
            descriptions: get(reader, "descriptions")?,
            pipes: get(reader, "pipes")?,
            connections: get(reader, "connections")?,
            terminals: get(reader, "terminals")?,
            sessions: get(reader, "sessions")?,
            unix_sockets: get(reader, "unix_sockets")?,
            shared_memory: get(reader, "shared_memory")?,
            ghosts: get(reader, "ghosts")?,
            system_v: get(reader, "system_v")?,
            translation: get(reader, "translation")?,
            posix_memory: find(reader, "posix_memory")?.flatten(),
            network: find(reader, "network")?,
            locks: get(reader, "locks")?,
            cgroups: get(reader, "cgroups")?,
            volumes: find(reader, volumes::SECTION)?.unwrap_or_default(),
        };
        validate::validate(&chain, &|pack| reader.pack_extent(pack).ok())?;
        Ok(chain)
    }
}

/// The volumes of an image of which nothing else is wanted.
pub fn volumes(reader: &mut SnapshotReader) -> Result<Vec<VolumeV1>> {
    let volumes: Vec<VolumeV1> = find(reader, volumes::SECTION)?.unwrap_or_default();
    validate::validate_volumes(&volumes)?;
    Ok(volumes)
}

fn put<T: Serialize>(writer: &mut SnapshotWriter, kind: &str, value: &T) -> Result<()> {
    let mut body = Vec::new();
    ciborium::into_writer(value, &mut body).map_err(|error| {
        Fault::new(Code::Internal, format!("Could not encode section \"{kind}\"")).because(error)
    })?;
    writer.section(kind, VERSION, &body).explain(|| format!("Could not write section \"{kind}\""))
}

fn get<T: DeserializeOwned>(reader: &mut SnapshotReader, kind: &str) -> Result<T> {
    find(reader, kind)?.ok_or_else(|| {
        Fault::new(Code::ImageDamaged, format!("Could not read section \"{kind}\" of the snapshot"))
            .because("the section is missing")
    })
}

/// A section that older versions did not write.
fn find<T: DeserializeOwned>(reader: &mut SnapshotReader, kind: &str) -> Result<Option<T>> {
    let damaged = |why: String| {
        Fault::new(Code::ImageDamaged, format!("Could not read section \"{kind}\" of the snapshot"))
            .because(why)
    };
    let section = reader.section(kind).explain(|| format!("Could not read section \"{kind}\""))?;
    let Some(section) = section else { return Ok(None) };
    if section.version > VERSION {
        return Err(Fault::new(
            Code::ImageTooNew,
            format!("Could not read section \"{kind}\" of the snapshot"),
        )
        .because(format!("it is of version {}, this program knows {VERSION}", section.version))
        .hint("Use the version of stasis that made the snapshot, or a newer one"));
    }
    ciborium::from_reader(&section.body[..]).map(Some).map_err(|error| damaged(error.to_string()))
}
