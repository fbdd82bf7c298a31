//! System V semaphore sets.

use super::running::Running;
use super::{Class, Row, system_v};
use crate::chain::Chain;
use crate::explain::Result;
use capsule::IpcList;
use sys::system_v::Kind;

pub struct SemaphoreSets;

const CLASS: &str = "semaphores";

impl Class for SemaphoreSets {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        system_v::rows(CLASS, Kind::Set, IpcList::Semaphores, "semid", application)
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        let sets = chain.system_v.sets.iter();
        sets.map(|set| system_v::saved_row(CLASS, Kind::Set, chain, set.id, &set.permissions, false))
            .collect()
    }
}
