//! A folder that is being filled, and takes its final name only when it is complete.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Names of folders that nobody finished begin so. They are made under the lock only, hence whoever holds it may
/// remove those that it finds.
pub const PREFIX: &str = "partial-";

/// Removed again when it is dropped before [`Partial::finish`].
pub struct Partial {
    path: PathBuf,
    finished: bool,
}

impl Partial {
    /// # Errors
    /// What the kernel says.
    pub fn create(folder: &Path) -> Result<Self> {
        let path = folder.join(format!("{PREFIX}{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path, finished: false })
    }

    /// Writes one file and sees to it that it is on the disk. Closed on return: a file that is open for writing
    /// cannot be executed (ETXTBSY).
    ///
    /// # Errors
    /// What the kernel or `write` says.
    pub fn file(&self, name: &Path, mode: u32, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let path = self.path.join(name);
        if let Some(above) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(above)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        write(&mut file)?;
        file.flush()?;
        file.sync_data()
    }

    /// Gives the folder its final name, in place of a damaged one of that name.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn finish(mut self, name: &Path) -> Result<()> {
        discard(name)?;
        fs::rename(&self.path, name)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // The next start removes what this cannot.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes a folder in two steps, so that nobody sees a part of it under its name.
///
/// # Errors
/// What the kernel says; a folder that is not there is none.
pub fn discard(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{PREFIX}old-{name}"));
    match fs::rename(path, &aside) {
        Ok(()) => fs::remove_dir_all(aside),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// An error that the kernel did not report.
pub fn io_error(text: &str) -> Error {
    Error::new(ErrorKind::InvalidData, text)
}
