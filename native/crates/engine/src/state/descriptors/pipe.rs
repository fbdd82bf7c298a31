//! Pipes and FIFOs with the bytes that are queued in them (pipe(7), fifo(7)).

use super::external::{self, ExternalV1, Holders};
use super::{DescriptionV1, Found};
use crate::collection::Collection;
use crate::explain::{Explain, Result, refused};
use crate::ids::DescriptionId;
use crate::rebuild::Rebuild;
use crate::state::filesystem::FileRefV1;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PipeEndV1 {
    /// Number of the pipe among those of the snapshot.
    pub pipe: u32,
}

/// A pipe, whatever descriptions refer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PipeV1 {
    pub id: u32,
    /// Capacity in bytes (`F_GETPIPE_SZ`).
    pub capacity: u32,
    pub queued: ByteBuf,
    /// The queue holds packets (`O_DIRECT`): their lengths.
    pub packets: Vec<u32>,
    /// A FIFO has a name.
    pub fifo: Option<FileRefV1>,
}

#[derive(Default)]
pub struct Collector {
    by_inode: BTreeMap<(u64, u64), u32>,
    pub pipes: Vec<PipeV1>,
    ends: Vec<End>,
}

/// A description of a pipe without a name.
struct End {
    pid: i32,
    fd: i32,
    name: String,
    inode: u64,
    mode: i32,
    description: DescriptionId,
}

impl Collector {
    /// Finds the pipes that lead outside, once all processes were collected: their descriptions are replaced when they
    /// stand at standard streams (`stands` tells the numbers), and refused otherwise. A pipe one side of which nobody
    /// has open is simply that.
    pub fn finish(
        &mut self,
        chain: &HashSet<i32>,
        roots: &[i32],
        stands: &HashMap<DescriptionId, Vec<i32>>,
    ) -> Result<HashMap<DescriptionId, ExternalV1>> {
        let has = |inode: u64, wanted: [i32; 2]| {
            self.ends.iter().any(|end| end.inode == inode && wanted.contains(&end.mode))
        };
        let inodes: HashSet<u64> = self.ends.iter().map(|end| end.inode).collect();
        let is_whole = |inode: u64| {
            has(inode, [libc::O_RDONLY, libc::O_RDWR]) && has(inode, [libc::O_WRONLY, libc::O_RDWR])
        };
        let (whole, halves): (HashSet<u64>, HashSet<u64>) =
            inodes.into_iter().partition(|inode| is_whole(*inode));
        let mut holders = HashMap::new();
        if !whole.is_empty() {
            // Only who bore the application can have a pipe that it uses among itself, too.
            let above = roots.iter().flat_map(|root| external::ancestors(*root)).collect();
            holders.extend(external::holders(&whole, chain, Some(&above)));
        }
        if !halves.is_empty() {
            holders.extend(external::holders(&halves, chain, None));
        }
        let mut externals = HashMap::new();
        for end in &self.ends {
            let other = holders
                .get(&end.inode)
                .and_then(|found| other_end(found, end.mode, whole.contains(&end.inode)));
            if let Some(other) = other {
                externals.insert(end.description, end.replaced(other, stands)?);
            }
        }
        Ok(externals)
    }
}

/// The process outside that makes this end part of something shared with the outside.
fn other_end(holders: &Holders, mode: i32, whole: bool) -> Option<i32> {
    match mode {
        _ if whole => holders.reader.or(holders.writer),
        libc::O_RDONLY => holders.writer,
        libc::O_WRONLY => holders.reader,
        _ => None,
    }
}

impl End {
    fn replaced(&self, other: i32, stands: &HashMap<DescriptionId, Vec<i32>>) -> Result<ExternalV1> {
        let lowest = stands.get(&self.description).and_then(|fds| fds.iter().min().copied());
        match lowest.and_then(|fd| u32::try_from(fd).ok()).filter(|stream| *stream < 3) {
            Some(stream) => Ok(ExternalV1 { stream, name: self.name.clone() }),
            None => Err(refused(
                self.pid,
                &format!("descriptor {} ({})", self.fd, self.name),
                &format!(
                    "the pipe's other end is held by process {other}, which is not part of the application, and it is not \
                     the application's standard input or output"
                ),
            )),
        }
    }
}

pub fn collect(found: &Found, description: DescriptionId, collection: &mut Collection) -> Result<PipeEndV1> {
    let inode = (found.meta.dev(), found.meta.ino());
    if found.link.starts_with(b"pipe:") {
        collection.pipes.ends.push(End {
            pid: found.pid,
            fd: found.fd,
            name: found.name(),
            inode: found.meta.ino(),
            mode: found.flags & libc::O_ACCMODE,
            description,
        });
    }
    if let Some(&pipe) = collection.pipes.by_inode.get(&inode) {
        return Ok(PipeEndV1 { pipe });
    }
    let id = collection.pipes.pipes.len() as u32;
    collection.pipes.by_inode.insert(inode, id);
    let what = || format!("Could not read pipe {} of process {}", found.name(), found.pid);
    let capacity = sys::files::pipe_capacity(found.file.as_fd()).explain(what)?;
    let contents = read_queue(found, capacity).explain(what)?;
    let fifo = if found.link.starts_with(b"pipe:") { None } else { Some(fifo(found, collection)?) };
    collection.pipes.pipes.push(PipeV1 {
        id,
        capacity,
        queued: ByteBuf::from(contents.concat()),
        packets: packets(found, &contents),
        fifo,
    });
    Ok(PipeEndV1 { pipe: id })
}

fn fifo(found: &Found, collection: &mut Collection) -> Result<FileRefV1> {
    let through = format!("/proc/{}/fd/{}", found.pid, found.fd);
    FileRefV1::find(found.pid, &found.link, &found.meta, through.as_ref(), collection)
}

/// Copies what is queued without taking it: tee(2) into a pipe of our own, then read from that. The reading end is
/// opened anew through /proc, since the one at hand may be the writing end. A pipe that another user made cannot be
/// opened; the end at hand has to do.
fn read_queue(found: &Found, capacity: u32) -> sys::Result<Vec<Vec<u8>>> {
    if sys::files::readable_bytes(found.file.as_fd())? == 0 {
        return Ok(Vec::new());
    }
    let reader = match sys::files::reopen(found.file.as_fd(), libc::O_RDONLY | libc::O_NONBLOCK) {
        Err(sys::Errno::EACCES) if found.flags & libc::O_ACCMODE != libc::O_WRONLY => {
            found.file.try_clone()?.into()
        }
        reader => reader?,
    };
    let (copy_reader, copy_writer) = sys::files::pipe(libc::O_NONBLOCK | (found.flags & libc::O_DIRECT))?;
    sys::files::set_pipe_capacity(copy_writer.as_fd(), capacity)?;
    sys::files::tee(reader.as_fd(), copy_writer.as_fd(), capacity as usize)?;
    drop(copy_writer);
    let mut pieces = Vec::new();
    loop {
        let piece = sys::files::read(copy_reader.as_fd(), 65536)?;
        if piece.is_empty() {
            return Ok(pieces);
        }
        pieces.push(piece);
    }
}

fn packets(found: &Found, pieces: &[Vec<u8>]) -> Vec<u32> {
    let is_packets = found.flags & libc::O_DIRECT != 0 && found.link.starts_with(b"pipe:");
    if is_packets { pieces.iter().map(|piece| piece.len() as u32).collect() } else { Vec::new() }
}

pub fn apply(ends: Vec<(&DescriptionV1, &PipeEndV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for pipe in rebuild.image.pipes.clone() {
        let mine = ends.iter().filter(|(_, end)| end.pipe == pipe.id).map(|(description, _)| *description);
        let mine: Vec<_> = mine.collect();
        // A pipe that led outside has none.
        if !mine.is_empty() {
            restore_pipe(&pipe, mine, rebuild)?;
        }
    }
    Ok(())
}

fn restore_pipe(pipe: &PipeV1, ends: Vec<&DescriptionV1>, rebuild: &mut Rebuild) -> Result<()> {
    let what = || format!("Could not restore pipe {}", pipe.id);
    // Both ways at once, so that no open below waits for another end.
    let (both, other): (OwnedFd, Option<OwnedFd>) = match &pipe.fifo {
        Some(file) => (rebuild.open(file, libc::O_RDWR | libc::O_NONBLOCK)?, None),
        None => sys::files::pipe(libc::O_NONBLOCK).map(|(r, w)| (w, Some(r))).explain(what)?,
    };
    sys::files::set_pipe_capacity(both.as_fd(), pipe.capacity).explain(what)?;
    let mut rest = pipe.queued.as_slice();
    for &length in &pipe.packets {
        let (packet, tail) =
            rest.split_at_checked(length as usize).ok_or(sys::Errno::EINVAL).explain(what)?;
        sys::files::set_status_flags(both.as_fd(), libc::O_DIRECT | libc::O_NONBLOCK).explain(what)?;
        sys::files::write_all(both.as_fd(), packet).explain(what)?;
        rest = tail;
    }
    sys::files::write_all(both.as_fd(), rest).explain(what)?;
    for end in ends {
        let flags = end.flags & (libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK | libc::O_DIRECT);
        let file = match first_description(end.flags, &both, other.as_ref()) {
            Some(original) => original.try_clone().explain(what)?,
            // Nonblocking for the open alone: a FIFO's blocking open would wait.
            None => sys::files::reopen(both.as_fd(), flags | libc::O_NONBLOCK).explain(what)?,
        };
        sys::files::set_status_flags(file.as_fd(), flags).explain(what)?;
        rebuild.descriptions.insert(end.id, file);
    }
    Ok(())
}

/// The descriptions that pipe(2) itself makes differ from those of open(2): they lack O_LARGEFILE.
fn first_description<'a>(
    flags: i32,
    writer: &'a OwnedFd,
    reader: Option<&'a OwnedFd>,
) -> Option<&'a OwnedFd> {
    let reader = reader?;
    match flags & (libc::O_ACCMODE | KERNEL_LARGEFILE) {
        libc::O_RDONLY => Some(reader),
        libc::O_WRONLY => Some(writer),
        _ => None,
    }
}

/// O_LARGEFILE as the kernel has it; for libc it is 0 on 64-bit machines.
const KERNEL_LARGEFILE: i32 = 0o100_000;
