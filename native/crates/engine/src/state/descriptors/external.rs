//! Standard streams whose other end is not of the chain: whoever restores the application takes its place.

use super::DescriptionV1;
use crate::explain::{Explain, Result};
use crate::procfs;
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

/// A description that stood at descriptor 0, 1 or 2 and led outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExternalV1 {
    /// The lowest of 0, 1 and 2 at which it stood.
    pub stream: u32,
    /// What it was, for people.
    pub name: String,
}

/// What stands in for streams that led outside: standard input, output and error of the restored application.
pub struct Streams {
    streams: [File; 3],
}

impl Streams {
    /// The command's own.
    pub fn own() -> Result<Self> {
        let what = || "Could not pass on the standard streams".to_owned();
        let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
        let copy = |fd: std::os::fd::BorrowedFd| fd.try_clone_to_owned().map(File::from).explain(what);
        Ok(Self { streams: [copy(input.as_fd())?, copy(output.as_fd())?, copy(error.as_fd())?] })
    }

    /// Nothing to read; what is written goes to `log`, or nowhere.
    pub fn detached(log: Option<File>) -> Result<Self> {
        let what = || "Could not open /dev/null".to_owned();
        let null = || File::options().read(true).write(true).open("/dev/null").explain(what);
        let output = log.map_or_else(null, Ok)?;
        let error = output.try_clone().explain(what)?;
        Ok(Self { streams: [null()?, output, error] })
    }

    /// Those of another process.
    pub fn copies(of: &[OwnedFd; 3]) -> io::Result<Self> {
        let copy = |at: usize| of[at].try_clone().map(File::from);
        Ok(Self { streams: [copy(0)?, copy(1)?, copy(2)?] })
    }

    /// All three lead to one terminal.
    pub fn terminal(slave: &OwnedFd) -> io::Result<Self> {
        let copy = || slave.try_clone().map(File::from);
        Ok(Self { streams: [copy()?, copy()?, copy()?] })
    }

    /// A duplicate of stream 0, 1 or 2.
    pub fn get(&self, stream: u32) -> io::Result<OwnedFd> {
        self.streams[stream.min(2) as usize].as_fd().try_clone_to_owned()
    }

    pub fn raw(&self, stream: u32) -> RawFd {
        self.streams[stream.min(2) as usize].as_raw_fd()
    }

    /// The stream that can do what a description was open for.
    pub fn for_mode(&self, flags: i32) -> io::Result<OwnedFd> {
        self.get(if flags & libc::O_ACCMODE == libc::O_RDONLY { 0 } else { 2 })
    }
}

pub fn apply(externals: Vec<(&DescriptionV1, &ExternalV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, external) in externals {
        let file = rebuild
            .streams
            .get(external.stream)
            .explain(|| format!("Could not replace {}", external.name))?;
        rebuild.descriptions.insert(description.id, file);
    }
    Ok(())
}

/// A process outside that has a pipe of the application's open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holders {
    pub reader: Option<i32>,
    pub writer: Option<i32>,
}

/// Looks who outside of the chain has any of `pipes` (their inodes) open: among all processes, or only `among`.
/// What may not be examined is passed over, for it belongs to another user.
pub fn holders(
    pipes: &HashSet<u64>,
    chain: &HashSet<i32>,
    among: Option<&HashSet<i32>>,
) -> HashMap<u64, Holders> {
    let own = std::process::id() as i32;
    let mut found: HashMap<u64, Holders> = HashMap::new();
    let processes = procfs::numbers_in("/proc").unwrap_or_default().into_iter();
    let outside =
        |pid: &i32| *pid != own && !chain.contains(pid) && among.is_none_or(|among| among.contains(pid));
    for pid in processes.filter(outside) {
        for fd in procfs::descriptors(pid).unwrap_or_default() {
            let Some(inode) = pipe_inode(pid, fd).filter(|inode| pipes.contains(inode)) else { continue };
            let Ok(info) = procfs::FdInfo::read(pid, fd) else { continue };
            let mode = info.octal("flags").unwrap_or(0) as i32 & libc::O_ACCMODE;
            let holders = found.entry(inode).or_default();
            if mode != libc::O_WRONLY {
                holders.reader.get_or_insert(pid);
            }
            if mode != libc::O_RDONLY {
                holders.writer.get_or_insert(pid);
            }
        }
    }
    found
}

fn pipe_inode(pid: i32, fd: i32) -> Option<u64> {
    let link = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    link.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()
}

/// The processes above `pid`, up to the first.
pub fn ancestors(pid: i32) -> HashSet<i32> {
    let mut all = HashSet::new();
    let mut next = pid;
    while let Ok(stat) = procfs::stat(&next.to_string()) {
        if stat.ppid == 0 || !all.insert(stat.ppid) {
            break;
        }
        next = stat.ppid;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_pipe_held_by_a_child_outside_is_found_with_its_side() {
        let (_reader, writer) = io::pipe().expect("a pipe");
        let writer: OwnedFd = writer.into();
        let inode = File::from(writer.try_clone().expect("a copy")).metadata().expect("an inode").ino();
        let mut child =
            std::process::Command::new("sleep").arg("60").stdout(writer).spawn().expect("a child");
        let found = holders(&HashSet::from([inode]), &HashSet::new(), None);
        let mine = found.get(&inode).copied().unwrap_or_default();
        child.kill().expect("ended");
        child.wait().expect("reaped");
        assert_eq!((mine.reader, mine.writer), (None, Some(child.id() as i32)));
    }
}
