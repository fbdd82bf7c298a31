//! What a restore has made so far, and where it finds things.

use crate::chain::Chain;
use crate::edits::ports::Ports;
use crate::explain::{Explain, Result};
use crate::ids::{DescriptionId, OriginalPid};
use crate::incumbent::Incumbent;
use crate::sockets::Sockets;
use crate::state::descriptors::external::Streams;
use crate::state::descriptors::{DescriptorV1, KindV1, unix};
use crate::state::filesystem::FileRefV1;
use crate::state::ghosts;
use crate::state::names::Names;
use crate::state::shared_memory::SharedMemoryId;
use crate::state::system_v;
use crate::state::terminals::rebuilding::Terminals;
use crate::state::terminals::{MasterV1, TerminalV1};
use crate::state::volumes::Views;
use image::SnapshotReader;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

pub struct Rebuild {
    pub image: Arc<Chain>,
    pub reader: Arc<SnapshotReader>,
    /// Put before every path of the application: empty, or /proc/PID/root of its capsule.
    pub root: Vec<u8>,
    /// Paths that the user has moved.
    pub moved: BTreeMap<String, String>,
    /// The network namespace that the application comes back in.
    pub sockets: Sockets,
    /// It is to know that it is not the application that the snapshot was taken of.
    pub is_clone: bool,
    /// Where ports are on the host's network.
    pub ports: Ports,
    pub pids: HashMap<OriginalPid, i32>,
    pub shared_memory: HashMap<SharedMemoryId, File>,
    pub ghosts: ghosts::Names,
    pub system_v: system_v::Made,
    /// The table of virtual ids in the new capsule.
    pub id_table: Option<File>,
    pub descriptions: HashMap<DescriptionId, OwnedFd>,
    pub unix: unix::Unfinished,
    /// What is to be watched again, by the description that watches: opened while everything has a name.
    pub watched: HashMap<DescriptionId, Vec<OwnedFd>>,
    /// Where the application's output goes that its capsule's log had.
    pub output: Option<OwnedFd>,
    /// Restore TCP connections as closed ones.
    pub close_connections: bool,
    pub terminals: Terminals,
    /// What stands in for descriptions whose other end was outside.
    pub streams: Streams,
    pub notes: Vec<String>,
    /// Volumes that the application has views of its own of.
    pub views: Views,
    /// Whether `/etc/hosts` is an environment's.
    pub names: Names,
    /// Sockets that the application whose place this takes has, too, and keeps if the restore fails.
    pub inherited: HashSet<DescriptionId>,
    /// Locks that it holds, by their place in the image.
    pub disputed_locks: Vec<usize>,
    /// That application. Last: it goes on when all else of a failed restore has been put back.
    pub incumbent: Option<Incumbent>,
}

impl Rebuild {
    pub fn pack(&self, index: u32) -> std::io::Result<&File> {
        self.reader.pack_file(index).map_err(std::io::Error::other)
    }

    /// The current id of a process or thread of the application.
    pub fn current(&self, original: OriginalPid) -> Option<i32> {
        self.pids.get(&original).copied()
    }

    /// What stands in at a standard stream for the user's terminal when there is none now: each stream is then its own.
    pub fn stand_in(&self, descriptor: &DescriptorV1) -> Option<RawFd> {
        let description = self.image.descriptions.iter().find(|known| known.id == descriptor.description)?;
        match &description.kind {
            KindV1::Terminal(end) if descriptor.fd < 3 && self.is_absent(end.terminal) => {
                Some(self.streams.raw(descriptor.fd as u32))
            }
            _ => None,
        }
    }

    fn is_absent(&self, terminal: u32) -> bool {
        let outside = |known: &TerminalV1| known.id == terminal && known.master == MasterV1::Outside;
        self.image.terminals.iter().any(outside) && !self.terminals.is_made(terminal)
    }

    /// A path of the application as this command reaches it, after `--file OLD=NEW`.
    pub fn path(&self, path: &[u8]) -> PathBuf {
        let moved = moved(path, &self.moved);
        let moved = moved.as_deref().unwrap_or(path);
        PathBuf::from(OsStr::from_bytes(&[&self.root, moved].concat()))
    }

    /// Opens a file of the application; a deleted one under the name that it has for the time of the restore.
    pub fn open(&self, file: &FileRefV1, flags: i32) -> Result<OwnedFd> {
        let ghost = file.ghost.and_then(|ghost| self.ghosts.get(ghost));
        let opened = match ghost {
            // The path may be a link of /proc to a file that is held open.
            Some(path) => sys::files::open(path, flags & !libc::O_NOFOLLOW),
            None => sys::files::open(&self.path(&file.path), flags),
        };
        opened
            .explain(|| format!("Could not open {}", file.path().display()))
            .map_err(|fault| fault.hint("If the file has moved, name its new place with --file OLD=NEW"))
    }
}

/// Where the user says that a path is today: by its own name or that of a folder above it, the longest that fits.
pub fn moved(path: &[u8], moved: &BTreeMap<String, String>) -> Option<Vec<u8>> {
    let rest = |old: &str| {
        let rest = path.strip_prefix(old.trim_end_matches('/').as_bytes())?;
        (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
    };
    let fits = moved.iter().filter_map(|(old, new)| Some((old.len(), new, rest(old)?)));
    let (_, new, rest) = fits.max_by_key(|(length, ..)| *length)?;
    Some([new.trim_end_matches('/').as_bytes(), rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_folder_that_was_moved_decides() {
        let pairs = [("/srv", "/mnt/srv"), ("/srv/data/", "/data"), ("/etc/a", "/etc/b")];
        let table = pairs.map(|(old, new)| (old.to_owned(), new.to_owned())).into();
        let path = |path: &str| moved(path.as_bytes(), &table).map(|new| String::from_utf8(new).unwrap());
        assert_eq!(path("/srv/x").unwrap(), "/mnt/srv/x");
        assert_eq!(path("/srv/data/y").unwrap(), "/data/y");
        assert_eq!(path("/etc/a").unwrap(), "/etc/b");
        assert_eq!(path("/srvx"), None);
    }
}
