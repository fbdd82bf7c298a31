//! What a list of snapshots says about each, so that listing need not decode whole images.

use crate::store;
use abi::{Code, Fault};
use image::{SnapshotReader, SnapshotWriter};
use serde::{Deserialize, Serialize};

const SECTION: &str = "summary";
const VERSION: u16 = 1;

/// Section `summary`, in CBOR. Optional: a restore has no use for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryV1 {
    pub processes: u64,
    pub threads: u64,
}

impl SummaryV1 {
    /// Puts the section into a snapshot.
    pub fn write(&self, writer: &mut SnapshotWriter) -> Result<(), Fault> {
        let message = || format!("Could not write section \"{SECTION}\"");
        let mut body = Vec::new();
        ciborium::into_writer(self, &mut body)
            .map_err(|error| Fault::new(Code::Internal, message()).because(error))?;
        writer.optional_section(SECTION, VERSION, &body).map_err(|error| store::fault(message(), &error))
    }

    /// Takes the section out of a snapshot.
    pub fn read(reader: &mut SnapshotReader) -> Result<Self, Fault> {
        let message = || format!("Could not read section \"{SECTION}\"");
        let section = reader.section(SECTION).map_err(|error| store::fault(message(), &error))?;
        let section = section
            .ok_or_else(|| Fault::new(Code::ImageDamaged, message()).because("the snapshot has none"))?;
        if section.version > VERSION {
            let found = section.version;
            let cause = format!("it has version {found}, and this program reads versions up to {VERSION}");
            return Err(Fault::new(Code::ImageTooNew, message()).because(cause));
        }
        ciborium::from_reader(&section.body[..])
            .map_err(|error| Fault::new(Code::ImageDamaged, message()).because(error))
    }
}
