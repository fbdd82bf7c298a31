//! System V message queues.

use super::running::Running;
use super::{Class, Row, system_v};
use crate::chain::Chain;
use crate::explain::Result;
use capsule::IpcList;
use sys::system_v::Kind;

pub struct MessageQueues;

const CLASS: &str = "message-queue";

impl Class for MessageQueues {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        system_v::rows(CLASS, Kind::Queue, IpcList::Queues, "msqid", application)
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        let queues = chain.system_v.queues.iter();
        queues
            .map(|queue| system_v::saved_row(CLASS, Kind::Queue, chain, queue.id, &queue.permissions, false))
            .collect()
    }
}
