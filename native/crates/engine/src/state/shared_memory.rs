//! Memory that outlives a mapping or belongs to several processes: anonymous shared memory and memory files
//! (memfd_create(2)). Captured once per chain, by device and inode.

use super::contents::{Contents, Window};
use super::memory::PageRunV1;
use crate::explain::{Explain, Result};
use crate::procfs::{Mapping, Status};
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SharedMemoryId(pub u32);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SharedMemoryV1 {
    pub id: SharedMemoryId,
    /// The name given to memfd_create(2); none for anonymous shared memory.
    pub name: Option<ByteBuf>,
    /// Bytes.
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Huge page size in bytes, 0 for ordinary pages.
    pub huge: u64,
    /// `F_GET_SEALS`.
    pub seals: i32,
    pub pages: Vec<PageRunV1>,
}

/// Is `name` one that the kernel gives to memory outside any file system?
pub fn is_named_like_one(name: &[u8]) -> bool {
    let prefixes = [&b"/dev/zero (deleted)"[..], b"/memfd:", b"/anon_hugepage (deleted)"];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// An object met while collecting, and where its contents are read.
pub struct Source {
    pub object: SharedMemoryV1,
    pub contents: Contents,
}

#[derive(Default)]
pub struct Collector {
    by_inode: HashMap<(u64, u64), SharedMemoryId>,
    pub sources: Vec<Source>,
}

impl Collector {
    /// The object behind a shared mapping, met now or before.
    pub fn of_mapping(&mut self, pid: i32, map: &Mapping) -> Result<SharedMemoryId> {
        let path = format!("/proc/{pid}/map_files/{:x}-{:x}", map.start, map.end);
        match File::open(&path) {
            Ok(file) => self.of_file(pid, file, &map.name, map.page_size),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => self.of_window(pid, map),
            Err(error) => Err(error).explain(|| format!("Could not open {path}")),
        }
    }

    /// The object behind a descriptor of a memory file.
    pub fn of_descriptor(
        &mut self,
        pid: i32,
        fd: OwnedFd,
        link: &[u8],
        page_size: u64,
    ) -> Result<SharedMemoryId> {
        self.of_file(pid, File::from(fd), link, page_size)
    }

    fn of_file(&mut self, pid: i32, file: File, link: &[u8], page_size: u64) -> Result<SharedMemoryId> {
        let meta = file.metadata().explain(|| format!("Could not examine shared memory of process {pid}"))?;
        let id = self.number((meta.dev(), meta.ino()));
        let object = SharedMemoryV1 {
            id,
            name: name_of(link),
            size: meta.len(),
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            huge: huge(page_size),
            seals: sys::files::seals(file.as_fd()).unwrap_or(0),
            pages: Vec::new(),
        };
        match self.sources.get_mut(id.0 as usize) {
            None => self.sources.push(Source { object, contents: Contents::File(file) }),
            Some(known) if matches!(known.contents, Contents::Mapped(_)) => {
                *known = Source { object, contents: Contents::File(file) };
            }
            Some(_) => {}
        }
        Ok(id)
    }

    /// The object behind a mapping, where the kernel does not hand out its file: as much of it as is mapped.
    fn of_window(&mut self, pid: i32, map: &Mapping) -> Result<SharedMemoryId> {
        let window = Window::of(pid, map)?;
        let id = self.number(map.file());
        match self.sources.get_mut(id.0 as usize) {
            Some(known) => {
                if known.contents.enter(window) {
                    known.object.size = known.object.size.max(window.end());
                }
            }
            None => {
                let (uid, gid) = Status::read(&pid.to_string()).unwrap_or_default().file_owner();
                let object = SharedMemoryV1 {
                    id,
                    name: name_of(&map.name),
                    size: window.end(),
                    mode: 0o777,
                    uid,
                    gid,
                    huge: huge(map.page_size),
                    seals: 0,
                    pages: Vec::new(),
                };
                self.sources.push(Source { object, contents: Contents::Mapped(vec![window]) });
            }
        }
        Ok(id)
    }

    fn number(&mut self, key: (u64, u64)) -> SharedMemoryId {
        let next = SharedMemoryId(self.sources.len() as u32);
        *self.by_inode.entry(key).or_insert(next)
    }
}

/// The name given to memfd_create(2), from what the kernel calls the file.
fn name_of(link: &[u8]) -> Option<ByteBuf> {
    let name = link.strip_prefix(b"/memfd:")?;
    Some(ByteBuf::from(name.strip_suffix(b" (deleted)").unwrap_or(name).to_vec()))
}

fn huge(page_size: u64) -> u64 {
    if page_size > sys::memory::PAGE { page_size } else { 0 }
}

/// Makes the objects anew, filled from the packs. Owner, permissions and seals come when everybody has mapped.
pub fn apply(objects: &[SharedMemoryV1], rebuild: &mut Rebuild) -> Result<()> {
    for object in objects {
        let what = || format!("Could not restore shared memory {}", object.id.0);
        let file = create(object).explain(what)?;
        file.set_len(object.size).explain(what)?;
        for run in &object.pages {
            load(&file, run, object, rebuild).explain(what)?;
        }
        rebuild.shared_memory.insert(object.id, file);
    }
    Ok(())
}

/// Anonymous memory comes back as such where its file can be had (CAP_CHECKPOINT_RESTORE), else as a memory file.
fn create(object: &SharedMemoryV1) -> sys::Result<File> {
    let Some(name) = &object.name else {
        let anonymous = sys::memory::anonymous_shared_file(object.size, object.huge);
        return anonymous.or_else(|_| sys::memory::memory_file(c"anonymous", flags(object)));
    };
    let name = std::ffi::CString::new(name.to_vec()).map_err(|_| sys::Errno::EINVAL)?;
    /// MFD_EXEC and MFD_NOEXEC_SEAL (Linux 6.3); else vm.memfd_noexec decides.
    const EXEC: u32 = 0x10;
    const NOEXEC_SEAL: u32 = 0x8;
    const F_SEAL_EXEC: i32 = 0x20;
    let manner = if object.seals & F_SEAL_EXEC == 0 { EXEC } else { NOEXEC_SEAL };
    match sys::memory::memory_file(&name, flags(object) | manner) {
        Err(sys::Errno::EINVAL) => sys::memory::memory_file(&name, flags(object)),
        made => made,
    }
}

fn flags(object: &SharedMemoryV1) -> u32 {
    let sealing = if object.seals == F_SEAL_SEAL { 0 } else { libc::MFD_ALLOW_SEALING };
    sealing | if object.huge == 0 { 0 } else { huge_flags(object.huge) }
}

const F_SEAL_SEAL: i32 = 1;

fn huge_flags(page_size: u64) -> u32 {
    libc::MFD_HUGETLB | page_size.trailing_zeros() << libc::MFD_HUGE_SHIFT
}

/// Copies one run from its pack into the object, which need not end with a page. Huge pages take no write(2), so they
/// are written through a mapping.
fn load(file: &File, run: &PageRunV1, object: &SharedMemoryV1, rebuild: &Rebuild) -> std::io::Result<()> {
    let pack = rebuild.pack(run.pack)?;
    let length = run.length.min(object.size.saturating_sub(run.start));
    let mut buffer = vec![0u8; (1 << 20).min(length as usize)];
    let mut done = 0;
    while done < length {
        let part = &mut buffer[..(length - done).min(1 << 20) as usize];
        pack.read_exact_at(part, run.offset + done)?;
        if object.huge == 0 {
            file.write_all_at(part, run.start + done)?;
        } else {
            sys::memory::write_through_mapping(file, run.start + done, part, object.huge)?;
        }
        done += part.len() as u64;
    }
    Ok(())
}

/// Gives the objects their owners and permissions, and seals them again, once every mapping and descriptor of them
/// exists.
pub fn seal(objects: &[SharedMemoryV1], rebuild: &Rebuild) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for object in objects {
        let what = || format!("Could not seal shared memory {}", object.id.0);
        let Some(file) = rebuild.shared_memory.get(&object.id) else { continue };
        let meta = file.metadata().explain(what)?;
        if (meta.uid(), meta.gid()) != (object.uid, object.gid) {
            std::os::unix::fs::fchown(file, Some(object.uid), Some(object.gid)).explain(what)?;
        }
        if meta.mode() & 0o7777 != object.mode {
            file.set_permissions(std::fs::Permissions::from_mode(object.mode)).explain(what)?;
        }
        let missing = object.seals & !sys::files::seals(file.as_fd()).unwrap_or(object.seals);
        if missing != 0 && object.name.is_some() {
            sys::files::add_seals(file.as_fd(), missing).explain(what)?;
        }
    }
    Ok(())
}
