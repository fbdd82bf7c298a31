//! Taking a folder as it is: a new tree of files that is equal to it.

use crate::attributes;
use crate::content;
use crate::error::{Doing, Error, Result};
use crate::known::{Known, accessed_ns, modified_ns, origin_of};
use crate::layers::{Layers, Position, Real};
use crate::tree::{BodyV1, EntryV1, MOST_ENTRIES, TreeV1, below};
use serde_bytes::ByteBuf;
use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// A file that changed this short a time before is not known again by its times: the clock of a file system ticks
/// every few milliseconds.
const SETTLING_NS: i64 = 100_000_000;

/// What there is to know about a folder that is captured.
pub struct Circumstances<'a> {
    /// What need not be copied.
    pub known: &'a Known,
    /// The folder is an overlay of these.
    pub layers: Option<&'a Layers>,
    /// Device and inode of files that are mapped for sharing and writing.
    pub mapped: &'a HashSet<(u64, u64)>,
    /// Nanoseconds since 1970: when the look at what is mapped began.
    pub since_ns: i64,
    /// [`has_true_times`](crate::has_true_times) of the folder, or of the upper layer.
    pub true_times: bool,
    /// What cannot be captured is left out: somebody is changing the folder, and this is to prepare for the capture that
    /// counts.
    pub tolerant: bool,
    /// False to stop.
    pub go_on: &'a dyn Fn() -> bool,
}

/// Captures the folder `from` into `to`, which must not exist. Names in messages begin with `name`. Checksums of what was
/// copied are still 0.
///
/// # Errors
/// `Refused` for what cannot be captured; `Io`; `Cancelled`. What was made of `to` stays.
pub fn capture(from: &Path, name: &Path, to: &Path, circumstances: &Circumstances) -> Result<TreeV1> {
    let folder = open_folder(from).doing("open", name)?;
    let mut walk = Walk { name, to, circumstances, entries: Vec::new(), names: HashMap::new() };
    let top = circumstances.layers.map(Layers::top);
    let meta = folder.metadata().doing("examine", name)?;
    walk.folder(&folder, Vec::new(), &meta, top.as_ref())?;
    Ok(TreeV1 { entries: walk.entries })
}

struct Walk<'a> {
    name: &'a Path,
    to: &'a Path,
    circumstances: &'a Circumstances<'a>,
    entries: Vec<EntryV1>,
    /// Entries that have other names, by device and inode.
    names: HashMap<(u64, u64), u32>,
}

/// Something in a folder that is held open, so that nobody can lead us elsewhere by putting a link in its place.
struct Here<'a> {
    /// Through the folder's descriptor.
    place: PathBuf,
    /// Below the captured folder.
    path: Vec<u8>,
    name: &'a [u8],
    /// What its folder is made of.
    position: Option<&'a Position>,
}

/// Without leaving a trace in its access time, where that may be.
fn open_folder(path: &Path) -> io::Result<File> {
    let with = |flags| OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | flags).open(path);
    with(libc::O_NOATIME | libc::O_NOFOLLOW).or_else(|_| with(libc::O_NOFOLLOW))
}

fn open_file(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let with = |flags| OpenOptions::new().read(true).custom_flags(flags).open(path);
    with(flags | libc::O_NOATIME).or_else(|_| with(flags))
}

impl Walk<'_> {
    fn folder(&mut self, open: &File, path: Vec<u8>, meta: &Metadata, at: Option<&Position>) -> Result<()> {
        let name = below(self.name, &path);
        let through = PathBuf::from(format!("/proc/thread-self/fd/{}", open.as_raw_fd()));
        let attributes = attributes::read(&through.join("."), &name)?;
        let entry = entry(path.clone(), BodyV1::Folder, meta, attributes);
        let made = entry.below(self.to);
        DirBuilder::new().mode(0o700).create(&made).doing("make", &made)?;
        self.enter(entry.clone())?;
        for found in fs::read_dir(&through).doing("list", &name)? {
            let found = found.doing("list", &name)?.file_name();
            let inner = if path.is_empty() { Vec::new() } else { [&path[..], b"/"].concat() };
            let here = Here {
                place: through.join(&found),
                path: [&inner, found.as_bytes()].concat(),
                name: found.as_bytes(),
                position: at,
            };
            match self.item(&here) {
                Err(error) if self.circumstances.tolerant && is_passing(&error) => {}
                done => done?,
            }
        }
        put(&entry, &made, &name)
    }

    fn item(&mut self, here: &Here) -> Result<()> {
        if !(self.circumstances.go_on)() {
            return Err(Error::Cancelled);
        }
        let name = below(self.name, &here.path);
        let meta = fs::symlink_metadata(&here.place).doing("examine", &name)?;
        if meta.is_dir() {
            let folder = open_folder(&here.place).doing("open", &name)?;
            let meta = folder.metadata().doing("examine", &name)?;
            let layers = self.circumstances.layers.zip(here.position);
            let position = layers.map(|(layers, parent)| layers.folder(parent, here.name));
            return self.folder(&folder, here.path.clone(), &meta, position.as_ref());
        }
        // Those that live are bound anew; others would be of no use.
        if meta.file_type().is_socket() {
            return Ok(());
        }
        if let Some(entry) = self.known_name(&meta) {
            let first = self.entries[entry as usize].below(self.to);
            let to = below(self.to, &here.path);
            fs::hard_link(&first, &to).doing("make", &to)?;
            return self.enter(self::entry(here.path.clone(), BodyV1::Same { entry }, &meta, Vec::new()));
        }
        let captured = self.node(here, &meta, &name)?;
        if meta.nlink() > 1 {
            self.names.insert((meta.dev(), meta.ino()), self.entries.len() as u32);
        }
        self.enter(captured)
    }

    fn known_name(&self, meta: &Metadata) -> Option<u32> {
        (meta.nlink() > 1).then(|| self.names.get(&(meta.dev(), meta.ino())).copied()).flatten()
    }

    fn enter(&mut self, entry: EntryV1) -> Result<()> {
        if self.entries.len() >= MOST_ENTRIES {
            return Err(Error::refused(self.name, "it holds more than two million files"));
        }
        self.entries.push(entry);
        Ok(())
    }

    fn node(&self, here: &Here, meta: &Metadata, name: &Path) -> Result<EntryV1> {
        let to = below(self.to, &here.path);
        let kind = meta.file_type();
        if kind.is_file() {
            return self.file(here, meta, name, &to);
        }
        let attributes = attributes::read(&here.place, name)?;
        let body = if kind.is_symlink() {
            let target = fs::read_link(&here.place).doing("read", name)?;
            symlink(&target, &to).doing("make", &to)?;
            BodyV1::Link { target: ByteBuf::from(target.into_os_string().into_encoded_bytes()) }
        } else if kind.is_fifo() {
            sys::files::make_fifo(&to, 0o600).doing("make", &to)?;
            BodyV1::Fifo
        } else {
            let block = kind.is_block_device();
            let node = 0o600 | if block { libc::S_IFBLK } else { libc::S_IFCHR };
            sys::paths::make_node(&to, node, meta.rdev()).doing("make a copy of the device", name)?;
            BodyV1::Device { block, number: meta.rdev() }
        };
        let entry = entry(here.path.clone(), body, meta, attributes);
        put(&entry, &to, name)?;
        Ok(entry)
    }

    fn file(&self, here: &Here, meta: &Metadata, name: &Path, to: &Path) -> Result<EntryV1> {
        let layers = self.circumstances.layers.zip(here.position);
        let real = layers.map_or(Real::Unknown, |(layers, folder)| layers.file(folder, here.name));
        let is_mapped = self.circumstances.mapped.contains(&(meta.dev(), meta.ino()));
        let again = |entry: &EntryV1| EntryV1 { path: ByteBuf::from(here.path.clone()), ..entry.clone() };
        let (place, real_meta) = match real {
            Real::Captured(entry, path) if is_same(entry, meta) && fs::hard_link(&path, to).is_ok() => {
                return Ok(again(entry));
            }
            Real::Changed(path) => {
                let meta = fs::symlink_metadata(&path).doing("examine", name)?;
                (path, meta)
            }
            _ => (here.place.clone(), meta.clone()),
        };
        let known = self.circumstances.known.find(&real_meta).filter(|_| !is_mapped);
        if let Some((entry, _)) = known.filter(|(_, path)| fs::hard_link(path, to).is_ok()) {
            return Ok(again(entry));
        }
        let source = open_file(&place).doing("open", name)?;
        let found = source.metadata().doing("examine", name)?;
        if !found.is_file() {
            return Err(Error::refused(name, "it was replaced meanwhile"));
        }
        let attributes = attributes::read(&here.place, name)?;
        let target = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(to);
        content::copy(&source, &target.doing("make", to)?, found.len()).doing("copy", name)?;
        let origin = origin_of(&found);
        let is_settled = origin.changed_ns < self.circumstances.since_ns - SETTLING_NS;
        let origin = (is_settled && !is_mapped && self.circumstances.true_times).then_some(origin);
        let body = BodyV1::File { size: found.len(), checksum: 0, origin };
        let entry = entry(here.path.clone(), body, meta, attributes);
        put(&entry, to, name)?;
        Ok(entry)
    }
}

/// Makes a captured file what it was. Only the privileged can give a file to others.
fn put(entry: &EntryV1, to: &Path, name: &Path) -> Result<()> {
    match attributes::put(entry, entry.mode_in_capture(), to) {
        Err(Error::Io { doing: attributes::SET_OWNER, source, .. })
            if source.raw_os_error() == Some(libc::EPERM) =>
        {
            Err(Error::refused(name, "it belongs to another user or group; run stasis as root"))
        }
        done => done,
    }
}

/// Whether a file of an overlay is its lower layer's, as it was captured.
fn is_same(entry: &EntryV1, meta: &Metadata) -> bool {
    let BodyV1::File { size, .. } = entry.body else { return false };
    size == meta.len()
        && (entry.mode, entry.uid, entry.gid) == (meta.mode() & 0o7777, meta.uid(), meta.gid())
        && entry.modified_ns == modified_ns(meta)
}

fn entry(path: Vec<u8>, body: BodyV1, meta: &Metadata, attributes: Vec<crate::tree::AttributeV1>) -> EntryV1 {
    EntryV1 {
        path: ByteBuf::from(path),
        body,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        accessed_ns: accessed_ns(meta),
        modified_ns: modified_ns(meta),
        attributes,
    }
}

/// Whether an error may be due to somebody who changes the folder.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Io { source, .. } => {
            !matches!(source.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EROFS | libc::EIO))
        }
        Error::Refused { .. } => true,
        Error::Damaged { .. } | Error::Cancelled => false,
    }
}
