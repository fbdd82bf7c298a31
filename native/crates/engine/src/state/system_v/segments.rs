//! Shared memory segments (shmget(2)).

use super::reach::Reach;
use super::status::{self, PermissionsV1, Wanted, signed};
use super::{Claim, Members, actor};
use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::inquiry::word;
use crate::nursery::Nursery;
use crate::procfs::{self, Mapping};
use crate::program::Program;
use crate::rebuild::Rebuild;
use crate::state::memory::PageRunV1;
use abi::{Code, Fault};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use sys::memory::PAGE;
use sys::system_v::Kind;

const SHM_LOCKED: u32 = 0o2000;
const SHM_DEST: u32 = 0o1000;
const SHM_LOCK: i32 = 11;
const SHM_HUGETLB: i32 = 0o4000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SegmentV1 {
    pub id: i32,
    pub permissions: PermissionsV1,
    /// Bytes, as given to shmget(2).
    pub size: u64,
    /// Huge page size in bytes, 0 for ordinary pages.
    pub huge: u64,
    /// Its pages may not be swapped out (SHM_LOCK).
    pub locked: bool,
    /// It goes when nobody has it attached any more (IPC_RMID).
    pub removed: bool,
    /// The process that made it, when that is of the chain.
    pub creator: Option<OriginalPid>,
    pub pages: Vec<PageRunV1>,
}

/// A segment of the chain, and the file through which its contents are read.
pub struct Source {
    pub segment: SegmentV1,
    pub file: File,
}

/// A segment that some process has attached.
struct Attached {
    /// Its contents, where the kernel lets us have them without attaching it.
    file: Option<File>,
    page_size: u64,
    /// Process, address and length of a mapping that begins where the segment does.
    whole: Option<(i32, u64, u64)>,
}

#[derive(Default)]
pub struct Collector {
    attached: BTreeMap<i32, Attached>,
    pub sources: Vec<Source>,
}

impl Collector {
    /// Notes that a mapping is (part of) a segment.
    pub fn of_mapping(&mut self, pid: i32, map: &Mapping) -> i32 {
        let id = map.inode as i32;
        let attached = self.attached.entry(id).or_insert_with(|| Attached {
            file: File::open(format!("/proc/{pid}/map_files/{:x}-{:x}", map.start, map.end)).ok(),
            page_size: map.page_size,
            whole: None,
        });
        let length = map.end - map.start;
        if map.offset == 0 && attached.whole.is_none_or(|(.., known)| known < length) {
            attached.whole = Some((pid, map.start, length));
        }
        id
    }
}

/// Is this the kernel's name for a System V segment: `/SYSV`, eight digits of its key, ` (deleted)`?
pub fn is_segment(map: &Mapping) -> bool {
    let key = map.name.strip_prefix(b"/SYSV").and_then(|rest| rest.strip_suffix(b" (deleted)"));
    map.device.0 == 0 && key.is_some_and(|key| key.len() == 8 && key.iter().all(u8::is_ascii_hexdigit))
}

pub fn collect(reach: &mut Reach, members: &Members, claim: &Claim, collector: &mut Collector) -> Result<()> {
    for id in reach.listed("shm")? {
        let attached = collector.attached.remove(&id);
        let status = match reach.status(Kind::Segment, id)? {
            Err(_) if attached.is_none() && !claim.is_all() => continue,
            status => status.explain(|| format!("Could not examine shared memory segment {id}"))?,
        };
        let creator = members.original(signed(&status, 80));
        if attached.is_some() || claim.takes(Kind::Segment, id, creator.is_some()) {
            collector.sources.push(source(id, &status, creator, attached, matches!(reach, Reach::Here))?);
        }
    }
    if let Some(id) = collector.attached.keys().next() {
        return Err(sys::Errno::ENOENT).explain(|| format!("Could not find shared memory segment {id}"));
    }
    Ok(())
}

fn source(
    id: i32,
    status: &[u8],
    creator: Option<OriginalPid>,
    attached: Option<Attached>,
    here: bool,
) -> Result<Source> {
    let permissions = PermissionsV1::parse(status);
    let size = word(status, 48);
    let (file, page_size) = match attached {
        Some(Attached { file: Some(file), page_size, .. }) => (file, page_size),
        Some(Attached { whole: Some((pid, start, length)), page_size, .. }) if length >= size => {
            (copy_mapped(id, pid, start, size)?, page_size)
        }
        _ if !here => {
            let what = format!("Could not capture shared memory segment {id}");
            return Err(Fault::new(Code::Refused, what).because(
                "no process has it attached as a whole, and its IPC namespace may only be entered by root",
            ));
        }
        _ => copy(id, size)?,
    };
    let segment = SegmentV1 {
        id,
        size,
        huge: if page_size > PAGE { page_size } else { 0 },
        locked: permissions.mode & SHM_LOCKED != 0,
        removed: permissions.mode & SHM_DEST != 0,
        permissions,
        creator,
        pages: Vec::new(),
    };
    Ok(Source { segment, file })
}

/// The contents of a segment that nobody of the chain has attached, and its page size.
fn copy(id: i32, size: u64) -> Result<(File, u64)> {
    let what = || format!("Could not read shared memory segment {id}");
    let file = sys::memory::memory_file(c"segment", 0).explain(what)?;
    file.set_len(size).explain(what)?;
    let page_size = |address: u64| {
        let maps = procfs::mappings(sys::process::gettid()).unwrap_or_default();
        maps.iter().find(|map| map.start == address).map_or(PAGE, |map| map.page_size)
    };
    let page_size = sys::system_v::copy_segment(id, size as usize, &file, page_size).explain(what)?;
    Ok((file, page_size))
}

/// The contents of a segment as a process has it mapped.
fn copy_mapped(id: i32, pid: i32, start: u64, size: u64) -> Result<File> {
    let what = || format!("Could not read shared memory segment {id}");
    let memory = File::open(format!("/proc/{pid}/mem")).explain(what)?;
    let file = sys::memory::memory_file(c"segment", 0).explain(what)?;
    file.set_len(size).explain(what)?;
    let mut page = vec![0u8; PAGE as usize];
    for at in (0..size).step_by(PAGE as usize) {
        let part = &mut page[..(size - at).min(PAGE) as usize];
        memory.read_exact_at(part, start + at).explain(what)?;
        if part.iter().any(|byte| *byte != 0) {
            file.write_all_at(part, at).explain(what)?;
        }
    }
    Ok(file)
}

pub fn apply(saved: &SegmentV1, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    let actor = actor(saved.creator, rebuild);
    let huge = (saved.huge.max(1).trailing_zeros() as i32) << 26;
    let wanted = Wanted {
        kind: Kind::Segment,
        id: saved.id,
        permissions: &saved.permissions,
        size: saved.size,
        flags: if saved.huge == 0 { 0 } else { SHM_HUGETLB | huge },
    };
    let existed = wanted.make(&actor, &bench, rebuild)?;
    let id = rebuild.system_v.current(Kind::Segment, saved.id);
    let mut program = Program::new(&bench);
    program.call("shmat", libc::SYS_shmat, &[id as u64, 0, 0]);
    let address = program.run(&actor)?[0] as u64;
    if existed {
        const MADV_REMOVE: u64 = 9;
        let length = saved.size.next_multiple_of(saved.huge.max(PAGE));
        program.call("madvise", libc::SYS_madvise, &[address, length, MADV_REMOVE]);
    }
    for run in &saved.pages {
        let what = || "Could not find a pack of the snapshot".to_owned();
        let pack = rebuild.pack(run.pack).explain(what)?.as_raw_fd();
        let fd = nursery.delivery.send(&actor, &bench, &[pack])?[0] as u64;
        let length = run.length.min(saved.size.next_multiple_of(PAGE) - run.start);
        program.call("pread64", libc::SYS_pread64, &[fd, address + run.start, length, run.offset]);
        program.call("close", libc::SYS_close, &[fd]);
        program.run(&actor)?;
    }
    // The last to detach would end a removed one that survived; such a one is attached elsewhere, or was just made.
    program.call("shmdt", libc::SYS_shmdt, &[address]);
    program.run(&actor).map(drop)
}

pub fn settle(saved: &SegmentV1, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    let actor = actor(saved.creator, rebuild);
    let id = rebuild.system_v.current(Kind::Segment, saved.id);
    let mut program = Program::new(&bench);
    if saved.locked {
        status::control(&mut program, Kind::Segment, id, SHM_LOCK, 0, false);
        program.run(&actor)?;
    }
    status::set(Kind::Segment, id, &saved.permissions, &actor, &mut program, |_| {})?;
    if saved.removed {
        status::control(&mut program, Kind::Segment, id, libc::IPC_RMID, 0, false);
        program.run(&actor)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_told_from_a_file_that_is_called_like_one() {
        let named = |name: &[u8]| Mapping { name: name.to_vec(), ..Mapping::default() };
        assert!(is_segment(&named(b"/SYSV0052e2c1 (deleted)")));
        assert!(!is_segment(&named(b"/SYSV0052e2c1")));
        assert!(!is_segment(&named(b"/SYSVdata.bin (deleted)")));
        assert!(!is_segment(&Mapping { device: (8, 1), ..named(b"/SYSV0052e2c1 (deleted)") }));
    }
}
