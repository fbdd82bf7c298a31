//! What is changed of an application while it comes back (`abi::edits`). Most of it is done to what the snapshot says,
//! before anything is made of that; strings in memory are changed when a process has its memory.

pub mod arguments;
mod connections;
pub mod hooks;
mod leaving_out;
pub mod ports;
mod strings;

use crate::chain::Chain;
use crate::explain::Result;
use crate::rebuild::moved;
use crate::state::descriptors::KindV1;
use abi::edits::{Edits, Lasting, Source};
use abi::request::{Restore, Tcp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes the chain as the request wants it. Returns what the user should know.
pub fn prepare(chain: &mut Arc<Chain>, request: &mut Restore) -> Result<Vec<String>> {
    // Many clones share one chain as long as nothing is changed in it.
    let leave_out = &request.edits.leave_out;
    if !(leave_out.paths.is_empty() && leave_out.kinds.is_empty()) {
        leaving_out::apply(Arc::make_mut(chain), &request.edits.leave_out)?;
    }
    if !request.edits.connections.is_empty() {
        connections::apply(Arc::make_mut(chain), &request.edits.connections, request.tcp)?;
        request.tcp = Tcp::Keep;
    }
    if request.edits.mounts.iter().any(|mount| mount.source == Source::Empty) {
        rewind(Arc::make_mut(chain), &request.edits);
    }
    if let Some(capsule) = &chain.capsule {
        follow(&capsule.lasting, &mut request.files);
    }
    let mut notes = Vec::new();
    request.edits.mounts.retain(|mount| {
        let there = !matches!(mount.source, Source::Path(_)) || std::path::Path::new(&mount.target).exists();
        if !there {
            let target = &mount.target;
            notes.push(format!(
                "nothing is at {target}: what the application opens there later is not redirected"
            ));
        }
        there
    });
    Ok(notes)
}

/// A path that had moved before: what is open below its place of then moves on to its place of now.
fn follow(saved: &Lasting, files: &mut BTreeMap<String, String>) {
    for mount in saved.mounts.iter().filter(|mount| mount.source.starts_with('/')) {
        let now = moved(mount.target.as_bytes(), files).and_then(|now| String::from_utf8(now).ok());
        if let Some(now) = now {
            files.entry(mount.source.clone()).or_insert(now);
        }
    }
}

/// Files that begin empty are written from their beginning.
fn rewind(chain: &mut Chain, edits: &Edits) {
    let begins_empty = edits.mounts.iter().filter(|mount| mount.source == Source::Empty);
    let own: Vec<&[u8]> = begins_empty.map(|mount| mount.target.as_bytes()).collect();
    for description in &mut chain.descriptions {
        if let KindV1::Regular(regular) = &mut description.kind
            && regular.file.ghost.is_none()
            && own.contains(&regular.file.path.as_slice())
        {
            description.position = 0;
            regular.file.size = 0;
            // Of no file system: it is not the file that it was.
            regular.file.device = 0;
        }
    }
}

/// What is opened by its new path, and not through a mount at the old one: a mount may hide the new path.
pub fn by_path(files: BTreeMap<String, String>, edits: &Edits) -> BTreeMap<String, String> {
    let targets: BTreeMap<String, String> =
        edits.mounts.iter().map(|mount| (mount.target.clone(), String::new())).collect();
    let hidden = |path: &str| moved(path.as_bytes(), &targets).is_some();
    files.into_iter().filter(|(_, new)| !hidden(new)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::edits::{LastingMount, Mount};

    #[test]
    fn a_path_that_moved_twice_is_followed() {
        let mount = |target: &str, source: &str| LastingMount {
            target: target.to_owned(),
            source: source.to_owned(),
            contents: None,
            empty: false,
        };
        let mounts =
            vec![mount("/srv/app", "/clones/a"), mount("/etc/app", "/clones/b"), mount("/x", "files/0")];
        let mut files = BTreeMap::from([("/srv".to_owned(), "/clones/c".to_owned())]);
        follow(&Lasting { mounts, ..Lasting::default() }, &mut files);
        assert_eq!(files.get("/clones/a").map(String::as_str), Some("/clones/c/app"));
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn a_new_path_that_a_mount_hides_is_reached_through_the_mount() {
        let mount = |target: &str| Mount { target: target.to_owned(), source: Source::Path("/x".to_owned()) };
        let edits = Edits { mounts: vec![mount("/srv")], ..Edits::default() };
        let files =
            [("/srv", "/srv/clones/a"), ("/etc/a", "/etc/b")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let left = by_path(files.into(), &edits);
        assert_eq!(left.keys().collect::<Vec<_>>(), ["/etc/a"]);
    }
}
