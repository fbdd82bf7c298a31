//! The generation token: a file by which a clone can tell that it is one. Whoever keeps random state or a name for
//! itself looks whether the token is still the one that it knows.

use super::posix_memory::FOLDER;
use crate::explain::{Explain, Result};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// In the `/dev/shm` that an application has for itself.
const FILE: &str = ".stasis-generation";

/// Writes the token for an application that is being restored below `root`, and returns what the user should know.
/// A token that the snapshot brought along is that of another instance, and is replaced.
pub fn apply(token: Option<&str>, own_shared_memory: bool, root: &[u8]) -> Result<Option<String>> {
    let Some(token) = token else { return Ok(None) };
    if !own_shared_memory {
        let why = "the application has the host's /dev/shm";
        return Ok(Some(format!("no generation token was written to {FOLDER}/{FILE}: {why}")));
    }
    let folder = PathBuf::from(OsStr::from_bytes(&[root, FOLDER.as_bytes()].concat()));
    write(&folder, token).explain(|| format!("Could not write the generation token {FOLDER}/{FILE}"))?;
    Ok(None)
}

/// Everybody in the capsule may read it. A new file takes the name at once, so that no half of one is ever seen, and no
/// link that the application left there is followed.
fn write(folder: &Path, token: &str) -> io::Result<()> {
    let new = folder.join(format!("{FILE}.new"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    writeln!(file, "{token}")?;
    fs::rename(new, folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_replaces_that_of_another_instance_and_follows_no_link() {
        let root = std::env::temp_dir().join(format!("stasis-generation-{}", std::process::id()));
        let folder = root.join(&FOLDER[1..]);
        fs::create_dir_all(&folder).unwrap();
        fs::write(root.join("elsewhere"), "untouched").unwrap();
        std::os::unix::fs::symlink(root.join("elsewhere"), folder.join(FILE)).unwrap();
        let bytes = root.as_os_str().as_bytes();
        assert_eq!(apply(Some("1 0123456789ab"), true, bytes).unwrap(), None);
        assert_eq!(fs::read_to_string(folder.join(FILE)).unwrap(), "1 0123456789ab\n");
        assert_eq!(fs::read_to_string(root.join("elsewhere")).unwrap(), "untouched");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_hosts_folder_is_left_alone() {
        assert!(apply(Some("1 0123456789ab"), false, b"/nowhere").unwrap().unwrap().contains("host's"));
        assert_eq!(apply(None, true, b"/nowhere").unwrap(), None);
    }
}
