//! The folder that keeps what was unpacked: `$XDG_CACHE_HOME/stasis`, `$HOME/.cache/stasis`, for root `/var/cache/stasis`.
//!
//! What lies in it gets executed, so it must be ours alone: owned by the effective user, mode 0700, no link. A home
//! that belongs to somebody else (a kept HOME under sudo) is passed over rather than written to.

use rustix::process::geteuid;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The first place that may be used, created when it is not there yet; `None` when there is none.
pub fn choose(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    candidates(variable).into_iter().find(|path| prepare(path).is_ok())
}

fn candidates(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let mut found = Vec::new();
    found.extend(folder("XDG_CACHE_HOME").map(|cache| cache.join("stasis")));
    found.extend(folder("HOME").map(|home| home.join(".cache/stasis")));
    if geteuid().is_root() {
        found.push(PathBuf::from("/var/cache/stasis"));
    }
    found
}

/// Creates the folder where it is missing, and checks whose it is.
///
/// # Errors
/// What the kernel says; `PermissionDenied` when it, or the folder above that it would be made in, is not ours alone.
fn prepare(path: &Path) -> Result<()> {
    let above = path.ancestors().skip(1).find_map(|folder| fs::metadata(folder).ok());
    if above.is_none_or(|above| above.uid() != geteuid().as_raw()) {
        return Err(ErrorKind::PermissionDenied.into());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check(path)
}

fn check(path: &Path) -> Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let ours = metadata.is_dir() && metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o077 == 0;
    if ours {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::PermissionDenied, "not a folder of this user alone"))
    }
}

#[cfg(test)]
mod tests;
