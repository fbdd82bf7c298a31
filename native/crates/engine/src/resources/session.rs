//! Sessions.

use super::running::Running;
use super::{Class, Row, process_group};
use crate::chain::Chain;
use crate::explain::Result;

pub struct Sessions;

const CLASS: &str = "session";

impl Class for Sessions {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        Ok(process_group::rows(CLASS, "NSsid", application))
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        process_group::saved_rows(CLASS, chain, |process| process.sid)
    }
}
