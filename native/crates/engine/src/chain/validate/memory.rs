//! Address spaces: mappings in order and in bounds, pages where there is memory for them, data where the packs have it.

use super::resources::check_file;
use super::{Check, Known, PAGE, TASK_SIZE, ensure};
use crate::state::async_io;
use crate::state::guard_pages::GuardV1;
use crate::state::memory::{AddressSpaceV1, AdviceV1, BackingV1, MappingV1, PageRunV1};

/// The kernel keeps some 50 words for itself and the dynamic linker.
const LONGEST_AUXV: usize = 4096;
const LARGEST_PAGE: u64 = 1 << 34;

pub fn check(memory: &AddressSpaceV1, known: &Known) -> Check {
    let mut end = 0;
    for (index, mapping) in memory.mappings.iter().enumerate() {
        let of = |wrong: super::Wrong| wrong.of(format!("mappings[{index}]"));
        ensure(mapping.start >= end, "start", "it lies in or before the mapping before it").map_err(of)?;
        check_mapping(mapping, known).map_err(of)?;
        end = mapping.end;
    }
    check_vdso(&memory.mappings)?;
    ensure(
        memory.auxv.len() <= LONGEST_AUXV && memory.auxv.len().is_multiple_of(16),
        "auxv",
        "it is no auxiliary vector",
    )?;
    ensure(memory.dumpable <= 2, "dumpable", "there is no such state")?;
    check_runs(&memory.pages, TASK_SIZE, known)?;
    let starts = memory.pages.iter().map(|run| (run.start, run.length));
    check_covered(memory, "pages", starts)?;
    check_guards(&memory.guards)?;
    check_covered(memory, "guards", memory.guards.iter().map(|guard| (guard.start, guard.length)))
}

fn check_guards(guards: &[GuardV1]) -> Check {
    let mut end = 0;
    for (index, guard) in guards.iter().enumerate() {
        let field = format!("guards[{index}]");
        let aligned = guard.start.is_multiple_of(PAGE) && guard.length.is_multiple_of(PAGE);
        ensure(aligned && guard.length > 0, &field, "it is not whole pages")?;
        let good = guard.start >= end && guard.end() <= TASK_SIZE;
        ensure(good, &field, "it is out of order or out of bounds")?;
        end = guard.end();
    }
    Ok(())
}

fn check_mapping(mapping: &MappingV1, known: &Known) -> Check {
    let aligned = mapping.start.is_multiple_of(PAGE) && mapping.end.is_multiple_of(PAGE);
    ensure(aligned, "start", "it is not at a page")?;
    ensure(mapping.start < mapping.end && mapping.end <= TASK_SIZE, "end", "it is out of bounds")?;
    ensure(mapping.protection <= 7, "protection", "there is no such protection")?;
    for advice in &mapping.advice {
        if let AdviceV1::HugeTlb { page_size } = advice {
            let good = page_size.is_power_of_two() && (PAGE..=LARGEST_PAGE).contains(page_size);
            ensure(good, "advice", format!("there are no pages of {page_size} bytes"))?;
        }
    }
    let check_offset = |offset: u64| {
        let end = offset.checked_add(mapping.end - mapping.start);
        let good = offset.is_multiple_of(PAGE) && end.is_some_and(|end| end <= i64::MAX as u64);
        ensure(good, "offset", "it is no offset in a file")
    };
    match &mapping.backing {
        BackingV1::Anonymous | BackingV1::Copied => Ok(()),
        BackingV1::AsyncIo { results } => {
            let good = results.len() % async_io::RESULT == 0
                && async_io::HEADER + results.len() as u64 <= mapping.length();
            ensure(good, "results", "they do not fit into it")
        }
        BackingV1::File { file, offset } => check_file(file, known).and_then(|()| check_offset(*offset)),
        BackingV1::Shared { object, offset } => {
            ensure(known.shared_memory.contains(object), "object", "there is none such")?;
            check_offset(*offset)
        }
        BackingV1::SystemV { offset, .. }
        | BackingV1::IdTable { offset }
        | BackingV1::PacketRing { offset, .. } => check_offset(*offset),
        BackingV1::Kernel(name) => {
            let size = known.vdso.get(name.as_str());
            ensure(size == Some(&mapping.length()), "backing", format!("{name} has another size"))
        }
    }
}

/// Each of the kernel's mappings can be moved to one place only.
fn check_vdso(mappings: &[MappingV1]) -> Check {
    let names = mappings.iter().filter_map(|mapping| match &mapping.backing {
        BackingV1::Kernel(name) => Some(name.as_str()),
        _ => None,
    });
    super::unique(names, "mappings")
}

/// Runs ascend without overlap below `limit` (rounded up to a page), and their data lies in the packs.
pub fn check_runs(runs: &[PageRunV1], limit: u64, known: &Known) -> Check {
    let limit = limit.div_ceil(PAGE).saturating_mul(PAGE);
    let mut end = 0;
    for (index, run) in runs.iter().enumerate() {
        let field = format!("pages[{index}]");
        let aligned = [run.start, run.length, run.offset].iter().all(|value| value.is_multiple_of(PAGE));
        ensure(aligned && run.length > 0, &field, "it is not whole pages")?;
        let stop = run.start.checked_add(run.length).filter(|stop| run.start >= end && *stop <= limit);
        ensure(stop.is_some(), &field, "it is out of order or out of bounds")?;
        let data = run.offset.checked_add(run.length);
        let extent = (known.extents)(run.pack);
        let inside =
            extent.zip(data).is_some_and(|(extent, data)| run.offset >= extent.start && data <= extent.end);
        ensure(inside, &field, "its data lies in no pack")?;
        end = stop.unwrap_or(end);
    }
    Ok(())
}

/// Every one of these ranges (address, bytes) lies in mappings that can have pages of their own.
fn check_covered(memory: &AddressSpaceV1, field: &str, ranges: impl Iterator<Item = (u64, u64)>) -> Check {
    let mut owners = memory.mappings.iter().filter(|mapping| mapping.has_own_pages()).peekable();
    for (index, (start, length)) in ranges.enumerate() {
        let (mut at, end) = (start, start + length);
        while at < end {
            while owners.next_if(|mapping| mapping.end <= at).is_some() {}
            match owners.peek() {
                Some(mapping) if mapping.start <= at => at = mapping.end,
                _ => {
                    return Err(super::Wrong::new(format!("{field}[{index}]"), "no mapping has room for it"));
                }
            }
        }
    }
    Ok(())
}
