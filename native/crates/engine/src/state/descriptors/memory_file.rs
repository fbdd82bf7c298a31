//! Descriptors of memory files (memfd_create(2)) and of shared memory that was opened through /proc/PID/map_files.

use super::{DescriptionV1, Found, regular};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use crate::state::filesystem;
use crate::state::shared_memory::SharedMemoryId;
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

const TMPFS_MAGIC: i64 = 0x0102_1994;
const HUGETLBFS_MAGIC: i64 = 0x9584_58f6;
/// What the kernel calls files of its own tmpfs and hugetlbfs, which are mounted nowhere.
const NAMES: [&[u8]; 3] = [b"/memfd:", b"/dev/zero (deleted)", b"/anon_hugepage (deleted)"];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemoryFileV1 {
    pub object: SharedMemoryId,
}

pub fn is_memory_file(found: &Found) -> bool {
    let named = NAMES.iter().any(|name| found.link.starts_with(name)) && found.link.ends_with(b" (deleted)");
    let internal = |magic| magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC;
    named && found.meta.nlink() == 0 && internal(filesystem::file_system(&found.file))
}

pub fn collect(found: &Found, collection: &mut Collection) -> Result<MemoryFileV1> {
    let path = format!("/proc/{}/fd/{}", found.pid, found.fd);
    let file =
        sys::files::open(path.as_ref(), libc::O_RDONLY).explain(|| format!("Could not open {path}"))?;
    let is_huge = filesystem::file_system(&found.file) == HUGETLBFS_MAGIC;
    let page_size = if is_huge { found.meta.blksize() } else { sys::memory::PAGE };
    let object = collection.shared_memory.of_descriptor(found.pid, file, &found.link, page_size)?;
    Ok(MemoryFileV1 { object })
}

pub fn apply(files: Vec<(&DescriptionV1, &MemoryFileV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, own) in files {
        let what = || format!("Could not restore a descriptor of shared memory {}", own.object.0);
        let object = rebuild.shared_memory.get(&own.object).ok_or(sys::Errno::ENOENT).explain(what)?;
        let file = sys::files::reopen(object.as_fd(), regular::opening_flags(description.flags, false))
            .explain(what)?;
        regular::seek(&file, description).explain(what)?;
        rebuild.descriptions.insert(description.id, file);
    }
    Ok(())
}
