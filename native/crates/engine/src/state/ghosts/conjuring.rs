//! Giving ghosts a path for the time of a restore, and taking it away again.

use super::{ElsewhereV1, GhostV1, here};
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use crate::state::pages;
use abi::{Code, Fault};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The paths under which ghosts can be opened, and what goes again when they all have been; at the latest when this is
/// dropped.
#[derive(Debug, Default)]
pub struct Names {
    names: HashMap<u32, PathBuf>,
    /// Nameless files and those with other names, held open.
    held: Vec<OwnedFd>,
    /// In the order in which they were made.
    temporary: Vec<Temporary>,
}

#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    /// None for a folder that only leads to a ghost.
    ghost: Option<GhostV1>,
}

impl Names {
    pub fn get(&self, ghost: u32) -> Option<&Path> {
        self.names.get(&ghost).map(PathBuf::as_path)
    }

    /// Gives ghosts their attributes and takes their names away. Everybody who needs one has it open.
    pub fn finish(&mut self) -> Result<()> {
        // The last made first: what is in a folder before the folder, whose times it changes.
        for temporary in std::mem::take(&mut self.temporary).into_iter().rev() {
            let attributes = temporary.ghost.as_ref().map_or(Ok(()), |ghost| settle(ghost, &temporary.path));
            temporary.remove();
            attributes?;
        }
        self.names.clear();
        self.held.clear();
        Ok(())
    }

    fn hold(&mut self, ghost: u32, file: OwnedFd) -> PathBuf {
        let path = PathBuf::from(format!("/proc/thread-self/fd/{}", file.as_raw_fd()));
        self.held.push(file);
        self.names.insert(ghost, path.clone());
        path
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.temporary.drain(..).rev().for_each(|temporary| temporary.remove());
    }
}

impl Temporary {
    fn remove(&self) {
        // The name is ours alone; one that something else removed already is as good as gone.
        drop(std::fs::remove_file(&self.path).or_else(|_| std::fs::remove_dir(&self.path)));
    }
}

/// Owner first, since changing it takes away set-id bits; times last.
fn settle(ghost: &GhostV1, path: &Path) -> Result<()> {
    let what = || format!("Could not restore the attributes of {}", String::from_utf8_lossy(&ghost.path));
    let is_link = ghost.mode & libc::S_IFMT == libc::S_IFLNK;
    let now =
        if is_link { std::fs::symlink_metadata(path) } else { std::fs::metadata(path) }.explain(what)?;
    if (now.uid(), now.gid()) != (ghost.uid, ghost.gid) {
        if is_link {
            std::os::unix::fs::lchown(path, Some(ghost.uid), Some(ghost.gid)).explain(what)?;
        } else {
            std::os::unix::fs::chown(path, Some(ghost.uid), Some(ghost.gid)).explain(what)?;
        }
    }
    if !is_link {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(ghost.mode & 0o7777)).explain(what)?;
    }
    sys::paths::set_times(path, ghost.accessed_ns, ghost.modified_ns, !is_link).explain(what)
}

/// Makes every ghost openable: folders first, outer before inner, since others may lie in them.
pub fn apply(ghosts: &[GhostV1], rebuild: &mut Rebuild) -> Result<()> {
    let mut order: Vec<&GhostV1> = ghosts.iter().collect();
    order.sort_by_key(|ghost| (ghost.mode & libc::S_IFMT != libc::S_IFDIR, ghost.path.len()));
    for ghost in order {
        match &ghost.elsewhere {
            Some(elsewhere) => find(ghost, elsewhere, rebuild)?,
            None => make(ghost, rebuild)?,
        }
    }
    Ok(())
}

/// Finds a file that lives on under other names.
fn find(ghost: &GhostV1, elsewhere: &ElsewhereV1, rebuild: &mut Rebuild) -> Result<()> {
    let is_in_view = rebuild.views.contain(&ghost.path);
    let by_handle = || {
        // It would lead to the file that was captured.
        if is_in_view {
            return None;
        }
        let (kind, bytes) = elsewhere.handle.as_ref()?;
        let lost = here(&ghost.path, rebuild);
        let folder = lost.ancestors().skip(1).find(|folder| folder.is_dir())?;
        let mount = sys::files::open(folder, libc::O_RDONLY | libc::O_DIRECTORY).ok()?;
        sys::paths::open_by_handle(mount.as_fd(), *kind, bytes, libc::O_PATH).ok()
    };
    let by_name = || {
        let name = elsewhere.name.as_ref()?;
        sys::files::open(&here(name, rebuild), libc::O_PATH | libc::O_NOFOLLOW).ok()
    };
    let is_it = |file: &OwnedFd| {
        let meta = std::fs::metadata(format!("/proc/thread-self/fd/{}", file.as_raw_fd()));
        meta.is_ok_and(|meta| (is_in_view || meta.ino() == elsewhere.inode) && meta.nlink() > 0)
    };
    let found = by_handle().filter(&is_it).or_else(|| by_name().filter(&is_it));
    let file = found.ok_or_else(|| {
        let path = String::from_utf8_lossy(&ghost.path);
        Fault::new(Code::RestoreFailed, format!("Could not find the file that was once called {path}"))
            .because(
                "the name was deleted before the snapshot was taken, and its other names lead to it no more",
            )
    })?;
    rebuild.ghosts.hold(ghost.id, file);
    Ok(())
}

fn make(ghost: &GhostV1, rebuild: &mut Rebuild) -> Result<()> {
    let what = || format!("Could not restore the deleted file {}", String::from_utf8_lossy(&ghost.path));
    let wanted = here(&ghost.path, rebuild);
    make_parents(&wanted, &mut rebuild.ghosts).explain(what)?;
    let path = match nameless(ghost, &wanted) {
        Some(file) => rebuild.ghosts.hold(ghost.id, file),
        None => {
            let path = create(ghost, &wanted).explain(what)?;
            rebuild.ghosts.temporary.push(Temporary { path: path.clone(), ghost: Some(ghost.clone()) });
            rebuild.ghosts.names.insert(ghost.id, path.clone());
            path
        }
    };
    if ghost.mode & libc::S_IFMT == libc::S_IFREG {
        let file = OpenOptions::new().write(true).open(&path).explain(what)?;
        file.set_len(ghost.size).explain(what)?;
        pages::fill_file(&file, &ghost.pages, ghost.size, &|pack| rebuild.pack(pack)).explain(what)?;
        if ghost.nameless {
            settle(ghost, &path)?;
        }
    }
    Ok(())
}

/// A file without a name, where the file system can make one.
fn nameless(ghost: &GhostV1, wanted: &Path) -> Option<OwnedFd> {
    ghost.nameless.then(|| sys::paths::make_nameless(wanted.parent()?, 0o600).ok()).flatten()
}

/// Makes the folders above a ghost that are gone, too.
fn make_parents(wanted: &Path, names: &mut Names) -> std::io::Result<()> {
    let mut missing: Vec<&Path> = wanted.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
    missing.reverse();
    for folder in missing {
        std::fs::create_dir(folder)?;
        names.temporary.push(Temporary { path: folder.to_path_buf(), ghost: None });
    }
    Ok(())
}

/// Creates the node under its old name, or beside it when that is taken.
fn create(ghost: &GhostV1, wanted: &Path) -> std::io::Result<PathBuf> {
    for attempt in 0..1000u32 {
        let mut path = wanted.as_os_str().to_owned();
        if attempt > 0 {
            path.push(format!(".stasis-{attempt}"));
        }
        let path = PathBuf::from(path);
        match create_at(ghost, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// For its maker alone, until everybody has it open.
fn create_at(ghost: &GhostV1, path: &Path) -> std::io::Result<()> {
    match ghost.mode & libc::S_IFMT {
        libc::S_IFDIR => std::fs::create_dir(path)
            .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))),
        libc::S_IFIFO => Ok(sys::files::make_fifo(path, 0o600)?),
        libc::S_IFREG => OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop),
        kind @ (libc::S_IFCHR | libc::S_IFBLK | libc::S_IFSOCK) => {
            Ok(sys::paths::make_node(path, kind | 0o600, ghost.device)?)
        }
        _ => Err(ErrorKind::Unsupported.into()),
    }
}
