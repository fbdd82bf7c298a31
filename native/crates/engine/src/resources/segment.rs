//! System V shared memory segments.

use super::running::Running;
use super::{Class, Row, system_v};
use crate::chain::Chain;
use crate::explain::Result;
use capsule::IpcList;
use sys::system_v::Kind;

pub struct Segments;

const CLASS: &str = "shared-memory";

impl Class for Segments {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        system_v::rows(CLASS, Kind::Segment, IpcList::Segments, "shmid", application)
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        let segments = chain.system_v.segments.iter();
        segments
            .map(|one| {
                system_v::saved_row(CLASS, Kind::Segment, chain, one.id, &one.permissions, one.removed)
            })
            .collect()
    }
}
