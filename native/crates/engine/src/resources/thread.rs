//! Threads besides the main ones, which have the ids of their processes.

use super::process::{saved_user, user};
use super::running::{Process, Running};
use super::{Class, Id, Row};
use crate::chain::Chain;
use crate::explain::Result;
use crate::procfs::{self, Status};
use crate::state::process::{BodyV1, ProcessV1};

pub struct Threads;

const CLASS: &str = "thread";

impl Class for Threads {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        let rows = |process: &Process| -> Vec<Row> {
            let tids = procfs::tasks(process.pid).unwrap_or_default();
            let others = tids.into_iter().filter(|tid| *tid != process.pid);
            let row = |tid: i32| {
                let status = Status::read(&format!("{}/task/{tid}", process.pid)).ok()?;
                let (inner, outer) = application.both(&status, "NSpid")?;
                let system_id = Some(Id::Number(outer.into()));
                Some(Row { system_id, owner: user(&status), ..Row::new(CLASS, Id::Number(inner.into())) })
            };
            others.filter_map(row).collect()
        };
        Ok(application.processes.iter().flat_map(rows).collect())
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        let rows = |process: &ProcessV1| -> Vec<Row> {
            let BodyV1::Live(live) = &process.body else { return Vec::new() };
            let others = live.threads.iter().skip(1);
            let row =
                |tid: i32| Row { owner: saved_user(process), ..Row::new(CLASS, Id::Number(tid.into())) };
            others.map(|thread| row(thread.tid.0)).collect()
        };
        chain.processes.iter().flat_map(rows).collect()
    }
}
