//! Process groups, and what they have in common with sessions: both are named after a process that may have ended.

use super::process::{saved_user, user};
use super::running::Running;
use super::{Class, Id, LIVE, Row};
use crate::chain::Chain;
use crate::explain::Result;
use crate::ids::OriginalPid;
use crate::state::process::ProcessV1;
use std::collections::BTreeMap;

pub struct ProcessGroups;

const CLASS: &str = "process-group";

impl Class for ProcessGroups {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        Ok(rows(CLASS, "NSpgid", application))
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        saved_rows(CLASS, chain, |process| process.pgid)
    }
}

fn state(leader_lives: bool) -> &'static str {
    if leader_lives { LIVE } else { "leader ended" }
}

/// Groups of running processes by the id that `key` names in /proc/PID/status.
pub fn rows(class: &'static str, key: &str, application: &Running) -> Vec<Row> {
    let mut found = BTreeMap::new();
    for process in &application.processes {
        let Some((inner, outer)) = application.both(&process.status, key) else { continue };
        let row = found.entry(inner).or_insert_with(|| Row {
            system_id: Some(Id::Number(outer.into())),
            owner: user(&process.status),
            state: state(false),
            ..Row::new(class, Id::Number(inner.into()))
        });
        if application.both(&process.status, "NSpid").is_some_and(|(pid, _)| pid == inner) {
            row.owner = user(&process.status);
            row.state = state(true);
        }
    }
    found.into_values().collect()
}

/// The same of saved processes.
pub fn saved_rows(class: &'static str, chain: &Chain, of: impl Fn(&ProcessV1) -> OriginalPid) -> Vec<Row> {
    let mut found = BTreeMap::new();
    for process in chain.processes.iter().filter(|process| of(process).0 > 0) {
        let id = of(process);
        let row = found.entry(id).or_insert_with(|| Row {
            owner: saved_user(process),
            state: state(false),
            ..Row::new(class, Id::Number(id.0.into()))
        });
        if process.pid == id {
            row.owner = saved_user(process);
            row.state = state(true);
        }
    }
    found.into_values().collect()
}
