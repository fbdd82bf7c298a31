//! Taking the place of a running application: where the successor is built until then, and what is left of one that
//! came to nothing.
//!
//! ```text
//! DATA/apps/.AID.PLACE   the successor's own state folder while it is built
//! RUN/PLACE.sock         its helper's socket until then
//! ```
//! The successor's helper moves to `DATA/apps/AID` and `RUN/AID.sock` by itself, in one step that the death of the
//! command cannot split (`abi::wire::Request::TakeOver`). It takes along what it has of its own, views of volumes and private
//! files, and leaves what the old application had of these in its folder, which is of no use from then on.

use crate::registration::{Registration, lock};
use crate::{Aid, faults, home};
use abi::Fault;
use abi::request::Home;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::meta::{META_FILE, Meta};

/// Registers the successor of an application that runs: nothing of that one's changes, and no list shows this.
pub fn register_successor(home: &Home, meta: Meta) -> Result<Registration, Fault> {
    let attempt = faults::files(&format!("make a place for another \"{}\"", meta.name));
    // From the folder to the socket that shows it to be in use.
    let _lock = lock(home).map_err(&attempt)?;
    sweep(home);
    let place = Aid::random().map_err(&attempt)?;
    let folder = home::apps(home).join(format!(".{}.{place}", meta.aid));
    DirBuilder::new().mode(0o700).create(&folder).map_err(&attempt)?;
    let inherits = home::state(home, &meta.aid);
    Registration::at(home, meta, &place, folder, Some(inherits)).map_err(&attempt)
}

/// Removes what commands left that were killed.
pub fn tidy(home: &Home) {
    if leftovers(home).next().is_none() {
        return;
    }
    if let Ok(_lock) = lock(home) {
        sweep(home);
    }
}

fn sweep(home: &Home) {
    for (folder, place) in leftovers(home) {
        // Views of volumes may be in it; layers that only they lay on go with the next application that is removed.
        let _ = volume::remove(&folder);
        let _ = fs::remove_file(home.run.join(home::socket_name(&place)));
    }
}

/// Folders of successors that nobody builds any more, and of applications that were never registered to the end: no
/// helper, and no command, listens at the socket. While the lock is held nobody registers one.
fn leftovers(home: &Home) -> impl Iterator<Item = (PathBuf, Aid)> {
    let entries = fs::read_dir(home::apps(home)).into_iter().flatten().flatten();
    let own = entries.filter_map(|entry| {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_str()?;
        match name.strip_prefix('.') {
            Some(successor) => {
                let (aid, place) = successor.split_once('.')?;
                aid.parse::<Aid>().ok()?;
                Some((path, place.parse().ok()?))
            }
            None => Some((path, name.parse().ok()?)).filter(|(path, _)| !path.join(META_FILE).exists()),
        }
    });
    own.filter(|(_, place)| !listens(home, place).unwrap_or(true))
}

fn listens(home: &Home, place: &Aid) -> io::Result<bool> {
    let (_folder, path) = home::short_path(&home.run, &home::socket_name(place))?;
    match UnixStream::connect(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
