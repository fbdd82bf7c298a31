//! Descriptor tables, and the open file descriptions that several of them may share.
//!
//! Each kind of description has a file of its own with `collect` (one description, found behind a descriptor) and
//! `apply` (all descriptions of that kind, since the two ends of a pipe or socket belong together).

pub mod anonymous;
pub mod bpf_map;
pub mod epoll;
pub mod eventfd;
pub mod external;
pub mod fanotify;
pub mod inherited;
pub mod inotify;
pub mod late;
pub mod log;
pub mod memory_file;
pub mod network;
pub mod pidfd;
pub mod pipe;
pub mod regular;
pub mod signalfd;
pub mod terminal;
pub mod timerfd;
pub mod unix;
pub mod watched;

use crate::collection::Collection;
use crate::explain::{Explain, Result, refused};
use crate::freeze::FrozenTree;
use crate::ids::DescriptionId;
use crate::inquiry::Inquiry;
use crate::nursery::Nursery;
use crate::procfs::{self, FdInfo};
use crate::rebuild::Rebuild;
use crate::state::process::{BodyV1, LiveV1, ProcessV1};
use crate::state::{filesystem, locks};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use sys::process::{self, Kcmp};
use tracee::Stopped;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DescriptorV1 {
    pub fd: i32,
    pub description: DescriptionId,
    pub close_on_exec: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DescriptionV1 {
    pub id: DescriptionId,
    pub kind: KindV1,
    /// `F_GETFL`.
    pub flags: i32,
    /// File offset in bytes.
    pub position: u64,
    pub owner: Option<OwnerV1>,
}

/// Who gets SIGIO (`F_GETOWN_EX`, `F_GETSIG`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OwnerV1 {
    /// F_OWNER_TID (0), F_OWNER_PID (1), F_OWNER_PGRP (2).
    pub kind: i32,
    /// As the application knows it.
    pub pid: i32,
    pub signal: i32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum KindV1 {
    Log(log::LogV1),
    Regular(regular::RegularV1),
    Pipe(pipe::PipeEndV1),
    MemoryFile(memory_file::MemoryFileV1),
    Network(network::SocketV1),
    Eventfd(eventfd::EventfdV1),
    Epoll(epoll::EpollV1),
    Timerfd(timerfd::TimerfdV1),
    Signalfd(signalfd::SignalfdV1),
    Terminal(terminal::TerminalEndV1),
    /// Led outside of the chain.
    External(external::ExternalV1),
    Unix(unix::UnixV1),
    UnixNode(unix::UnixNodeV1),
    Inotify(inotify::InotifyV1),
    Fanotify(fanotify::FanotifyV1),
    BpfMap(bpf_map::BpfMapV1),
    Pidfd(pidfd::PidfdV1),
}

/// An open file description of the application, held in duplicate so that it can be examined.
pub struct Found {
    pub pid: i32,
    pub fd: i32,
    pub file: File,
    pub meta: Metadata,
    pub flags: i32,
    /// Target of /proc/PID/fd/FD.
    pub link: Vec<u8>,
    pub info: FdInfo,
}

impl Found {
    fn open(pid: i32, fd: i32, pidfd: &OwnedFd) -> Result<Self> {
        let what = || format!("Could not examine descriptor {fd} of process {pid}");
        let file = File::from(process::pidfd_getfd(pidfd, fd).explain(what)?);
        Ok(Self {
            meta: file.metadata().explain(what)?,
            flags: sys::files::status_flags(file.as_fd()).explain(what)?,
            link: filesystem::link(&format!("/proc/{pid}/fd/{fd}"))?,
            info: FdInfo::read(pid, fd).explain(what)?,
            pid,
            fd,
            file,
        })
    }

    fn likeness(&self) -> Likeness {
        (self.meta.dev(), self.meta.ino(), self.flags)
    }

    /// The link as text, for messages and for comparing with the kernel's own names.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.link).into_owned()
    }

    /// Refuses this description by name.
    pub fn refuse<T>(&self, why: &str) -> Result<T> {
        Err(refused(self.pid, &format!("descriptor {} ({})", self.fd, self.name()), why))
    }

    fn position(&self) -> u64 {
        self.info.number("pos").unwrap_or(0)
    }

    fn owner(&self) -> Result<Option<OwnerV1>> {
        let what = || format!("Could not read who owns descriptor {} of process {}", self.fd, self.pid);
        let (kind, pid) = sys::files::owner(self.file.as_fd()).explain(what)?;
        let signal = sys::files::owner_signal(self.file.as_fd()).explain(what)?;
        if pid == 0 && signal == 0 {
            return Ok(None);
        }
        let key = if kind == 2 { "NSpgid" } else { "NSpid" };
        let status = procfs::Status::read(&pid.to_string()).unwrap_or_default();
        Ok(Some(OwnerV1 { kind, pid: if pid == 0 { 0 } else { status.innermost(key) }, signal }))
    }
}

/// What descriptors of one description have in common: device, inode, status flags.
type Likeness = (u64, u64, i32);

/// Which descriptions were met already, so that a shared one is captured once.
#[derive(Default)]
pub struct Registry {
    /// What every descriptor (process, number) refers to.
    pub numbers: HashMap<(i32, i32), DescriptionId>,
    /// In the order of kcmp(2).
    alike: HashMap<Likeness, Vec<(i32, i32, DescriptionId)>>,
    entered: u32,
    pub descriptions: Vec<DescriptionV1>,
}

impl Registry {
    /// The description that `found` is, if it was met before: compared by kcmp(2) among those that look alike.
    fn known(&self, found: &Found) -> Result<Option<DescriptionId>> {
        let met = self.alike.get(&found.likeness()).map_or(&[][..], Vec::as_slice);
        Ok(Self::search(met, found)?.ok().map(|at| met[at].2))
    }

    /// Where `found` is among `met`, else where it belongs. An application may have thousands of one kind.
    fn search(met: &[(i32, i32, DescriptionId)], found: &Found) -> Result<std::result::Result<usize, usize>> {
        let (mut low, mut high) = (0, met.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let (pid, fd, _) = met[middle];
            let order = process::kcmp(pid, found.pid, Kcmp::File, fd as u64, found.fd as u64)
                .explain(|| "Could not compare descriptors".to_owned())?;
            match order {
                Ordering::Equal => return Ok(Ok(middle)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(Err(low))
    }

    /// Descriptors (process, number) that may refer to the file of this device and inode: one for each description.
    pub fn of_inode(&self, device: u64, inode: u64) -> impl Iterator<Item = (i32, i32, DescriptionId)> {
        let alike = self.alike.iter().filter(move |((dev, ino, _), _)| (*dev, *ino) == (device, inode));
        alike.flat_map(|(_, met)| met.iter().copied())
    }

    fn enter(&mut self, found: &Found) -> Result<DescriptionId> {
        let id = DescriptionId(self.entered);
        let met = self.alike.entry(found.likeness()).or_default();
        let at = Self::search(met, found)?.unwrap_or_else(|at| at);
        met.insert(at, (found.pid, found.fd, id));
        self.entered += 1;
        Ok(id)
    }
}

/// Asks which descriptors are really close-on-exec where /proc does not tell: a slave that was opened with
/// ioctl(TIOCGPTPEER) keeps O_CLOEXEC among its own flags, so that every duplicate of it looks like that.
pub fn ask(pid: i32, inquiry: &mut Inquiry, collection: &mut Collection) -> Result<()> {
    let what = || format!("Could not list the descriptors of process {pid}");
    for fd in procfs::descriptors(pid).explain(what)? {
        let is_slave =
            std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).is_ok_and(|link| link.starts_with("/dev/pts"));
        let looks = FdInfo::read(pid, fd)
            .is_ok_and(|info| info.octal("flags").unwrap_or(0) & libc::O_CLOEXEC as u64 != 0);
        if is_slave
            && looks
            && inquiry.raw("fcntl", libc::SYS_fcntl, &[fd as u64, libc::F_GETFD as u64])? == 0
        {
            collection.inheritable.insert((pid, fd));
        }
    }
    Ok(())
}

/// Captures the descriptor table of one process.
pub fn collect(pid: i32, collection: &mut Collection) -> Result<Vec<DescriptorV1>> {
    let what = || format!("Could not list the descriptors of process {pid}");
    let pidfd = process::pidfd_open(pid).explain(what)?;
    let mut table = Vec::new();
    for fd in procfs::descriptors(pid).explain(what)? {
        let found = Found::open(pid, fd, &pidfd)?;
        let close_on_exec = found.info.octal("flags").unwrap_or(0) & libc::O_CLOEXEC as u64 != 0
            && !collection.inheritable.contains(&(pid, fd));
        let (flags, link, locks) = (found.flags, found.link.clone(), locks::lines(&found.info));
        let description = match collection.registry.known(&found)? {
            Some(id) => id,
            None => collect_description(found, collection)?,
        };
        collection.registry.numbers.insert((pid, fd), description);
        collection.locks.enter((pid, fd), description, flags, &link, locks)?;
        table.push(DescriptorV1 { fd, description, close_on_exec });
    }
    Ok(table)
}

/// What can be told only when every process has been met.
pub fn complete(processes: &[ProcessV1], collection: &mut Collection) -> Result<()> {
    pidfd::complete(processes, collection)?;
    epoll::complete(collection)
}

/// Captures a description that was not met before, whether a descriptor or a message in flight refers to it.
pub fn collect_description(found: Found, collection: &mut Collection) -> Result<DescriptionId> {
    let id = collection.registry.enter(&found)?;
    let (flags, position, owner) = (found.flags, found.position(), found.owner()?);
    let kind = collect_kind(&found, id, collection)?;
    collection.registry.descriptions.push(DescriptionV1 { id, kind, flags, position, owner });
    Ok(id)
}

fn collect_kind(found: &Found, id: DescriptionId, collection: &mut Collection) -> Result<KindV1> {
    if let Some(name) = anonymous::name(found) {
        return anonymous::collect(name, found, id, collection);
    }
    let file_type = found.meta.file_type();
    if log::is_log(found, collection) {
        return Ok(KindV1::Log(log::LogV1 {}));
    }
    if unix::is_node(found) {
        return Ok(KindV1::UnixNode(unix::collect_node(found, collection)));
    }
    if found.flags & libc::O_PATH != 0 {
        return regular::collect(found, collection).map(KindV1::Regular);
    }
    if memory_file::is_memory_file(found) {
        return memory_file::collect(found, collection).map(KindV1::MemoryFile);
    }
    if file_type.is_fifo() {
        return pipe::collect(found, id, collection).map(KindV1::Pipe);
    }
    if file_type.is_socket() {
        return collect_socket(found, id, collection);
    }
    if terminal::is_terminal(found) {
        return terminal::collect(found, id, collection).map(KindV1::Terminal);
    }
    let by_path = file_type.is_file()
        || file_type.is_dir()
        || file_type.is_char_device()
        || file_type.is_block_device();
    if by_path {
        return regular::collect(found, collection).map(KindV1::Regular);
    }
    found.refuse("stasis does not capture this kind of descriptor yet")
}

/// What can be decided only when all processes were collected: which descriptions lead outside of the chain.
pub fn finish(tree: &FrozenTree, processes: &[ProcessV1], collection: &mut Collection) -> Result<()> {
    let mut stands: HashMap<DescriptionId, Vec<i32>> = HashMap::new();
    for process in processes {
        let BodyV1::Live(live) = &process.body else { continue };
        for descriptor in &live.descriptors {
            stands.entry(descriptor.description).or_default().push(descriptor.fd);
        }
    }
    let pids: HashSet<i32> = tree.processes.iter().map(|process| process.pid).collect();
    let roots: Vec<i32> =
        tree.processes.iter().filter(|root| !pids.contains(&root.parent)).map(|root| root.pid).collect();
    let mut externals = collection.pipes.finish(&pids, &roots, &stands)?;
    externals.extend(unix::finish(&stands, collection)?);
    let files = collection.terminals.finish(tree, processes, &stands)?;
    collection.notes.append(&mut collection.terminals.notes);
    let devices: HashMap<_, _> =
        files.into_iter().filter_map(|id| Some((id, terminal::as_file(id, collection)?))).collect();
    for description in &mut collection.registry.descriptions {
        if let Some(external) = externals.remove(&description.id) {
            description.kind = KindV1::External(external);
        } else if let Some(device) = devices.get(&description.id) {
            description.kind = KindV1::Regular(device.clone());
        }
    }
    Ok(())
}

fn collect_socket(found: &Found, id: DescriptionId, collection: &mut Collection) -> Result<KindV1> {
    let domain = sys::unix_sockets::number_option(found.file.as_fd(), libc::SO_DOMAIN)
        .explain(|| format!("Could not examine {} of process {}", found.name(), found.pid))?;
    match domain {
        libc::AF_UNIX => unix::collect(found, id, collection).map(KindV1::Unix),
        _ => network::collect(found, id, collection).map(KindV1::Network),
    }
}

/// The descriptions of one kind, with what is particular to it.
macro_rules! of_kind {
    ($descriptions:expr, $kind:path) => {
        $descriptions
            .iter()
            .filter_map(|description| match &description.kind {
                $kind(own) => Some((description, own)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
}

/// Makes every description once, in this command's own descriptor table. The processes exist, without memory yet.
pub fn apply(descriptions: &[DescriptionV1], nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    inherited::apply(descriptions, rebuild)?;
    log::apply(of_kind!(descriptions, KindV1::Log), rebuild)?;
    regular::apply(of_kind!(descriptions, KindV1::Regular), rebuild)?;
    memory_file::apply(of_kind!(descriptions, KindV1::MemoryFile), rebuild)?;
    pipe::apply(of_kind!(descriptions, KindV1::Pipe), rebuild)?;
    network::apply(of_kind!(descriptions, KindV1::Network), rebuild)?;
    unix::apply(nursery, rebuild)?;
    unix::apply_nodes(of_kind!(descriptions, KindV1::UnixNode), rebuild)?;
    eventfd::apply(of_kind!(descriptions, KindV1::Eventfd), rebuild)?;
    timerfd::apply(of_kind!(descriptions, KindV1::Timerfd), rebuild)?;
    signalfd::apply(of_kind!(descriptions, KindV1::Signalfd), rebuild)?;
    terminal::apply(of_kind!(descriptions, KindV1::Terminal), rebuild)?;
    external::apply(of_kind!(descriptions, KindV1::External), rebuild)?;
    inotify::apply(of_kind!(descriptions, KindV1::Inotify), rebuild)?;
    fanotify::apply(of_kind!(descriptions, KindV1::Fanotify), rebuild)?;
    bpf_map::apply(of_kind!(descriptions, KindV1::BpfMap), rebuild)?;
    pidfd::apply(of_kind!(descriptions, KindV1::Pidfd), rebuild)?;
    epoll::apply(of_kind!(descriptions, KindV1::Epoll), rebuild)?;
    apply_owners(descriptions, rebuild)
}

/// What can be done only when every process has its descriptors, in a process's own name: all leaders are stopped
/// between programs (`Program::run`), with memory and descriptors in place and all privileges still there.
pub fn settle(descriptions: &[DescriptionV1], nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    unix::settle(descriptions, rebuild)?;
    // Late, when all that they watch is as it was.
    epoll::fill(of_kind!(descriptions, KindV1::Epoll), descriptions, nursery, rebuild)?;
    timerfd::arm(of_kind!(descriptions, KindV1::Timerfd), rebuild)
}

/// What others outside the snapshot can notice. Nothing that may fail comes after it.
pub fn go_live(descriptions: &[DescriptionV1], rebuild: &mut Rebuild) -> Result<()> {
    network::go_live(of_kind!(descriptions, KindV1::Network), rebuild)
}

/// Has files watched again, when the restore itself touches none any more.
pub fn watch(descriptions: &[DescriptionV1], rebuild: &mut Rebuild) -> Result<()> {
    inotify::watch(of_kind!(descriptions, KindV1::Inotify), rebuild)?;
    fanotify::watch(of_kind!(descriptions, KindV1::Fanotify), rebuild)
}

/// SIGIO owners name processes, so they come when those exist.
fn apply_owners(descriptions: &[DescriptionV1], rebuild: &Rebuild) -> Result<()> {
    for description in descriptions.iter().filter(|known| !rebuild.inherited.contains(&known.id)) {
        let Some(file) = rebuild.descriptions.get(&description.id) else { continue };
        apply_owner(description, file, rebuild)?;
    }
    Ok(())
}

fn apply_owner(description: &DescriptionV1, file: &OwnedFd, rebuild: &Rebuild) -> Result<()> {
    let what = || format!("Could not restore who owns description {}", description.id.0);
    if let Some(owner) = &description.owner {
        if let Some(current) = rebuild.current(crate::ids::OriginalPid(owner.pid)) {
            sys::files::set_owner(file.as_fd(), owner.kind, current).explain(what)?;
        }
        if owner.signal != 0 {
            sys::files::set_owner_signal(file.as_fd(), owner.signal).explain(what)?;
        }
    }
    if description.flags & (libc::O_ASYNC | libc::O_PATH) == libc::O_ASYNC {
        // Only a change of the flag has the file registered for signals.
        let flags = sys::files::status_flags(file.as_fd()).explain(what)?;
        sys::files::set_status_flags(file.as_fd(), flags & !libc::O_ASYNC).explain(what)?;
        sys::files::set_status_flags(file.as_fd(), flags | libc::O_ASYNC).explain(what)?;
    }
    Ok(())
}

/// Gives a process its descriptors, under their numbers.
pub fn install(live: &LiveV1, thread: &Stopped, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    if live.shares_files {
        return Ok(());
    }
    let late = late::numbers(live, &rebuild.image.descriptions);
    let mut files = Vec::with_capacity(live.descriptors.len());
    for descriptor in live.descriptors.iter().filter(|descriptor| !late.contains(&descriptor.fd)) {
        let file =
            rebuild.descriptions.get(&descriptor.description).ok_or(sys::Errno::ENOENT).explain(|| {
                format!("Could not find what descriptor {} refers to in the snapshot", descriptor.fd)
            })?;
        let file = rebuild.stand_in(descriptor).unwrap_or(file.as_raw_fd());
        files.push((file, descriptor.fd, descriptor.close_on_exec));
    }
    nursery.delivery.install(thread, &nursery.hole.bench(), &files, late.is_empty())
}
