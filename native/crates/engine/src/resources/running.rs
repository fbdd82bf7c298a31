//! A running application: its processes as the host sees them, and the way to the rest.

use crate::explain::{Explain, Result};
use crate::procfs::Status;
use crate::sockets::namespace_of;
use crate::state::translation::{self, TranslationV1};
use abi::edits::Port;
use abi::network::Published;
use abi::request::Home;
use abi::wire::IDS;
use capsule::{Aid, Capsule, Hosted, IpcList, processes_of};
use std::fs::{File, FileType};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub struct Running {
    capsule: Capsule,
    pub hosted: Hosted,
    pub processes: Vec<Process>,
    /// Where the application's PID namespace stands among those that the host shows: the column of `NSpid`.
    column: usize,
}

/// A process at the moment when the list was made.
pub struct Process {
    pub pid: i32,
    pub status: Status,
}

impl Running {
    pub fn find(home: &Home, aid: &Aid) -> Result<Self> {
        let mut capsule = capsule::find(home, aid)?;
        let hosted = capsule.hosted()?;
        let helper = Status::read(&hosted.init.to_string())
            .explain(|| format!("Could not examine process {}", hosted.init))?;
        let column = helper.numbers::<i32>("NSpid").len().saturating_sub(1);
        // What has ended meanwhile is not there.
        let process = |pid: i32| Some(Process { pid, status: Status::read(&pid.to_string()).ok()? });
        let processes = processes_of(hosted.init).into_iter().filter_map(process).collect();
        Ok(Self { capsule, hosted, processes, column })
    }

    /// An id of a process or thread as the application has it and as the host has it; `key` is `NSpid`, `NSpgid` or
    /// `NSsid`. None for a group or session from outside.
    pub fn both(&self, status: &Status, key: &str) -> Option<(i32, i32)> {
        let numbers = status.numbers::<i32>(key);
        let inner = numbers.get(self.column).copied().filter(|inner| *inner > 0)?;
        Some((inner, numbers[0]))
    }

    /// Inode of the network namespace that it has for itself, if it has one.
    pub fn own_network(&self) -> Result<Option<u64>> {
        let own = self.capsule.network();
        own.map(|_| namespace_of(&self.hosted.init.to_string())).transpose()
    }

    /// A path of the application as this command reaches it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.hosted.init))
    }

    /// Ports that are others on the host than the application was told once.
    pub fn moved_ports(&self) -> &[Port] {
        &self.capsule.lasting().ports
    }

    /// Ports of the host that lead to it.
    pub fn published(&self) -> Vec<Published> {
        let links = self.capsule.network().into_iter().flat_map(|own| &own.links);
        links.flat_map(|link| link.published.iter().copied()).collect()
    }

    /// The text of a list of its IPC namespace; empty on a kernel without such objects.
    pub fn ipc(&mut self, list: IpcList) -> Result<String> {
        let mut text = String::new();
        if let Some(list) = self.capsule.open_ipc(list)? {
            let what = || "Could not read the list of the application's IPC objects".to_owned();
            File::from(list).read_to_string(&mut text).explain(what)?;
        }
        Ok(text)
    }

    /// Its virtual System V ids, where they are translated.
    pub fn translation(&mut self) -> Result<Option<TranslationV1>> {
        let Some(interposition) = self.capsule.interposition() else { return Ok(None) };
        let Some(table) = self.capsule.take(IDS)? else { return Ok(None) };
        translation::collect(&translation::Source::new(interposition, table)?).map(Some)
    }

    /// The names of its POSIX message queues, with the users who own them.
    pub fn posix_queues(&mut self) -> Result<Vec<(String, u32)>> {
        let Some(folder) = self.capsule.open_ipc(IpcList::PosixQueues)? else { return Ok(Vec::new()) };
        let path = PathBuf::from(format!("/proc/thread-self/fd/{}", folder.as_raw_fd()));
        files_in(&path, FileType::is_file)
            .explain(|| "Could not list the application's POSIX message queues".to_owned())
    }
}

/// Names of the files of a type in a folder, with their owners.
pub fn files_in(folder: &Path, wanted: fn(&FileType) -> bool) -> std::io::Result<Vec<(String, u32)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // One that was removed meanwhile is not there.
        let Ok(meta) = entry.metadata() else { continue };
        if wanted(&meta.file_type()) {
            files.push((entry.file_name().to_string_lossy().into_owned(), meta.uid()));
        }
    }
    Ok(files)
}
