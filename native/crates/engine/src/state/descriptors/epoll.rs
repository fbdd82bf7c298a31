//! Sets of watched descriptors (epoll(7)).
//!
//! The kernel keeps a watch under a file and the number which that file had when it was added. The number may since
//! have been closed or belong to another file, so the file is found by comparing with every description of the chain.

use super::{DescriptionV1, Found, KindV1, Registry, anonymous};
use crate::collection::Collection;
use crate::explain::{Explain, Result, refused};
use crate::ids::DescriptionId;
use crate::nursery::Nursery;
use crate::procfs;
use crate::program::Program;
use crate::rebuild::Rebuild;
use crate::state::process::BodyV1;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use sys::events;
use tracee::Stopped;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EpollV1 {
    pub watches: Vec<WatchV1>,
    /// `struct epoll_params` (busy polling), 0 when unset.
    pub parameters: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WatchV1 {
    /// The descriptor number under which it was added.
    pub number: i32,
    pub target: DescriptionId,
    /// EPOLLIN and so on. Without any such bit it is a one-shot watch that has fired.
    pub events: u32,
    pub data: u64,
}

/// EPOLLEXCLUSIVE, EPOLLWAKEUP, EPOLLONESHOT, EPOLLET: how to watch, not for what.
const MANNER: u32 = 0xf000_0000;

impl WatchV1 {
    /// A one-shot watch that has fired and was not armed again.
    fn is_spent(&self) -> bool {
        self.events & !MANNER == 0
    }
}

/// A line of fdinfo.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    number: i32,
    events: u32,
    data: u64,
    inode: u64,
    device: u64,
}

/// Parses `tfd: 3 events: 40000019 data: 5  pos:0 ino:40e sdev:10`.
fn parse(line: &str) -> Option<Line> {
    let fields = procfs::fields(line);
    let hex = |key: &str| u64::from_str_radix(fields.get(key)?, 16).ok();
    // The kernel's own device numbers have 20 minor bits; stat(2) encodes them differently.
    let device = hex("sdev")?;
    Some(Line {
        number: fields.get("tfd")?.parse().ok()?,
        events: hex("events")? as u32,
        data: hex("data")?,
        inode: hex("ino")?,
        device: sys::files::device((device >> 20) as u32, (device & 0xf_ffff) as u32),
    })
}

struct Pending {
    id: DescriptionId,
    pid: i32,
    fd: i32,
    file: OwnedFd,
    lines: Vec<Line>,
}

/// Epolls met, until all descriptions that they may watch have been met too.
#[derive(Default)]
pub struct Collector {
    pending: Vec<Pending>,
}

pub fn collect(found: &Found, id: DescriptionId, collection: &mut Collection) -> Result<EpollV1> {
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    let lines: Option<Vec<Line>> = found.info.lines("tfd:").map(parse).collect();
    let Some(lines) = lines else {
        return found.refuse("the kernel lists its descriptors in an unknown way");
    };
    let file = found.file.as_fd().try_clone_to_owned().explain(what)?;
    let parameters = events::epoll_parameters(file.as_fd()).unwrap_or(0);
    collection.epolls.pending.push(Pending { id, pid: found.pid, fd: found.fd, file, lines });
    Ok(EpollV1 { watches: Vec::new(), parameters })
}

/// Finds what every epoll watches.
pub fn complete(collection: &mut Collection) -> Result<()> {
    for pending in std::mem::take(&mut collection.epolls.pending) {
        let watches = pending.resolve(&collection.registry)?;
        let descriptions = collection.registry.descriptions.iter_mut();
        for description in descriptions.filter(|description| description.id == pending.id) {
            if let KindV1::Epoll(epoll) = &mut description.kind {
                epoll.watches.clone_from(&watches);
            }
        }
    }
    Ok(())
}

impl Pending {
    fn resolve(&self, registry: &Registry) -> Result<Vec<WatchV1>> {
        let mut before: HashMap<i32, u32> = HashMap::new();
        let mut watches = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            let offset = before.entry(line.number).or_default();
            let Some(target) = self.target(line, *offset, registry) else {
                let why = format!(
                    "it watches a file (added as descriptor {}) that no process of the snapshot has open",
                    line.number
                );
                return Err(refused(self.pid, &format!("descriptor {} (epoll)", self.fd), &why));
            };
            *offset += 1;
            watches.push(WatchV1 { number: line.number, target, events: line.events, data: line.data });
        }
        Ok(watches)
    }

    /// The description behind a line: mostly still the one with the number under which it was added.
    fn target(&self, line: &Line, offset: u32, registry: &Registry) -> Option<DescriptionId> {
        let is = |pid, fd| {
            sys::process::is_epoll_target(pid, fd, self.file.as_raw_fd(), line.number, offset)
                .is_ok_and(|same| same)
        };
        let named = registry.numbers.get(&(self.pid, line.number)).copied();
        if let Some(id) = named.filter(|_| is(self.pid, line.number)) {
            return Some(id);
        }
        registry.of_inode(line.device, line.inode).find(|&(pid, fd, _)| is(pid, fd)).map(|(_, _, id)| id)
    }
}

/// Makes the epolls, empty.
pub fn apply(epolls: Vec<(&DescriptionV1, &EpollV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, saved) in epolls {
        let what = || "Could not restore an epoll".to_owned();
        let file = events::epoll().explain(what)?;
        if saved.parameters != 0 {
            events::set_epoll_parameters(file.as_fd(), saved.parameters).explain(what)?;
        }
        anonymous::enter(file, description, rebuild)?;
    }
    Ok(())
}

/// Adds the watches. What is ready then is reported again, also to edge-triggered watches: no event is lost.
pub fn fill(
    epolls: Vec<(&DescriptionV1, &EpollV1)>,
    descriptions: &[DescriptionV1],
    nursery: &Nursery,
    rebuild: &mut Rebuild,
) -> Result<()> {
    let signalfds: HashSet<DescriptionId> = descriptions
        .iter()
        .filter(|description| matches!(description.kind, KindV1::Signalfd(_)))
        .map(|description| description.id)
        .collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (description, saved) in &epolls {
        for watch in &saved.watches {
            let list = if signalfds.contains(&watch.target) { &mut theirs } else { &mut ours };
            list.push((description.id, watch.clone()));
        }
    }
    // Spent ones come first, while nothing else in their epoll can be ready.
    ours.sort_by_key(|(_, watch)| !watch.is_spent());
    let unspent = add_by_number(&ours, rebuild)?;
    if unspent > 0 {
        rebuild.notes.push(format!(
            "{unspent} one-shot epoll watches that had fired will report a hang-up, should one come before they are armed again"
        ));
    }
    theirs.iter().try_for_each(|(epoll, watch)| add_in_process(*epoll, watch, nursery, rebuild))
}

/// Adds watches under their numbers, in a descriptor table that a thread has for this alone. Returns how many spent
/// ones could not be made so.
fn add_by_number(watches: &[(DescriptionId, WatchV1)], rebuild: &Rebuild) -> Result<usize> {
    let what = || "Could not restore what an epoll watches".to_owned();
    let file = |id: &DescriptionId| rebuild.descriptions.get(id).ok_or(sys::Errno::ENOENT).explain(what);
    let mut jobs = Vec::with_capacity(watches.len());
    for (epoll, watch) in watches {
        jobs.push((file(epoll)?.as_fd(), file(&watch.target)?.as_fd(), watch));
    }
    if jobs.is_empty() {
        return Ok(0);
    }
    std::thread::scope(|scope| scope.spawn(|| add_all(&jobs)).join())
        .unwrap_or(Err(sys::Errno::EIO))
        .explain(what)
}

type Job<'a> = (BorrowedFd<'a>, BorrowedFd<'a>, &'a WatchV1);

fn add_all(jobs: &[Job]) -> sys::Result<usize> {
    sys::process::unshare_files()?;
    let highest = jobs.iter().map(|(.., watch)| watch.number).max().unwrap_or(0);
    // Everything needed moves above the numbers that are about to be taken.
    let mut moved: HashMap<RawFd, OwnedFd> = HashMap::new();
    for file in jobs.iter().flat_map(|(epoll, target, _)| [epoll, target]) {
        if let std::collections::hash_map::Entry::Vacant(vacant) = moved.entry(file.as_raw_fd()) {
            vacant.insert(sys::files::duplicate_above(*file, highest + 1)?);
        }
    }
    let mut unspent = 0;
    for (epoll, target, watch) in jobs {
        let epoll = moved[&epoll.as_raw_fd()].as_fd();
        let numbered = sys::files::duplicate_onto(moved[&target.as_raw_fd()].as_fd(), watch.number)?;
        if !watch.is_spent() {
            events::epoll_add(epoll, numbered, watch.events, watch.data)?;
        } else if !add_spent(epoll, numbered, watch)? {
            unspent += 1;
        }
    }
    Ok(unspent)
}

/// Adds a one-shot watch and has it fire at once, on whatever the file is ready for. Says whether that succeeded.
fn add_spent(epoll: BorrowedFd, number: RawFd, watch: &WatchV1) -> sys::Result<bool> {
    const ANY: u32 = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLPRI | libc::EPOLLRDHUP) as u32;
    events::epoll_add(epoll, number, watch.events | ANY, watch.data)?;
    if events::epoll_take(epoll)? {
        return Ok(true);
    }
    events::epoll_modify(epoll, number, watch.events, watch.data)?;
    Ok(false)
}

/// A signalfd wakes whoever watches it through the process that added it, so such a watch is added in that process's
/// name: the first that has both.
fn add_in_process(
    epoll: DescriptionId,
    watch: &WatchV1,
    nursery: &Nursery,
    rebuild: &mut Rebuild,
) -> Result<()> {
    let image = std::sync::Arc::clone(&rebuild.image);
    let place = image.processes.iter().find_map(|process| {
        let BodyV1::Live(live) = &process.body else { return None };
        let of = |id| live.descriptors.iter().filter(move |descriptor| descriptor.description == id);
        let target = of(watch.target)
            .max_by_key(|descriptor| descriptor.fd == watch.number)
            .map(|descriptor| descriptor.fd)?;
        let displaced = live.descriptors.iter().find(|descriptor| descriptor.fd == watch.number);
        Some((process.pid, of(epoll).next()?.fd, target, displaced))
    });
    let Some((pid, epoll_fd, target, displaced)) = place else {
        return add_by_number(&[(epoll, watch.clone())], rebuild).map(drop);
    };
    let thread = Stopped::assume(rebuild.pids[&pid]);
    let bench = nursery.hole.bench();
    let mut program = Program::new(&bench);
    let event = program.data(&[&watch.events.to_le_bytes()[..], &watch.data.to_le_bytes()].concat());
    let add = [epoll_fd as u64, libc::EPOLL_CTL_ADD as u64, watch.number as u64, event];
    if target == watch.number {
        program.call("epoll_ctl", libc::SYS_epoll_ctl, &add);
        return program.run(&thread).map(drop);
    }
    let number = watch.number as u64;
    let mut parked = None;
    if displaced.is_some() {
        let mut park = Program::new(&bench);
        park.call("fcntl", libc::SYS_fcntl, &[number, libc::F_DUPFD_CLOEXEC as u64, 0]);
        parked = Some(park.run(&thread)?[0] as u64);
    }
    program.call("dup3", libc::SYS_dup3, &[target as u64, number, libc::O_CLOEXEC as u64]);
    program.call("epoll_ctl", libc::SYS_epoll_ctl, &add);
    match (parked, displaced) {
        (Some(parked), Some(descriptor)) => {
            let flags = if descriptor.close_on_exec { libc::O_CLOEXEC as u64 } else { 0 };
            program.call("dup3", libc::SYS_dup3, &[parked, number, flags]);
            program.call("close", libc::SYS_close, &[parked]);
        }
        _ => {
            program.call("close", libc::SYS_close, &[number]);
        }
    }
    program.run(&thread).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_line_is_parsed() {
        let line = parse("tfd:        3 events: 40000019 data: ffffffffffffffff  pos:0 ino:40e sdev:fe00001");
        let device = sys::files::device(254, 1);
        let wanted = Line { number: 3, events: 0x4000_0019, data: u64::MAX, inode: 0x40e, device };
        assert_eq!(line, Some(wanted));
    }
}
