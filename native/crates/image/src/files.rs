//! Opening files so that neither a hostile image nor another user of the host gets a hold on us.

use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Makes a new file that only its owner may read; an error if the name is taken.
pub fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|error| Error::io("create", path, &error))
}

/// Opens a regular file for reading; `None` if there is none of that name.
///
/// A FIFO would block the open and a device might act on it, so the type is looked at first and again on
/// the open file, which is what counts.
pub fn open(path: &Path) -> Result<Option<(File, u64)>> {
    let failed = |error: &std::io::Error| Error::io("open", path, error);
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(Error::damaged(path, "it is not a regular file")),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(&error)),
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| failed(&error))?;
    let found = file.metadata().map_err(|error| failed(&error))?;
    if !found.is_file() {
        return Err(Error::damaged(path, "it is not a regular file"));
    }
    Ok(Some((file, found.len())))
}

/// A random number from the kernel, for names and ids that must not meet.
///
/// # Errors
/// `Io` where there is no such device.
pub fn random() -> Result<u64> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 8];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Error::io("read", path, &error))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Writes a file's contents through to the disk.
pub fn sync(file: &File, path: &Path) -> Result<()> {
    file.sync_all().map_err(|error| Error::io("sync", path, &error))
}

/// Writes a folder's entries through to the disk.
pub fn sync_folder(path: &Path) -> Result<()> {
    let folder = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    sync(&folder, path)
}
