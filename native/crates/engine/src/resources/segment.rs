//! System V shared memory segments.

use super::running::Running;
use super::{Class, Row, system_v};
use crate::chain::Chain;
use crate::explain::Result;
use capsule::IpcList;

pub struct Segments;

const CLASS: &str = "shared-memory";

impl Class for Segments {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        system_v::rows(CLASS, IpcList::Segments, "shmid", application)
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        let segments = chain.system_v.segments.iter();
        segments.map(|one| system_v::saved_row(CLASS, one.id, &one.permissions, one.removed)).collect()
    }
}
