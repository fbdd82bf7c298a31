//! Files, folders and devices that are opened by path: offset, flags, append mode, files that lost their name.

use super::{DescriptionV1, Found};
use crate::chain::Chain;
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::rebuild::Rebuild;
use crate::state::filesystem::{self, FileRefV1};
use abi::{Code, Fault};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Flags that open(2) acts upon once, and that a restore must not repeat; and O_ASYNC, which open(2) does not act upon.
const ONCE: i32 = libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC | libc::O_NOCTTY | libc::O_ASYNC | TEMPORARY;
/// O_TMPFILE without the O_DIRECTORY that is part of it.
const TEMPORARY: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;

/// Devices without a state of their own: opening them again is restoring them.
const STATELESS_DEVICES: [(u32, u32); 6] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (1, 11)];

const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const NSFS_MAGIC: i64 = 0x6e73_6673;
const MQUEUE_MAGIC: i64 = 0x1980_0202;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegularV1 {
    pub file: FileRefV1,
    pub directory: bool,
    /// It is a file in the /proc folder of a process that had ended already.
    pub of_ended: Option<OriginalPid>,
    /// It is a file in /proc that is there only when all threads and descriptors are.
    #[serde(default)]
    pub late: bool,
}

pub fn collect(found: &Found, collection: &mut Collection) -> Result<RegularV1> {
    if found.meta.file_type().is_char_device() && found.flags & libc::O_PATH == 0 {
        let device = (sys::files::major(found.meta.rdev()), sys::files::minor(found.meta.rdev()));
        if !STATELESS_DEVICES.contains(&device) {
            return found.refuse("it is a device whose state stasis cannot read");
        }
    }
    collect_file(found, collection)
}

/// The same for a device that is known to keep its state whether or not anybody has it open.
pub fn collect_file(found: &Found, collection: &mut Collection) -> Result<RegularV1> {
    match filesystem::file_system(&found.file) {
        PROC_SUPER_MAGIC => return in_proc(found),
        NSFS_MAGIC => return namespace(found),
        MQUEUE_MAGIC => {
            return found.refuse("it is a POSIX message queue, whose messages cannot be read in place");
        }
        _ => {}
    }
    let through = format!("/proc/{}/fd/{}", found.pid, found.fd);
    let file = FileRefV1::find(found.pid, &found.link, &found.meta, through.as_ref(), collection)?;
    if file.ghost.is_some() && found.meta.is_symlink() {
        return found.refuse("it is a symbolic link that was deleted");
    }
    Ok(RegularV1 { file, directory: found.meta.is_dir(), of_ended: None, late: false })
}

/// A file of procfs: it comes back with the process that it tells of.
fn in_proc(found: &Found) -> Result<RegularV1> {
    let path = found.link.strip_suffix(b" (deleted)").unwrap_or(&found.link);
    let text = String::from_utf8_lossy(path).into_owned();
    let words: Vec<&str> = text.split('/').collect();
    let pid = words.get(2).and_then(|word| word.parse::<i32>().ok());
    // Below `fdinfo` and `task`, the number of a descriptor or thread follows.
    let of_one = words.get(4).is_some_and(|word| word.parse::<i32>().is_ok());
    let late = of_one && ["fdinfo", "task"].contains(&words[3]);
    if late && !std::path::Path::new(&format!("/proc/{}/root{text}", found.pid)).exists() {
        return found.refuse("it tells of a thread or descriptor that is gone");
    }
    let lives = |pid: i32| std::path::Path::new(&format!("/proc/{}/root/proc/{pid}", found.pid)).exists();
    Ok(RegularV1 {
        file: FileRefV1::new(path, &found.meta),
        directory: found.meta.is_dir(),
        of_ended: pid.filter(|pid| !lives(*pid)).map(OriginalPid),
        late,
    })
}

/// A namespace that the process itself is in, held open.
fn namespace(found: &Found) -> Result<RegularV1> {
    let name = found.name();
    let kind = name.split(':').next().unwrap_or_default();
    let own = std::fs::read_link(format!("/proc/{}/ns/{kind}", found.pid));
    if !own.is_ok_and(|own| own.to_string_lossy() == name) {
        return found.refuse("it is a namespace that the process is not in");
    }
    let status = crate::procfs::Status::read(&found.pid.to_string())
        .explain(|| format!("Could not read the state of process {}", found.pid))?;
    let path = format!("/proc/{}/ns/{kind}", status.innermost("NSpid"));
    Ok(RegularV1 {
        file: FileRefV1::new(path.as_bytes(), &found.meta),
        directory: false,
        of_ended: None,
        late: false,
    })
}

/// Processes that have ended and that files of the chain tell of: they must be there while those are opened.
pub fn ended(chain: &Chain) -> BTreeSet<OriginalPid> {
    let of_ended = |description: &DescriptionV1| match &description.kind {
        super::KindV1::Regular(regular) => regular.of_ended,
        _ => None,
    };
    let known = |pid: &OriginalPid| chain.processes.iter().any(|process| process.pid == *pid);
    chain.descriptions.iter().filter_map(of_ended).filter(|pid| !known(pid)).collect()
}

pub fn apply(files: Vec<(&DescriptionV1, &RegularV1)>, rebuild: &mut Rebuild) -> Result<()> {
    files.into_iter().filter(|(_, regular)| !regular.late).try_for_each(|(description, regular)| {
        open(description, regular, rebuild)?;
        seek(&rebuild.descriptions[&description.id], description)
            .explain(|| format!("Could not restore {}", regular.file.path().display()))
    })
}

/// Opens a file at its beginning.
pub fn open(description: &DescriptionV1, regular: &RegularV1, rebuild: &mut Rebuild) -> Result<()> {
    let file = rebuild.open(&regular.file, opening_flags(description.flags, regular.directory))?;
    let what = || format!("Could not restore {}", regular.file.path().display());
    let meta = File::from(file.try_clone().explain(what)?).metadata().explain(what)?;
    let path = &regular.file.path;
    let is_renewed = rebuild.views.contain(path) || rebuild.names.are_at(path);
    compare(description, &regular.file, &meta, is_renewed, &mut rebuild.notes)?;
    rebuild.descriptions.insert(description.id, file);
    Ok(())
}

/// What to open a file with so that it gets the flags of a saved description.
pub fn opening_flags(saved: i32, directory: bool) -> i32 {
    let folder_only = if directory || saved & libc::O_PATH != 0 { 0 } else { libc::O_DIRECTORY };
    // A blocking open of a FIFO's or a terminal's node might wait.
    saved & !ONCE & !folder_only
}

/// Another kind of file cannot stand in for the saved one; another or shorter file of the same kind is worth a note.
fn compare(
    description: &DescriptionV1,
    saved: &FileRefV1,
    now: &Metadata,
    is_renewed: bool,
    notes: &mut Vec<String>,
) -> Result<()> {
    let name = saved.path().display();
    if (saved.mode ^ now.mode()) & libc::S_IFMT != 0 {
        return Err(Fault::new(Code::RestoreFailed, format!("Could not restore the open file {name}"))
            .because("it is of another type now")
            .hint("Put the old file back, or name a copy of it with --file OLD=NEW"));
    }
    let regular = now.mode() & libc::S_IFMT == libc::S_IFREG;
    if regular && now.len() < saved.size && now.len() < description.position {
        notes.push(format!(
            "{name} has shrunk to {} bytes; the application goes on at its byte {}",
            now.len(),
            description.position
        ));
    } else if regular
        && now.dev() == saved.device
        && now.ino() != saved.inode
        && saved.ghost.is_none()
        && !is_renewed
        && !saved.path.starts_with(b"/proc/")
    {
        notes.push(format!(
            "{name} was replaced by another file since the snapshot; the application uses the new one"
        ));
    }
    Ok(())
}

pub fn seek(file: &OwnedFd, description: &DescriptionV1) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom};
    if description.position == 0 || description.flags & libc::O_PATH != 0 {
        return Ok(());
    }
    let mut file = File::from(file.as_fd().try_clone_to_owned()?);
    file.seek(SeekFrom::Start(description.position)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_a_temporary_file_open_it_as_an_ordinary_one() {
        let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_APPEND | libc::O_ASYNC;
        assert_eq!(opening_flags(flags, false), libc::O_RDWR | libc::O_APPEND);
        assert_eq!(opening_flags(libc::O_DIRECTORY, true), libc::O_DIRECTORY);
        assert_eq!(opening_flags(libc::O_PATH | libc::O_DIRECTORY, false), libc::O_PATH | libc::O_DIRECTORY);
    }
}
