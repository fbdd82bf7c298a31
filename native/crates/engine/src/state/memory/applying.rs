//! Building an address space in a process that has nothing but the hole.

use super::{AddressSpaceV1, AdviceV1, BackingV1, MappingV1, PageRunV1};
use crate::delivery::Delivery;
use crate::explain::{Explain, Result};
use crate::program::Program;
use crate::rebuild::Rebuild;
use crate::residence;
use crate::state::descriptors::network;
use crate::state::filesystem::FileRefV1;
use crate::state::shared_memory::SharedMemoryId;
use crate::state::{async_io, guard_pages, layout, loading, system_v};
use crate::stub::Hole;
use abi::residence::Slot;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use tracee::Stopped;

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
