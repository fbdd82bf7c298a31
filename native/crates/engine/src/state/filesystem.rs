//! Files by name: how a snapshot refers to them, and the working folder, root and umask of a process.

use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::procfs::Mapping;
use crate::program::Program;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that the snapshot does not contain: its path in the application's view, and what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRefV1 {
    pub path: ByteBuf,
    pub device: u64,
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    pub mtime_ns: i64,
    /// The file had been deleted: its contents are in the snapshot, under this number.
    pub ghost: Option<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FilesystemV1 {
    pub cwd: ByteBuf,
    pub cwd_deleted: bool,
    /// The root folder; `/` unless the process called chroot(2).
    pub root: ByteBuf,
    pub umask: u32,
}

const DELETED: &[u8] = b" (deleted)";

/// Reads a /proc link as bytes.
pub fn link(path: &str) -> Result<Vec<u8>> {
    let target = std::fs::read_link(path).explain(|| format!("Could not read {path}"))?;
    Ok(target.into_os_string().into_vec())
}

/// Splits off the mark that the kernel appends to the path of an unlinked file, when it is one: `links` is the
/// link count of the file itself.
pub fn strip_deleted(path: &[u8], links: u64) -> (&[u8], bool) {
    match path.strip_suffix(DELETED) {
        Some(stripped) if links == 0 || !Path::new(OsStr::from_bytes(path)).exists() => (stripped, true),
        _ => (path, false),
    }
}

impl FileRefV1 {
    pub fn new(path: &[u8], meta: &Metadata) -> Self {
        Self {
            path: ByteBuf::from(path.to_vec()),
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
            ghost: None,
        }
    }

    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}

/// The file behind a mapping, by its path or, where it has been deleted, with its contents.
pub fn collect_mapped(pid: i32, map: &Mapping, collection: &mut Collection) -> Result<FileRefV1> {
    let through = PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", map.start, map.end));
    let named = in_root_of(pid, &map.name);
    if let Ok(meta) = std::fs::metadata(&named)
        && meta.ino() == map.inode
    {
        return Ok(FileRefV1::new(&map.name, &meta));
    }
    let what = || format!("Could not examine the file mapped at {:#x} in process {pid}", map.start);
    let meta = std::fs::metadata(&through).explain(what)?;
    let (path, deleted) = strip_deleted(&map.name, meta.nlink());
    let mut file = FileRefV1::new(path, &meta);
    if deleted {
        file.ghost = Some(collection.ghosts.add(pid, &through, path, &meta)?);
    }
    Ok(file)
}

/// A path of the application as this command reaches it: through the process's own root and mounts.
pub fn in_root_of(pid: i32, path: &[u8]) -> PathBuf {
    let mut whole = format!("/proc/{pid}/root").into_bytes();
    whole.extend_from_slice(path);
    PathBuf::from(OsStr::from_bytes(&whole))
}

pub fn collect(pid: i32, umask: &str) -> Result<FilesystemV1> {
    let cwd = link(&format!("/proc/{pid}/cwd"))?;
    let (path, cwd_deleted) = strip_deleted(&cwd, 1);
    Ok(FilesystemV1 {
        cwd: ByteBuf::from(path.to_vec()),
        cwd_deleted,
        root: ByteBuf::from(link(&format!("/proc/{pid}/root"))?),
        umask: u32::from_str_radix(umask, 8).unwrap_or(0o022),
    })
}

/// Adds the calls that set folders and umask. A working folder that was deleted is made, entered and removed again.
pub fn apply(saved: &FilesystemV1, program: &mut Program) {
    let cwd = program.string(&saved.cwd);
    if saved.cwd_deleted {
        program.call("mkdir", libc::SYS_mkdir, &[cwd, 0o700]);
    }
    if saved.root.as_slice() == b"/" {
        program.call("chdir", libc::SYS_chdir, &[cwd]);
    } else {
        // The working folder may lie outside the new root, so it is entered first.
        let root = program.string(&saved.root);
        program.call("chdir", libc::SYS_chdir, &[cwd]);
        program.call("chroot", libc::SYS_chroot, &[root]);
    }
    if saved.cwd_deleted {
        program.call("rmdir", libc::SYS_rmdir, &[cwd]);
    }
    program.call("umask", libc::SYS_umask, &[saved.umask.into()]);
}
