//! What an application knows by ids, and what the kernel calls the same things: one file per class of resource, each
//! with the rows of a running application and those of a saved one. A new class is a file and a line in [`CLASSES`].

mod message_queue;
mod owner;
mod port;
mod posix_memory;
mod posix_queue;
mod process;
mod process_group;
mod running;
mod segment;
mod semaphores;
mod session;
mod system_v;
mod terminal;
mod thread;

use crate::chain::Chain;
use crate::explain::{Explain, Result};
use abi::request::Ids;
use abi::{Code, Control, Fault};
use image::SnapshotReader;
use running::Running;
use serde::Serialize;
use std::path::Path;

/// One class of resource.
trait Class: Sync {
    /// What a running application has of it.
    ///
    /// # Errors
    /// When the application has ended, or may not be looked at.
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>>;

    /// What a snapshot holds of it: virtual ids only.
    fn saved_rows(&self, chain: &Chain) -> Vec<Row>;
}

/// In the order in which they are shown.
const CLASSES: [&dyn Class; 12] = [
    &process::Processes,
    &thread::Threads,
    &process_group::ProcessGroups,
    &session::Sessions,
    &terminal::Terminals,
    &semaphores::SemaphoreSets,
    &segment::Segments,
    &message_queue::MessageQueues,
    &posix_memory::SharedMemory,
    &posix_memory::NamedSemaphores,
    &posix_queue::PosixQueues,
    &port::Ports,
];

/// One id of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Row {
    #[serde(rename = "type")]
    class: &'static str,
    /// What the application calls it.
    #[serde(rename = "virtual")]
    virtual_id: Id,
    /// What the host calls it; absent in a snapshot.
    #[serde(rename = "system", skip_serializing_if = "Option::is_none")]
    system_id: Option<Id>,
    /// The key of a System V object, the address of a port.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The user, by name where this host has one for the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    state: &'static str,
    backend: Backend,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Name(String),
}

impl Id {
    fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(_) => None,
        }
    }
}

/// Who translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Backend {
    /// The kernel, in a namespace of the application's.
    Namespace,
    /// The library and the capsule's helper, by tables.
    Translate,
    /// Nobody: the application has the host's ids.
    Host,
}

/// The usual state of a resource.
const LIVE: &str = "live";

impl Row {
    /// A live resource of the application's namespaces that nobody in particular owns.
    fn new(class: &'static str, virtual_id: Id) -> Self {
        let (system_id, key, owner) = (None, None, None);
        Self { class, virtual_id, system_id, key, owner, state: LIVE, backend: Backend::Namespace }
    }
}

#[derive(Debug, Serialize)]
pub struct Table {
    rows: Vec<Row>,
}

/// The table of a running application or of a snapshot.
pub fn list(request: Ids, control: &Control) -> Result<Table> {
    control.proceed()?;
    let mut rows = match (&request.aid, &request.dir) {
        (Some(aid), _) => of_running(&mut Running::find(&request.home, &aid.parse()?)?)?,
        (None, Some(dir)) => of_saved(dir)?,
        (None, None) => return Err(Fault::new(Code::Usage, "Could not list the ids of nothing")),
    };
    rows.iter_mut().for_each(|class| class.sort_by(|a, b| a.virtual_id.cmp(&b.virtual_id)));
    Ok(Table { rows: rows.into_iter().flatten().collect() })
}

fn of_running(application: &mut Running) -> Result<Vec<Vec<Row>>> {
    CLASSES.iter().map(|class| class.rows(application)).collect()
}

fn of_saved(dir: &Path) -> Result<Vec<Vec<Row>>> {
    let what = || format!("Could not read the snapshot \"{}\"", dir.display());
    let mut reader = SnapshotReader::open(dir, None).explain(what)?;
    let chain = Chain::read(&mut reader)?;
    Ok(CLASSES.iter().map(|class| class.saved_rows(&chain)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_leaves_out_what_does_not_apply() {
        let row = Row::new("terminal", Id::Number(3));
        let text = serde_json::to_string(&row).expect("JSON");
        assert_eq!(text, r#"{"type":"terminal","virtual":3,"state":"live","backend":"namespace"}"#);
    }
}
