//! POSIX message queues (mq_overview(7)).

use super::running::Running;
use super::{Class, Id, Row, owner};
use crate::chain::Chain;
use crate::explain::Result;

pub struct PosixQueues;

impl Class for PosixQueues {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        let row = |(name, uid): (String, u32)| {
            let id = Id::Name(format!("/{name}"));
            let owner = Some(owner::name(uid));
            Row { system_id: Some(id.clone()), owner, ..Row::new("posix-queue", id) }
        };
        Ok(application.posix_queues()?.into_iter().map(row).collect())
    }

    /// An application that has one is refused.
    fn saved_rows(&self, _chain: &Chain) -> Vec<Row> {
        Vec::new()
    }
}
