//! Processes.

use super::running::Running;
use super::{Class, Id, LIVE, Row, owner};
use crate::chain::Chain;
use crate::explain::Result;
use crate::procfs::Status;
use crate::state::process::{BodyV1, ProcessV1};

pub struct Processes;

/// One that nobody has waited for.
const ENDED: &str = "ended";

impl Class for Processes {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        let row = |status: &Status| {
            let (inner, outer) = application.both(status, "NSpid")?;
            let state = if status.text("State").starts_with('Z') { ENDED } else { LIVE };
            Some(Row {
                system_id: Some(Id::Number(outer.into())),
                owner: user(status),
                state,
                ..Row::new("process", Id::Number(inner.into()))
            })
        };
        Ok(application.processes.iter().filter_map(|process| row(&process.status)).collect())
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        let row = |process: &ProcessV1| Row {
            owner: saved_user(process),
            state: if matches!(process.body, BodyV1::Zombie { .. }) { ENDED } else { LIVE },
            ..Row::new("process", Id::Number(process.pid.0.into()))
        };
        chain.processes.iter().map(row).collect()
    }
}

/// The effective user.
pub fn user(status: &Status) -> Option<String> {
    status.numbers::<u32>("Uid").get(1).map(|uid| owner::name(*uid))
}

/// The effective user of a saved process; none of one that had ended.
pub fn saved_user(process: &ProcessV1) -> Option<String> {
    match &process.body {
        BodyV1::Live(live) => live.threads.first().map(|thread| owner::name(thread.credentials.uid[1])),
        BodyV1::Zombie { .. } => None,
    }
}
