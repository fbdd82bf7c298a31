//! Pseudo terminals: N of `/dev/pts/N` in the instance of devpts that the application has for itself.

use super::running::{Running, files_in};
use super::{Class, Id, LIVE, Row, owner};
use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::state::terminals::MasterV1;
use std::os::unix::fs::FileTypeExt;

pub struct Terminals;

const CLASS: &str = "terminal";

impl Class for Terminals {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        if !application.hosted.own.terminals {
            return Ok(Vec::new());
        }
        let files = files_in(&application.path("/dev/pts"), |kind| kind.is_char_device())
            .explain(|| "Could not list the application's terminals".to_owned())?;
        let row = |(name, uid): (String, u32)| {
            // All but `ptmx`.
            let index = Id::Number(name.parse().ok()?);
            let owner = Some(owner::name(uid));
            Some(Row { system_id: Some(index.clone()), owner, ..Row::new(CLASS, index) })
        };
        Ok(files.into_iter().filter_map(row).collect())
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        let numbered = chain.terminals.iter().filter_map(|terminal| Some((terminal, terminal.index?)));
        let row = |(terminal, index): (&crate::state::terminals::TerminalV1, u32)| Row {
            owner: terminal.node.map(|node| owner::name(node.uid)),
            state: if terminal.master == MasterV1::Gone { "hung up" } else { LIVE },
            ..Row::new(CLASS, Id::Number(index.into()))
        };
        numbered.map(row).collect()
    }
}
