//! Files, folders and devices that are opened by path: offset, flags, append mode, deleted files.

use super::{DescriptionV1, Found};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use crate::state::filesystem::{self, FileRefV1};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Flags that open(2) acts upon once, and that a restore must not repeat.
const ONCE: i32 = libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC | libc::O_NOCTTY;

/// Devices without a state of their own: opening them again is restoring them.
const STATELESS_DEVICES: [(u32, u32); 6] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (1, 11)];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegularV1 {
    pub file: FileRefV1,
    pub directory: bool,
}

pub fn collect(found: &Found, collection: &mut Collection) -> Result<RegularV1> {
    if found.meta.file_type().is_char_device() {
        let device = (sys::files::major(found.meta.rdev()), sys::files::minor(found.meta.rdev()));
        if !STATELESS_DEVICES.contains(&device) {
            return found.refuse("it is a device whose state stasis cannot read");
        }
    }
    let (path, deleted) = filesystem::strip_deleted(&found.link, found.meta.nlink());
    let mut file = FileRefV1::new(path, &found.meta);
    if deleted {
        let through = format!("/proc/{}/fd/{}", found.pid, found.fd);
        file.ghost = Some(collection.ghosts.add(found.pid, through.as_ref(), path, &found.meta)?);
    }
    Ok(RegularV1 { file, directory: found.meta.is_dir() })
}

pub fn apply(files: Vec<(&DescriptionV1, &RegularV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, regular) in files {
        let flags = description.flags & !ONCE;
        let file = rebuild.open(&regular.file, flags)?;
        let what = || format!("Could not restore {}", regular.file.path().display());
        if description.position != 0 && flags & libc::O_PATH == 0 {
            seek(&file, description.position).explain(what)?;
        }
        rebuild.descriptions.insert(description.id, file);
    }
    Ok(())
}

fn seek(file: &OwnedFd, position: u64) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom};
    let mut file = File::from(file.as_fd().try_clone_to_owned()?);
    file.seek(SeekFrom::Start(position)).map(drop)
}
