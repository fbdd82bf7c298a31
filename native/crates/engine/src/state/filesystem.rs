//! Files by name: how a snapshot refers to them, and the working folder, root and umask of a process.

use super::ghosts;
use super::volumes::is_within;
use crate::collection::Collection;
use crate::explain::{Explain, Result, refused};
use crate::nursery::Nursery;
use crate::procfs::{self, Mapping};
use crate::program::Program;
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tracee::Stopped;

/// A file that the snapshot does not contain: its path in the application's view, and what it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRefV1 {
    pub path: ByteBuf,
    pub device: u64,
    pub inode: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    pub mtime_ns: i64,
    /// The file had lost the name by which it was opened: what is known of it is in the snapshot, under this number.
    pub ghost: Option<u32>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FilesystemV1 {
    pub cwd: FileRefV1,
    /// The root folder; `/` unless the process called chroot(2).
    pub root: FileRefV1,
    pub umask: u32,
}

const DELETED: &[u8] = b" (deleted)";

/// Reads a /proc link as bytes.
pub fn link(path: &str) -> Result<Vec<u8>> {
    let target = std::fs::read_link(path).explain(|| format!("Could not read {path}"))?;
    Ok(target.into_os_string().into_vec())
}

/// What leads from here to the files that the application's paths name: empty in a mount namespace that is ours, too.
/// The kernel shows all paths from the reader's root, or from that of the namespace if it is another one: whether
/// a process has called chroot(2) makes no difference.
#[derive(Clone, Debug, Default)]
pub struct View {
    prefix: Vec<u8>,
}

impl View {
    /// The view of a process that is in the same mount namespace as the application, and not chrooted.
    pub fn through(pid: i32) -> Self {
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        if namespace("thread-self") == namespace(&pid.to_string()) {
            return Self::default();
        }
        Self { prefix: format!("/proc/{pid}/root").into_bytes() }
    }

    pub fn path(&self, path: &[u8]) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&[&self.prefix, path].concat()))
    }
}

impl FileRefV1 {
    pub fn new(path: &[u8], meta: &Metadata) -> Self {
        Self {
            path: ByteBuf::from(path.to_vec()),
            device: meta.dev(),
            inode: meta.ino(),
            mode: meta.mode(),
            size: meta.len(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
            ghost: None,
        }
    }

    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// The file that has the kernel's name `link` and that `through`, a /proc link, leads to. What lost that name is
    /// entered among the ghosts.
    pub fn find(
        pid: i32,
        link: &[u8],
        meta: &Metadata,
        through: &Path,
        collection: &mut Collection,
    ) -> Result<Self> {
        match name_of(link, meta, &collection.view) {
            Name::Present(path) => Ok(Self::new(path, meta)),
            Name::Lost(path) => {
                let mut file = Self::new(path, meta);
                let view = collection.view.clone();
                if let Some(path) = collection.ghosts.named_in_memory((meta.dev(), meta.ino()), &view) {
                    return Ok(Self::new(&path, meta));
                }
                file.ghost = Some(collection.ghosts.add(pid, through, path, meta, &view)?);
                Ok(file)
            }
            Name::Misleading => {
                if let Some(path) = by_another_mount(pid, link, meta, &collection.view) {
                    return Ok(Self::new(&path, meta));
                }
                let what = format!("the file {}", String::from_utf8_lossy(link));
                let why = "its name does not lead to it any more (another file system may be mounted there, or its own \
                           was taken away)";
                Err(refused(pid, &what, why))
            }
        }
    }
}

enum Name<'a> {
    Present(&'a [u8]),
    /// Another file may have it now.
    Lost(&'a [u8]),
    Misleading,
}

fn name_of<'a>(link: &'a [u8], meta: &Metadata, view: &View) -> Name<'a> {
    let there = std::fs::symlink_metadata(view.path(link));
    let same = |there: &Metadata| (there.dev(), there.ino()) == (meta.dev(), meta.ino());
    let stripped = link.strip_suffix(DELETED);
    match (there, stripped) {
        (Ok(there), _) if same(&there) => Name::Present(link),
        (_, Some(stripped)) => Name::Lost(stripped),
        // Inodes of procfs come and go; overlayfs may change one's number when the file is copied up.
        (Ok(there), None) if link.starts_with(b"/proc/") || alike(&there, meta) => Name::Present(link),
        (Err(error), None) if error.kind() == std::io::ErrorKind::PermissionDenied => Name::Present(link),
        _ => Name::Misleading,
    }
}

/// A file that was opened by a mount of a namespace that is gone, such as one that `ip netns exec` makes: its name begins at the
/// root of the file system then, which the application has elsewhere.
fn by_another_mount(pid: i32, link: &[u8], meta: &Metadata, view: &View) -> Option<Vec<u8>> {
    let device = (sys::files::major(meta.dev()), sys::files::minor(meta.dev()));
    let paths = procfs::mount_points(pid, device).into_iter().map(|point| {
        let point = point.strip_suffix(b"/").unwrap_or(&point);
        [point, link].concat()
    });
    let same = |there: Metadata| (there.dev(), there.ino()) == (meta.dev(), meta.ino());
    paths.into_iter().find(|path| std::fs::symlink_metadata(view.path(path)).is_ok_and(same))
}

fn alike(a: &Metadata, b: &Metadata) -> bool {
    let key = |meta: &Metadata| (meta.mode(), meta.len(), meta.mtime(), meta.mtime_nsec(), meta.rdev());
    key(a) == key(b)
}

/// The file behind a mapping, by its path or, where it has been deleted, with its contents.
pub fn collect_mapped(pid: i32, map: &Mapping, collection: &mut Collection) -> Result<FileRefV1> {
    let through = PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", map.start, map.end));
    if let Ok(meta) = std::fs::metadata(collection.view.path(&map.name))
        && (meta.ino() == map.inode || is_in_overlay(&map.name, collection))
    {
        return Ok(FileRefV1::new(&map.name, &meta));
    }
    // Without asking for the file itself, which an ordinary user may not have.
    if let Some(path) = collection.ghosts.named_in_memory(map.file(), &collection.view)
        && let Ok(meta) = std::fs::metadata(collection.view.path(&path))
    {
        return Ok(FileRefV1::new(&path, &meta));
    }
    let what = || format!("Could not examine the file mapped at {:#x} in process {pid}", map.start);
    match (std::fs::metadata(&through), map.name.strip_suffix(DELETED)) {
        (Err(error), Some(path)) if error.raw_os_error() == Some(libc::EPERM) => {
            without_file(pid, map, path, collection)
        }
        (meta, _) => FileRefV1::find(pid, &map.name, &meta.explain(what)?, &through, collection),
    }
}

/// In an overlay of the application's own, names of mapped files lead to them: nothing is mounted over it, and a name
/// that was deleted is marked. Numbers differ when the file was copied up while it was in use.
fn is_in_overlay(name: &[u8], collection: &Collection) -> bool {
    !name.ends_with(DELETED) && collection.overlays.iter().any(|overlay| is_within(name, overlay))
}

/// The file of a deleted name that the kernel does not hand out.
fn without_file(pid: i32, map: &Mapping, path: &[u8], collection: &mut Collection) -> Result<FileRefV1> {
    let view = collection.view.clone();
    Ok(match ghosts::find(pid, map, path, &view, &mut collection.ghosts)? {
        ghosts::Found::Named(path, meta) => FileRefV1::new(path.as_os_str().as_bytes(), &meta),
        ghosts::Found::Ghost(id) => FileRefV1 {
            path: ByteBuf::from(path.to_vec()),
            device: map.file().0,
            inode: map.inode,
            mode: libc::S_IFREG | 0o600,
            ghost: Some(id),
            ..FileRefV1::default()
        },
    })
}

pub fn collect(pid: i32, umask: &str, collection: &mut Collection) -> Result<FilesystemV1> {
    let mut folder = |name: &str| {
        let through = format!("/proc/{pid}/{name}");
        let meta = std::fs::metadata(&through).explain(|| format!("Could not examine {through}"))?;
        FileRefV1::find(pid, &link(&through)?, &meta, through.as_ref(), collection)
    };
    Ok(FilesystemV1 {
        cwd: folder("cwd")?,
        root: folder("root")?,
        umask: u32::from_str_radix(umask, 8).unwrap_or(0o022),
    })
}

/// Sets folders and umask of a process that has no descriptors yet. Folders are handed over open: neither may have a
/// name, and the working folder may lie outside the root.
pub fn apply(saved: &FilesystemV1, thread: &Stopped, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    let chrooted = saved.root.path.as_slice() != b"/" || saved.root.ghost.is_some();
    let folders = if chrooted { vec![&saved.root, &saved.cwd] } else { vec![&saved.cwd] };
    let open = |folder: &&FileRefV1| rebuild.open(folder, libc::O_PATH | libc::O_DIRECTORY);
    let opened = folders.iter().map(open).collect::<Result<Vec<_>>>()?;
    let fds: Vec<i32> = opened.iter().map(AsRawFd::as_raw_fd).collect();
    let bench = nursery.hole.bench();
    let arrived = nursery.delivery.send(thread, &bench, &fds)?;
    let mut program = Program::new(&bench);
    if chrooted {
        let here = program.string(b".");
        program.call("fchdir", libc::SYS_fchdir, &[arrived[0] as u64]);
        program.call("chroot", libc::SYS_chroot, &[here]);
    }
    program.call("fchdir", libc::SYS_fchdir, &[arrived[arrived.len() - 1] as u64]);
    for fd in arrived {
        program.call("close", libc::SYS_close, &[fd as u64]);
    }
    program.call("umask", libc::SYS_umask, &[saved.umask.into()]);
    program.run(thread).map(drop)
}

/// The file system of an open file, where it decides how the file is captured.
pub fn file_system(file: &File) -> i64 {
    use std::os::fd::AsFd;
    sys::paths::file_system(file.as_fd()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_name_is_told_from_one_that_only_looks_like_it() {
        let folder = std::env::temp_dir().join(format!("stasis-names-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let odd = folder.join("odd (deleted)");
        std::fs::write(&odd, "x").unwrap();
        let meta = std::fs::metadata(&odd).unwrap();
        let view = View::default();
        let odd_name = odd.as_os_str().as_bytes();
        assert!(matches!(name_of(odd_name, &meta, &view), Name::Present(path) if path == odd_name));
        std::fs::rename(&odd, folder.join("plain")).unwrap();
        assert!(matches!(name_of(odd_name, &meta, &view), Name::Lost(path) if path.ends_with(b"/odd")));
        let plain = folder.join("plain");
        assert!(matches!(name_of(plain.as_os_str().as_bytes(), &meta, &view), Name::Present(_)));
        std::fs::write(folder.join("other"), "yy").unwrap();
        let other = folder.join("other");
        assert!(matches!(name_of(other.as_os_str().as_bytes(), &meta, &view), Name::Misleading));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
