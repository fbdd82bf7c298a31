//! The address space of a process: its mappings, their attributes and the pages that are its own.

use super::descriptors::network;
use super::filesystem::{self, FileRefV1};
use super::guard_pages::{self, GuardV1};
use super::shared_memory::{self, SharedMemoryId};
use super::system_v;
use super::{async_io, layout, loading, translation};
use crate::collection::Collection;
use crate::delivery::Delivery;
use crate::explain::{Explain, Result, refused};
use crate::inquiry::Inquiry;
use crate::procfs::{self, Mapping, Stat};
use crate::program::Program;
use crate::rebuild::Rebuild;
use crate::residence;
use crate::stub::Hole;
use abi::residence::Slot;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use tracee::Stopped;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AddressSpaceV1 {
    pub layout: LayoutV1,
    pub auxv: ByteBuf,
    pub mappings: Vec<MappingV1>,
    /// Pages that are this process's own, by ascending address.
    pub pages: Vec<PageRunV1>,
    /// By ascending address.
    #[serde(default)]
    pub guards: Vec<GuardV1>,
    pub dumpable: u64,
    pub thp_disable: bool,
}

/// The fields of `struct prctl_mm_map` (PR_SET_MM(2const)) that describe an executable's layout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutV1 {
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub brk: u64,
    pub start_stack: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MappingV1 {
    pub start: u64,
    pub end: u64,
    /// PROT_READ (1), PROT_WRITE (2), PROT_EXEC (4).
    pub protection: u64,
    pub shared: bool,
    /// Its file was opened for writing (VM_MAYWRITE).
    pub may_write: bool,
    pub backing: BackingV1,
    pub advice: Vec<AdviceV1>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum BackingV1 {
    Anonymous,
    File {
        file: FileRefV1,
        offset: u64,
    },
    /// Memory that lives outside one process: anonymous shared memory or a memory file.
    Shared {
        object: SharedMemoryId,
        offset: u64,
    },
    /// A System V segment, by its id.
    SystemV {
        shmid: i32,
        offset: u64,
    },
    /// A file of the capsule's own, such as the library that translates ids: its contents are in the snapshot, and come
    /// back as anonymous memory.
    Copied,
    /// The table of virtual ids.
    IdTable {
        offset: u64,
    },
    /// The ring of an asynchronous I/O context (io_setup(2)), which has no request in it.
    AsyncIo {
        /// `struct io_event`, oldest first: what was not fetched yet.
        results: ByteBuf,
    },
    /// The rings of a packet socket (packet(7)), by its inode.
    PacketRing {
        socket: u64,
        offset: u64,
    },
    /// `[vdso]`, `[vvar]`, `[vvar_vclock]`: the kernel's own.
    Kernel(String),
}

/// What VmFlags says beyond protection (proc_pid_smaps(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdviceV1 {
    GrowsDown,
    NoReserve,
    HugeTlb { page_size: u64 },
    Locked,
    LockOnFault,
    DontFork,
    WipeOnFork,
    DontDump,
    Mergeable,
    HugePage,
    NoHugePage,
    Sequential,
    Random,
    Droppable,
    Sealed,
}

/// Consecutive pages and where their contents are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PageRunV1 {
    /// Address in the process, or offset in a shared object; bytes, page-aligned.
    pub start: u64,
    pub length: u64,
    pub pack: u32,
    pub offset: u64,
}

const KERNEL_MAPPINGS: [&[u8]; 3] = [b"[vdso]", b"[vvar]", b"[vvar_vclock]"];
const PR_GET_THP_DISABLE: u64 = 42;

/// Takes everything but the pages.
pub fn collect(
    pid: i32,
    stat: &Stat,
    maps: &[Mapping],
    inquiry: &mut Inquiry,
    collection: &mut Collection,
) -> Result<AddressSpaceV1> {
    let (area, area_len) = inquiry.visit.area();
    let own = |map: &&Mapping| map.start < area || map.start >= area + area_len;
    let mut mappings = Vec::with_capacity(maps.len());
    for map in maps.iter().filter(own).filter(|map| map.name != b"[vsyscall]") {
        mappings.push(mapping(pid, map, collection)?);
    }
    let auxv = std::fs::read(format!("/proc/{pid}/auxv"))
        .explain(|| format!("Could not read the auxiliary vector of process {pid}"))?;
    Ok(AddressSpaceV1 {
        layout: LayoutV1 {
            start_code: stat.startcode,
            end_code: stat.endcode,
            start_data: stat.start_data,
            end_data: stat.end_data,
            start_brk: stat.start_brk,
            brk: inquiry.number("brk", libc::SYS_brk, &[0])?,
            start_stack: stat.startstack,
            arg_start: stat.arg_start,
            arg_end: stat.arg_end,
            env_start: stat.env_start,
            env_end: stat.env_end,
        },
        auxv: ByteBuf::from(auxv),
        mappings,
        pages: Vec::new(),
        dumpable: inquiry.number("PR_GET_DUMPABLE", libc::SYS_prctl, &[libc::PR_GET_DUMPABLE as u64])?,
        guards: Vec::new(),
        thp_disable: inquiry.number(
            "PR_GET_THP_DISABLE",
            libc::SYS_prctl,
            &[PR_GET_THP_DISABLE, 0, 0, 0, 0],
        )? != 0,
    })
}

fn mapping(pid: i32, map: &Mapping, collection: &mut Collection) -> Result<MappingV1> {
    let name = String::from_utf8_lossy(&map.name).into_owned();
    let refuse = |why| Err(refused(pid, &format!("the mapping at {:#x} ({name})", map.start), why));
    if map.has(b"um") || map.has(b"uw") || map.has(b"ui") {
        return refuse("it is registered with a userfaultfd");
    }
    if map.has(b"ss") {
        return refuse("it is a shadow stack");
    }
    let backing = backing(pid, map, collection)?;
    if !matches!(backing, BackingV1::Kernel(_)) && (map.has(b"pf") || map.has(b"io")) {
        return refuse("it maps a device");
    }
    let bit = |flag: &[u8; 2], value| if map.has(flag) { value } else { 0 };
    Ok(MappingV1 {
        start: map.start,
        end: map.end,
        protection: bit(b"rd", 1) | bit(b"wr", 2) | bit(b"ex", 4),
        shared: map.permissions[3] == b's',
        may_write: map.has(b"mw"),
        backing,
        advice: advice(map),
    })
}

fn advice(map: &Mapping) -> Vec<AdviceV1> {
    let named = [
        (b"gd", AdviceV1::GrowsDown),
        (b"nr", AdviceV1::NoReserve),
        (b"ht", AdviceV1::HugeTlb { page_size: map.page_size }),
        (b"lf", AdviceV1::LockOnFault),
        (b"lo", AdviceV1::Locked),
        (b"dc", AdviceV1::DontFork),
        (b"wf", AdviceV1::WipeOnFork),
        (b"dd", AdviceV1::DontDump),
        (b"mg", AdviceV1::Mergeable),
        (b"hg", AdviceV1::HugePage),
        (b"nh", AdviceV1::NoHugePage),
        (b"sr", AdviceV1::Sequential),
        (b"rr", AdviceV1::Random),
        (b"dp", AdviceV1::Droppable),
        (b"sl", AdviceV1::Sealed),
    ];
    named.into_iter().filter(|(flag, _)| map.has(flag)).map(|(_, advice)| advice).collect()
}

fn backing(pid: i32, map: &Mapping, collection: &mut Collection) -> Result<BackingV1> {
    let name = map.name.as_slice();
    if KERNEL_MAPPINGS.contains(&name) {
        return Ok(BackingV1::Kernel(String::from_utf8_lossy(name).into_owned()));
    }
    // Before the inode is looked at: that of the first segment, id 0, is 0.
    if system_v::is_segment(map) {
        let shmid = collection.system_v.segments.of_mapping(pid, map);
        return Ok(BackingV1::SystemV { shmid, offset: map.offset });
    }
    let shared = map.permissions[3] == b's';
    if map.inode == 0 || (name.starts_with(b"/anon_hugepage") && !shared) || (name == b"/dev/zero" && !shared)
    {
        return Ok(BackingV1::Anonymous);
    }
    if name.starts_with(b"socket:[") {
        return Ok(BackingV1::PacketRing { socket: map.inode, offset: map.offset });
    }
    if name == b"/[aio] (deleted)" {
        return async_io::collect(pid, map).map(|results| BackingV1::AsyncIo { results });
    }
    if name.starts_with(b"/secretmem") {
        return Err(refused(
            pid,
            &format!("the mapping at {:#x}", map.start),
            "it is secret memory (memfd_secret)",
        ));
    }
    if name.starts_with(b"anon_inode:") {
        let what = format!("the mapping at {:#x} ({})", map.start, String::from_utf8_lossy(name));
        return Err(refused(pid, &what, "it belongs to the kernel"));
    }
    if map.device.0 == 0 && shared_memory::is_named_like_one(name) {
        let object = collection.shared_memory.of_mapping(pid, map)?;
        return Ok(BackingV1::Shared { object, offset: map.offset });
    }
    if let Some(own) = collection.translation.as_ref().and_then(|source| of_capsule(map, shared, source)) {
        return Ok(own);
    }
    let file = filesystem::collect_mapped(pid, map, collection)?;
    Ok(BackingV1::File { file, offset: map.offset })
}

/// What a mapping of a file is that the capsule has for itself.
fn of_capsule(map: &Mapping, shared: bool, source: &translation::Source) -> Option<BackingV1> {
    let device = libc::makedev(map.device.0, map.device.1);
    if source.is_table(device, map.inode) {
        return Some(BackingV1::IdTable { offset: map.offset });
    }
    (source.is_own(device) && !shared).then_some(BackingV1::Copied)
}

impl MappingV1 {
    pub fn has(&self, advice: AdviceV1) -> bool {
        self.advice.contains(&advice)
    }

    pub fn length(&self) -> u64 {
        self.end - self.start
    }

    /// May this mapping hold pages that exist nowhere else?
    pub fn has_own_pages(&self) -> bool {
        !self.shared
            && !self.has(AdviceV1::Droppable)
            && !matches!(self.backing, BackingV1::Kernel(_) | BackingV1::SystemV { .. })
    }
}

/// The address range of the main stack: where the first remote call finds room.
pub fn main_stack(maps: &[Mapping]) -> Option<(u64, u64)> {
    maps.iter()
        .find(|map| map.name == b"[stack]")
        .or_else(|| maps.iter().find(|map| map.has(b"gd")))
        .map(|map| (map.start, map.end))
}

/// Executable ranges of files: where a libc's instructions are. The vDSO is among them.
pub fn code_ranges(maps: &[Mapping]) -> Vec<std::ops::Range<u64>> {
    let is_code = |map: &&Mapping| map.has(b"ex") && map.has(b"rd") && map.name != b"[vsyscall]";
    let mut ranges: Vec<_> = maps.iter().filter(is_code).map(|map| map.start..map.end).collect();
    ranges.sort_by_key(|range| range.end - range.start);
    ranges
}

pub fn read_mappings(pid: i32) -> Result<Vec<Mapping>> {
    procfs::mappings(pid).explain(|| format!("Could not read the mappings of process {pid}"))
}

/// What a process needs to have its memory put back.
pub struct Target<'a> {
    pub thread: &'a Stopped,
    pub hole: Hole,
    pub delivery: &'a Delivery,
    /// Sizes and order of the parked vDSO mappings.
    pub vdso: &'a [(String, u64)],
    /// Memory that the process was born with, and that waits to be moved to its place.
    pub waiting: Option<Waiting>,
}

/// Memory that came with a fork of a template's resident helper.
pub struct Waiting {
    /// Start and end of the range that holds it all.
    pub arena: (u64, u64),
    /// Those of this process, by ascending start.
    pub slots: Vec<Slot>,
}

/// A file that mappings refer to, as the process has it during the restore.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Needed {
    File { path: Vec<u8>, ghost: Option<u32>, writable: bool },
    Shared { object: SharedMemoryId, writable: bool },
    Table,
    PacketRing { socket: u64 },
    Pack(u32),
}

/// Files in the process, by what they are needed for.
struct Delivered {
    numbers: HashMap<Needed, RawFd>,
    executable: RawFd,
}

/// Builds the address space: mappings, pages, attributes, vDSO, layout. The process has nothing but the hole before.
pub fn apply(
    saved: &AddressSpaceV1,
    executable: &FileRefV1,
    target: &Target,
    rebuild: &mut Rebuild,
) -> Result<()> {
    let bench = target.hole.bench();
    let slots = target.waiting.as_ref().map_or(&[][..], |waiting| &waiting.slots);
    let pages = residence::outside(&saved.pages, slots);
    let delivered = deliver(saved, &pages, executable, target, rebuild)?;
    let mut program = Program::new(&bench);
    for mapping in &saved.mappings {
        match slots.iter().find(|slot| slot.start == mapping.start) {
            Some(slot) => take_over(slot, mapping, &mut program),
            None => map(mapping, saved, &delivered, target, &mut program),
        }
        advise_early(mapping, &mut program);
    }
    if let Some(Waiting { arena: (start, end), .. }) = target.waiting
        && start < end
    {
        program.call("munmap", libc::SYS_munmap, &[start, end - start]);
    }
    program.run(target.thread)?;
    async_io::apply(&saved.mappings, target)?;
    system_v::attach(&saved.mappings, target.thread, &mut program, rebuild)?;
    let number = |pack| delivered.numbers[&Needed::Pack(pack)];
    loading::load(&pages, target.thread, &mut program, number, |pack| rebuild.pack(pack))?;
    guard_pages::apply(saved, &mut program);
    for mapping in &saved.mappings {
        finish(mapping, saved, &mut program);
    }
    program.run(target.thread)?;
    let with_executable = layout::apply(&saved.layout, &saved.auxv, Some(delivered.executable), &mut program);
    if program.run(target.thread)?[with_executable] < 0 {
        layout::apply(&saved.layout, &saved.auxv, None, &mut program);
        let result = program.run(target.thread)?[0];
        sys::Errno::from_raw(result)
            .explain(|| "Could not restore the layout of the executable".to_owned())?;
        rebuild.notes.push("The link /proc/PID/exe could not be restored".to_owned());
    }
    for fd in delivered.numbers.values().chain([&delivered.executable]) {
        program.call("close", libc::SYS_close, &[*fd as u64]);
    }
    program.run(target.thread).map(drop)
}

fn deliver(
    saved: &AddressSpaceV1,
    pages: &[PageRunV1],
    executable: &FileRefV1,
    target: &Target,
    rebuild: &Rebuild,
) -> Result<Delivered> {
    let mut opened: Vec<OwnedFd> = Vec::new();
    let mut needed: Vec<(Needed, RawFd)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for need in
        saved.mappings.iter().filter_map(need_of).chain(pages.iter().map(|run| Needed::Pack(run.pack)))
    {
        if !seen.insert(need.clone()) {
            continue;
        }
        let fd = match &need {
            Needed::File { writable, .. } => {
                let reference = saved.mappings.iter().find_map(|m| match &m.backing {
                    BackingV1::File { file, .. } if need_of(m).as_ref() == Some(&need) => Some(file),
                    _ => None,
                });
                let flags = if *writable { libc::O_RDWR } else { libc::O_RDONLY };
                opened.push(rebuild.open(reference.expect("the need came from a mapping"), flags)?);
                opened[opened.len() - 1].as_raw_fd()
            }
            Needed::Shared { object, writable } => {
                let what = || "Could not find shared memory in the snapshot".to_owned();
                let file = rebuild.shared_memory.get(object).ok_or(sys::Errno::ENOENT).explain(what)?;
                if *writable {
                    file.as_raw_fd()
                } else {
                    // A mapping that could become writable would stand in the way of F_SEAL_WRITE.
                    opened.push(sys::files::reopen(file.as_fd(), libc::O_RDONLY).explain(what)?);
                    opened[opened.len() - 1].as_raw_fd()
                }
            }
            Needed::Table => rebuild
                .id_table
                .as_ref()
                .ok_or(sys::Errno::ENOENT)
                .explain(|| "Could not find the table of virtual ids".to_owned())?
                .as_raw_fd(),
            Needed::PacketRing { socket } => {
                let description = network::of_ring(*socket, &rebuild.image.descriptions);
                let file = description.and_then(|id| rebuild.descriptions.get(&id));
                let what = || "Could not find the socket of a mapped ring in the snapshot".to_owned();
                file.ok_or(sys::Errno::ENOENT).explain(what)?.as_raw_fd()
            }
            Needed::Pack(index) => rebuild
                .pack(*index)
                .explain(|| "Could not find a pack of the snapshot".to_owned())?
                .as_raw_fd(),
        };
        needed.push((need, fd));
    }
    opened.push(rebuild.open(executable, libc::O_RDONLY)?);
    let mut fds: Vec<RawFd> = needed.iter().map(|(_, fd)| *fd).collect();
    fds.push(opened[opened.len() - 1].as_raw_fd());
    let mut arrived = target.delivery.send(target.thread, &target.hole.bench(), &fds)?;
    let executable = arrived.pop().expect("as many arrive as were sent");
    Ok(Delivered { numbers: needed.into_iter().map(|(need, _)| need).zip(arrived).collect(), executable })
}

fn need_of(mapping: &MappingV1) -> Option<Needed> {
    match &mapping.backing {
        BackingV1::File { file, .. } => Some(Needed::File {
            path: file.path.to_vec(),
            ghost: file.ghost,
            writable: mapping.shared && mapping.may_write,
        }),
        BackingV1::IdTable { .. } => Some(Needed::Table),
        BackingV1::Shared { object, .. } => {
            Some(Needed::Shared { object: *object, writable: mapping.shared && mapping.may_write })
        }
        BackingV1::PacketRing { socket, .. } => Some(Needed::PacketRing { socket: *socket }),
        _ => None,
    }
}

/// Does the mapping hold pages to be loaded although it is not writable?
fn opened_for_loading(mapping: &MappingV1, saved: &AddressSpaceV1) -> bool {
    let next = saved.pages.partition_point(|run| run.start + run.length <= mapping.start);
    mapping.protection & PROT_WRITE == 0
        && mapping.has_own_pages()
        && saved.pages.get(next).is_some_and(|run| run.start < mapping.end)
}

const PROT_READ: u64 = 1;
const PROT_WRITE: u64 = 2;

fn map(
    mapping: &MappingV1,
    saved: &AddressSpaceV1,
    delivered: &Delivered,
    target: &Target,
    program: &mut Program,
) {
    let anonymous = (u64::MAX, 0);
    let (fd, offset) = match &mapping.backing {
        BackingV1::Kernel(name) => return map_kernel(name, mapping, target, program),
        BackingV1::SystemV { .. } => return,
        // Made by the kernel: see async_io.rs.
        BackingV1::AsyncIo { .. } => return,
        BackingV1::Anonymous | BackingV1::Copied => anonymous,
        BackingV1::File { offset, .. }
        | BackingV1::Shared { offset, .. }
        | BackingV1::IdTable { offset }
        | BackingV1::PacketRing { offset, .. } => {
            let need = need_of(mapping).expect("files and objects are needed");
            (delivered.numbers[&need] as u64, *offset)
        }
    };
    let temporary = if opened_for_loading(mapping, saved) { PROT_WRITE } else { 0 };
    let flags = map_flags(mapping, fd == anonymous.0);
    let protection = mapping.protection | temporary;
    program.call("mmap", libc::SYS_mmap, &[mapping.start, mapping.length(), protection, flags, fd, offset]);
}

/// Moves memory that waits to where the mapping is, which nothing is at yet.
fn take_over(slot: &Slot, mapping: &MappingV1, program: &mut Program) {
    let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
    program.call("mremap", libc::SYS_mremap, &[slot.address, slot.length, slot.length, flags, slot.start]);
    if mapping.protection != PROT_READ | PROT_WRITE {
        let args = [mapping.start, mapping.length(), mapping.protection];
        program.call("mprotect", libc::SYS_mprotect, &args);
    }
}

/// Advice that decides how pages come, before they do.
fn advise_early(mapping: &MappingV1, program: &mut Program) {
    for advice in &mapping.advice {
        const MADV_HUGEPAGE: u64 = 14;
        const MADV_NOHUGEPAGE: u64 = 15;
        let value = match advice {
            AdviceV1::HugePage => MADV_HUGEPAGE,
            AdviceV1::NoHugePage => MADV_NOHUGEPAGE,
            _ => continue,
        };
        // EINVAL: a kernel without huge pages.
        program.attempt("madvise", libc::SYS_madvise, &[mapping.start, mapping.length(), value]);
    }
}

fn map_flags(mapping: &MappingV1, anonymous: bool) -> u64 {
    const MAP_DROPPABLE: u64 = 8;
    let kind = match mapping.shared {
        true => libc::MAP_SHARED as u64,
        false if mapping.has(AdviceV1::Droppable) => MAP_DROPPABLE,
        false => libc::MAP_PRIVATE as u64,
    };
    let mut flags = kind | libc::MAP_FIXED_NOREPLACE as u64;
    if anonymous {
        flags |= libc::MAP_ANONYMOUS as u64;
    }
    for advice in &mapping.advice {
        flags |= match advice {
            AdviceV1::GrowsDown => libc::MAP_GROWSDOWN as u64,
            AdviceV1::NoReserve => libc::MAP_NORESERVE as u64,
            AdviceV1::HugeTlb { page_size } if anonymous => {
                libc::MAP_HUGETLB as u64 | u64::from(page_size.trailing_zeros()) << libc::MAP_HUGE_SHIFT
            }
            _ => 0,
        };
    }
    flags
}

/// Moves one of the parked vDSO mappings to where it was.
fn map_kernel(name: &str, mapping: &MappingV1, target: &Target, program: &mut Program) {
    let before =
        target.vdso.iter().take_while(|(parked, _)| parked != name).map(|(_, size)| size).sum::<u64>();
    let length = mapping.length();
    let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
    let from = target.hole.park() + before;
    program.call("mremap", libc::SYS_mremap, &[from, length, length, flags, mapping.start]);
}

/// Adds what must wait until the pages are there: protection, locks, advice about forks and dumps, seals.
fn finish(mapping: &MappingV1, saved: &AddressSpaceV1, program: &mut Program) {
    let range = [mapping.start, mapping.length()];
    if opened_for_loading(mapping, saved) {
        program.call("mprotect", libc::SYS_mprotect, &[range[0], range[1], mapping.protection]);
    }
    let on_fault = u64::from(mapping.has(AdviceV1::LockOnFault));
    for advice in &mapping.advice {
        let value = match advice {
            AdviceV1::Random => 1,
            AdviceV1::Sequential => 2,
            AdviceV1::DontFork => 10,
            AdviceV1::Mergeable => 12,
            AdviceV1::DontDump => 16,
            AdviceV1::WipeOnFork => 18,
            AdviceV1::Locked => {
                let args = [range[0], range[1], on_fault];
                if guard_pages::within(saved, mapping.start..mapping.end) {
                    // It locks, and then complains of the pages that it cannot touch.
                    program.attempt("mlock2", libc::SYS_mlock2, &args);
                } else {
                    program.call("mlock2", libc::SYS_mlock2, &args);
                }
                continue;
            }
            AdviceV1::Sealed => {
                const SYS_MSEAL: i64 = 462;
                program.call("mseal", SYS_MSEAL, &[range[0], range[1], 0]);
                continue;
            }
            _ => continue,
        };
        program.attempt("madvise", libc::SYS_madvise, &[range[0], range[1], value]);
    }
}
