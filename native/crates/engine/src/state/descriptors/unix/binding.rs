//! Binding sockets to their names: a node that nobody is bound to any more is replaced; one that was deleted, or is
//! needed only while connections are made, appears and vanishes at once, beside whatever has its path today.

use super::author::Author;
use super::names;
use super::{NameV1, NodeV1};
use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::nursery::Nursery;
use crate::rebuild::Rebuild;
use abi::{Code, Fault};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where a passing socket of unknown origin is bound when its name is relative.
const ANYWHERE: &[u8] = b"/tmp";

/// A node that stays. It is removed again when the restore fails.
pub struct Placed {
    place: PathBuf,
    node: OwnedFd,
    saved: NodeV1,
    settled: bool,
}

impl Placed {
    /// Gives the node its owner, mode and present name.
    pub fn settle(&mut self, rebuild: &Rebuild) -> Result<()> {
        let what = || format!("Could not restore the owner and mode of {}", self.place.display());
        let through = format!("/proc/thread-self/fd/{}", self.node.as_raw_fd());
        let now = fs::metadata(&through).explain(what)?;
        if (now.uid(), now.gid()) != (self.saved.uid, self.saved.gid) {
            std::os::unix::fs::chown(&through, Some(self.saved.uid), Some(self.saved.gid)).explain(what)?;
        }
        fs::set_permissions(&through, Permissions::from_mode(self.saved.mode)).explain(what)?;
        if let Some(renamed) = &self.saved.renamed {
            let to = rebuild.path(renamed);
            fs::rename(&self.place, &to)
                .explain(|| format!("Could not put socket {} in place", to.display()))?;
        }
        self.settled = true;
        Ok(())
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if !self.settled {
            // The restore failed already; its reason is what the user needs to hear.
            let _ = fs::remove_file(&self.place);
        }
    }
}

pub struct Binder<'r> {
    pub nursery: &'r Nursery,
    pub rebuild: &'r Rebuild,
}

impl Binder<'_> {
    /// Binds a socket to a name of the snapshot. Returns the node and, when it stays, what is left to do for it.
    pub fn bind(&self, socket: &OwnedFd, name: &NameV1) -> Result<(Option<OwnedFd>, Option<Placed>)> {
        let Some(saved) = &name.node else {
            return self.bind_passing(socket, &name.bytes).map(|node| (node, None));
        };
        let place = self.rebuild.path(&saved.place(&name.bytes));
        if saved.deleted {
            return self.passing(socket, &name.bytes, Some(saved), &place).map(|node| (Some(node), None));
        }
        self.clear(&place)?;
        self.make(socket, &name.bytes, Some(saved))?;
        let node = open_node(&place)?;
        let copy = node.try_clone().explain(|| format!("Could not hold {}", place.display()))?;
        let placed = Placed { place, node: copy, saved: saved.clone(), settled: false };
        Ok((Some(node), Some(placed)))
    }

    /// Binds a socket that only stands in for one which has been closed. A node does not outlive this call.
    pub fn bind_passing(&self, socket: &OwnedFd, name: &[u8]) -> Result<Option<OwnedFd>> {
        if name.first() == Some(&0) {
            self.make(socket, name, None)?;
            return Ok(None);
        }
        let place = self.rebuild.path(&names::join(ANYWHERE, name));
        self.passing(socket, name, None, &place).map(Some)
    }

    fn make(&self, socket: &OwnedFd, name: &[u8], saved: Option<&NodeV1>) -> Result<()> {
        let author = Author::of(None, OriginalPid(0), self.nursery, self.rebuild)?;
        let directory = saved.and_then(|saved| saved.directory.as_ref());
        let directory =
            directory.map_or(if saved.is_some() { &b"/"[..] } else { ANYWHERE }, |dir| dir.as_slice());
        let root = saved.and_then(|saved| saved.root.as_ref()).map(|root| root.as_slice());
        // Where there is no such folder, an absolute or abstract name needs none.
        let directory =
            if name.first().is_none_or(|first| matches!(first, 0 | b'/')) { b"/" } else { directory };
        author.bind(socket, name, directory, root).map_err(|fault| {
            let what = format!("Could not bind a socket to \"{}\"", names::printable(name));
            let because = |named: Fault, cause: String| named.because(cause);
            let named = Fault::new(fault.code, what).because(fault.message);
            fault
                .causes
                .into_iter()
                .fold(named, because)
                .hint("See that nothing else uses this name, and that its folder exists")
        })
    }

    /// Removes a node that no socket is bound to any more.
    fn clear(&self, place: &Path) -> Result<()> {
        let what = || format!("Could not replace {}", place.display());
        let refuse = |why: &str| Err(Fault::new(Code::RestoreFailed, what()).because(why));
        match fs::symlink_metadata(place) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Ok(meta) if meta.file_type().is_socket() => {}
            Ok(_) => return refuse("it is not a socket"),
            Err(error) => return Err(error).explain(what),
        }
        let node = open_node(place)?;
        if names::is_taken(b"", Some(node.as_fd()), libc::SOCK_STREAM, &self.rebuild.sockets).explain(what)? {
            return refuse("a running program is bound to it");
        }
        fs::remove_file(place).explain(what)
    }

    /// Binds to a path that is to be free again afterwards, or to hold again what it holds today.
    fn passing(
        &self,
        socket: &OwnedFd,
        name: &[u8],
        saved: Option<&NodeV1>,
        place: &Path,
    ) -> Result<OwnedFd> {
        let what = || format!("Could not use {} for a moment", place.display());
        let folders = make_folders(place).explain(what)?;
        let parked = park(place).explain(what)?;
        let bound = self.make(socket, name, saved).and_then(|()| {
            let node = open_node(place)?;
            let through = format!("/proc/thread-self/fd/{}", node.as_raw_fd());
            fs::set_permissions(through, Permissions::from_mode(0o777)).explain(what)?;
            fs::remove_file(place).explain(what)?;
            Ok(node)
        });
        if let Some(parked) = parked {
            fs::rename(parked, place).explain(what)?;
        }
        for folder in folders.iter().rev() {
            fs::remove_dir(folder).explain(what)?;
        }
        bound
    }
}

fn open_node(place: &Path) -> Result<OwnedFd> {
    sys::files::open(place, libc::O_PATH | libc::O_NOFOLLOW)
        .explain(|| format!("Could not find the socket just bound to {}", place.display()))
}

/// Makes the folders that lead to `place` and are missing, outermost first.
fn make_folders(place: &Path) -> std::io::Result<Vec<PathBuf>> {
    let missing = place.ancestors().skip(1).take_while(|folder| !folder.exists());
    let mut folders: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    folders.reverse();
    folders.iter().try_for_each(fs::create_dir)?;
    Ok(folders)
}

/// Moves what is at `place` aside. Whoever is bound to it stays reachable through descriptors.
fn park(place: &Path) -> std::io::Result<Option<PathBuf>> {
    if fs::symlink_metadata(place).is_err() {
        return Ok(None);
    }
    let name = place.file_name().unwrap_or(OsStr::from_bytes(b"socket"));
    let mut aside = OsString::from(".");
    aside.push(name);
    aside.push(format!(".stasis-{}", std::process::id()));
    let aside = place.with_file_name(aside);
    fs::rename(place, &aside)?;
    Ok(Some(aside))
}
