//! The folder in which a snapshot is made before it takes its name. Dropping it removes it.

use crate::{Error, Result, files};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Between a snapshot's name and the rest of its unfinished folder's.
const PARTIAL: &str = ".partial-";

/// An unfinished snapshot. The lock (flock(2)) lasts as long as its writer and tells others that there is one.
pub struct PartialFolder {
    path: PathBuf,
    target: PathBuf,
    parent: PathBuf,
    published: bool,
    _lock: File,
}

impl PartialFolder {
    /// Makes `<name>.partial-<pid>-<random>` beside `target`, which may be an empty folder: that is replaced.
    ///
    /// # Errors
    /// `Exists`, `Io`, or `Misuse` for a path without a name.
    pub fn create(target: &Path) -> Result<Self> {
        let name = target
            .file_name()
            .ok_or_else(|| Error::Misuse { what: format!("\"{}\" names no folder", target.display()) })?;
        if target.symlink_metadata().is_ok() && !is_empty_folder(target) {
            return Err(Error::Exists { path: target.to_path_buf() });
        }
        let parent = match target.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        loop {
            let mut partial = name.to_os_string();
            partial.push(format!("{PARTIAL}{}-{:016x}", std::process::id(), files::random()?));
            let path = parent.join(partial);
            if let Some(_lock) = make_locked(&path)? {
                return Ok(Self { path, target: target.to_path_buf(), parent, published: false, _lock });
            }
        }
    }

    /// Where the unfinished snapshot lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the finished snapshot its name, for good. If the name cannot be made durable, it is taken back.
    ///
    /// # Errors
    /// `Exists` when somebody else has taken the name meanwhile; `Io`.
    pub fn publish(mut self) -> Result<()> {
        fs::rename(&self.path, &self.target).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => {
                Error::Exists { path: self.target.clone() }
            }
            _ => Error::io("rename a folder to", &self.target, &error),
        })?;
        match files::sync_folder(&self.parent) {
            Ok(()) => {
                self.published = true;
                Ok(())
            }
            Err(error) => {
                // Drop removes it under the old name. If even this fails, the snapshot stands, whole.
                let _ = fs::rename(&self.target, &self.path);
                Err(error)
            }
        }
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        if !self.published {
            // Nobody is left to tell; whoever comes next finds the folder unlocked and removes it.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// True of a folder, not a link to one, that has nothing in it.
fn is_empty_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
        && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// `None` if the name is taken, or was swept away before the lock was ours.
fn make_locked(path: &Path) -> Result<Option<File>> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => lock(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(Error::io("create", path, &error)),
    }
}

/// The lock on the folder at `path`; `None` if another has it or the folder is not there any more.
fn lock(path: &Path) -> Result<Option<File>> {
    let failed = |error: &std::io::Error| Error::io("lock", path, error);
    let folder = match File::open(path) {
        Ok(folder) => folder,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    match folder.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(failed(&error)),
    }
    let ours = folder.metadata().map_err(|error| failed(&error))?;
    let same = path.symlink_metadata().is_ok_and(|now| now.ino() == ours.ino() && now.dev() == ours.dev());
    Ok(same.then_some(folder))
}

/// Removes what killed writers left in `folder`, and says how many unfinished snapshots that were. One whose
/// writer lives is locked and stays; so does what may not be removed.
///
/// # Errors
/// `Io` when `folder` cannot be read; a folder that does not exist has nothing left in it.
pub fn remove_abandoned(folder: &Path) -> Result<usize> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(Error::io("list", folder, &error)),
    };
    let partial = entries
        .flatten()
        .filter(|entry| is_partial(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(partial.filter(|entry| remove_if_abandoned(&entry.path())).count())
}

fn remove_if_abandoned(path: &Path) -> bool {
    matches!(lock(path), Ok(Some(_held)) if fs::remove_dir_all(path).is_ok())
}

/// True for the name of an unfinished snapshot's folder: `<name>.partial-<pid>-<16 hex>`.
#[must_use]
pub fn is_partial(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let Some((_, rest)) = name.rsplit_once(PARTIAL) else { return false };
    let Some((pid, random)) = rest.split_once('-') else { return false };
    !pid.is_empty()
        && pid.bytes().all(|byte| byte.is_ascii_digit())
        && random.len() == 16
        && random.bytes().all(|byte| byte.is_ascii_hexdigit())
}
