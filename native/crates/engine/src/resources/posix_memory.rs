//! POSIX shared memory and named semaphores: files in the `/dev/shm` that the application has for itself.

use super::running::{Running, files_in};
use super::{Class, Id, Row, owner};
use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::state::posix_memory::{BodyV1, EntryV1, FOLDER};
use std::fs::FileType;

pub struct SharedMemory;
pub struct NamedSemaphores;

/// What sem_open(3) puts before a name.
const SEMAPHORE: &str = "sem.";

impl Class for SharedMemory {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        Ok(files(application)?.into_iter().filter_map(memory).collect())
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        saved_files(chain).filter_map(memory).map(without_system_id).collect()
    }
}

impl Class for NamedSemaphores {
    fn rows(&self, application: &mut Running) -> Result<Vec<Row>> {
        Ok(files(application)?.into_iter().filter_map(semaphore).collect())
    }

    fn saved_rows(&self, chain: &Chain) -> Vec<Row> {
        saved_files(chain).filter_map(semaphore).map(without_system_id).collect()
    }
}

fn files(application: &Running) -> Result<Vec<(String, u32)>> {
    if !application.hosted.own.shared_memory {
        return Ok(Vec::new());
    }
    files_in(&application.path(FOLDER), FileType::is_file)
        .explain(|| format!("Could not list the application's {FOLDER}"))
}

fn saved_files(chain: &Chain) -> impl Iterator<Item = (String, u32)> {
    let entries = chain.posix_memory.as_ref().map_or(&[][..], |folder| &folder.entries);
    let is_object = move |entry: &&EntryV1| {
        let is_file = match &entry.body {
            BodyV1::Same { entry } => matches!(entries[*entry as usize].body, BodyV1::File { .. }),
            body => matches!(body, BodyV1::File { .. }),
        };
        is_file && !entry.path.contains(&b'/')
    };
    entries
        .iter()
        .filter(is_object)
        .map(|entry| (String::from_utf8_lossy(&entry.path).into_owned(), entry.uid))
}

fn memory((name, uid): (String, u32)) -> Option<Row> {
    (!name.starts_with(SEMAPHORE)).then(|| row("posix-shm", &name, uid))
}

fn semaphore((name, uid): (String, u32)) -> Option<Row> {
    name.strip_prefix(SEMAPHORE).map(|name| row("posix-semaphore", name, uid))
}

fn row(class: &'static str, name: &str, uid: u32) -> Row {
    let id = Id::Name(format!("/{name}"));
    Row { system_id: Some(id.clone()), owner: Some(owner::name(uid)), ..Row::new(class, id) }
}

fn without_system_id(row: Row) -> Row {
    Row { system_id: None, ..row }
}
