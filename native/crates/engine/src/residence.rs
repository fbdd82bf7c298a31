//! Templates in memory: which of an image's memory clones share, and the requests that load and unload it.

use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::state::memory::{AdviceV1, BackingV1, MappingV1, PageRunV1};
use crate::state::process::BodyV1;
use crate::stub::Hole;
use abi::request::{Load, Loaded, Unload};
use abi::residence::{Layout, Plan, Run, Slot};
use abi::{Code, Control, Fault, Phase, Unit};
use capsule::resident::{self, Record};
use image::SnapshotReader;
use serde::Serialize;
use std::ops::Range;

const PAGE: u64 = 4096;
const HUGE_PAGE: u64 = 2 << 20;
/// Less than this is copied into each clone: a mapping of its own costs a fork more than the pages do.
const WORTHWHILE: u64 = 64 << 10;
/// A huge page is made where at least this much of it has contents.
const WELL_FILLED: u64 = HUGE_PAGE / 4 * 3;

/// A template in memory.
#[derive(Debug, Serialize)]
pub struct Report {
    pub name: String,
    pub pid: i32,
    /// Of memory that clones share, in bytes.
    pub bytes: u64,
    /// ISO 8601, UTC.
    pub loaded: String,
    /// Of the image in memory.
    pub identity: String,
}

impl From<Record> for Report {
    fn from(record: Record) -> Self {
        let Record { name, pid, bytes, loaded, identity, .. } = record;
        Self { name, pid, bytes, loaded, identity }
    }
}

/// How a record names the image that it was made from.
pub fn identity(reader: &SnapshotReader) -> String {
    format!("{:016x}", reader.identity())
}

/// Loads a template whose page data the caller has checked.
pub fn load(request: Load, init: &[u8], control: &Control) -> Result<Report> {
    let what = || format!("Could not load the template \"{}\"", request.name);
    let (reader, chain) = crate::restore::read(&request.dir)?;
    let plan =
        plan(&chain, crate::restore::find_hole(&chain)?).ok_or(sys::Errno(libc::ENOMEM)).explain(what)?;
    let bytes = plan.runs.iter().map(|run| run.length).sum();
    if bytes > request.limit_bytes {
        let why = format!("it takes {bytes} bytes, {} are allowed", request.limit_bytes);
        return Err(Fault::new(Code::Other, what())
            .because(why)
            .hint("Allow more with --limit, or make clones from the image, which needs no memory ahead"));
    }
    control.phase(Phase::LoadingMemory, 0, Unit::None);
    let mut packs = Vec::new();
    for index in 0..reader.pack_count() {
        if plan.runs.iter().any(|run| run.pack == index) {
            packs.push((index, reader.pack_file(index).explain(what)?));
        }
    }
    let load = resident::Load { name: &request.name, identity: identity(&reader), bytes, plan, packs };
    resident::load(&request.home, load, init, control).map(Report::from)
}

pub fn unload(request: Unload, _: &Control) -> Result<Report> {
    resident::unload(&request.home, &request.name).map(Report::from)
}

#[derive(Debug, Serialize)]
pub struct Listing {
    pub templates: Vec<Report>,
}

pub fn list(request: Loaded, _: &Control) -> Result<Listing> {
    Ok(Listing { templates: resident::list(&request.home).into_iter().map(Report::from).collect() })
}

/// Which memory is shared and where it waits. `None` when there is no room in the address space.
fn plan(chain: &Chain, hole: Hole) -> Option<Plan> {
    let mut plan = Plan { code: tracee::Bench::CODE.to_vec(), ..Plan::default() };
    let mut occupied = vec![(hole.start, hole.end())];
    let mut end = 0;
    for process in &chain.processes {
        let BodyV1::Live(live) = &process.body else { continue };
        for mapping in &live.memory.mappings {
            occupied.push((mapping.start, mapping.end));
            let runs = within(&live.memory.pages, mapping.start..mapping.end);
            if !is_shareable(mapping) || runs.iter().map(|run| run.length).sum::<u64>() < WORTHWHILE {
                continue;
            }
            let address = next_like(end, mapping.start);
            end = address + mapping.length() + PAGE;
            let flags = if mapping.has(AdviceV1::NoReserve) { libc::MAP_NORESERVE as u64 } else { 0 };
            plan.layout.slots.push(Slot {
                pid: process.pid.0,
                start: mapping.start,
                length: mapping.length(),
                address,
                flags,
            });
            let placed = runs.iter().map(|run| Run {
                address: run.start - mapping.start + address,
                length: run.length,
                pack: run.pack,
                offset: run.offset,
            });
            let first = plan.runs.len();
            plan.runs.extend(placed);
            if !mapping.has(AdviceV1::NoHugePage) {
                let filled = well_filled(&plan.runs[first..], address..address + mapping.length());
                plan.huge.extend(filled.into_iter().map(|block| (block, HUGE_PAGE)));
            }
        }
    }
    let base = free_range(&occupied, end)?;
    plan.layout.slots.iter_mut().for_each(|slot| slot.address += base);
    plan.runs.iter_mut().for_each(|run| run.address += base);
    plan.huge.iter_mut().for_each(|(address, _)| *address += base);
    let (data, length) = hole.data();
    plan.layout = Layout {
        hole: hole.start,
        code: hole.code(),
        data: (data, length),
        arena: (base, base + end),
        ..plan.layout
    };
    Some(plan)
}

/// Memory that a fork shares until somebody writes to it, and that is nothing but memory.
fn is_shareable(mapping: &MappingV1) -> bool {
    let special = |advice: &AdviceV1| {
        matches!(advice, AdviceV1::GrowsDown | AdviceV1::HugeTlb { .. } | AdviceV1::Droppable)
    };
    matches!(mapping.backing, BackingV1::Anonymous) && !mapping.shared && !mapping.advice.iter().any(special)
}

/// The parts of `pages`, which ascend, that lie in `range`.
fn within(pages: &[PageRunV1], range: Range<u64>) -> Vec<PageRunV1> {
    let first = pages.partition_point(|run| run.start + run.length <= range.start);
    let inside = pages[first..].iter().take_while(|run| run.start < range.end);
    inside.map(|run| clip(run, &range)).collect()
}

fn clip(run: &PageRunV1, range: &Range<u64>) -> PageRunV1 {
    let start = run.start.max(range.start);
    let end = (run.start + run.length).min(range.end);
    PageRunV1 { start, length: end - start, offset: run.offset + (start - run.start), ..*run }
}

/// The parts of `pages` that lie in none of the slots, both of which ascend.
pub fn outside(pages: &[PageRunV1], slots: &[Slot]) -> Vec<PageRunV1> {
    let mut left = Vec::with_capacity(pages.len());
    let mut from = 0;
    for slot in slots {
        left.extend(within(pages, from..slot.start));
        from = slot.start + slot.length;
    }
    left.extend(within(pages, from..u64::MAX));
    left
}

/// The first address from `at` on that lies in its huge page as `like` does in its own.
fn next_like(at: u64, like: u64) -> u64 {
    let wish = at / HUGE_PAGE * HUGE_PAGE + like % HUGE_PAGE;
    if wish >= at { wish } else { wish + HUGE_PAGE }
}

/// Starts of whole huge pages in `range` that the runs, which ascend, fill well enough.
fn well_filled(runs: &[Run], range: Range<u64>) -> Vec<u64> {
    let mut filled = Vec::new();
    let (mut block, mut bytes) = (0, 0);
    for run in runs {
        let mut at = run.address;
        while at < run.address + run.length {
            let own = at / HUGE_PAGE * HUGE_PAGE;
            if own != block {
                (block, bytes) = (own, 0);
            }
            let part = (own + HUGE_PAGE).min(run.address + run.length) - at;
            let before = bytes;
            bytes += part;
            let whole = block >= range.start && block + HUGE_PAGE <= range.end;
            if whole && before < WELL_FILLED && bytes >= WELL_FILLED {
                filled.push(block);
            }
            at += part;
        }
    }
    filled
}

/// Room for `length` bytes that none of the ranges (start, end) touches, aligned to a huge page.
fn free_range(occupied: &[(u64, u64)], length: u64) -> Option<u64> {
    const STEP: u64 = 1 << 40;
    /// Below where the kernel puts executables and what they map by themselves.
    const TOP: u64 = 0x5000_0000_0000;
    let mut candidates = (1..TOP / STEP).map(|step| step * STEP);
    candidates.find(|&start| {
        let (from, to) = (start - HUGE_PAGE, start.saturating_add(length) + HUGE_PAGE);
        to <= TOP && occupied.iter().all(|&(low, high)| high <= from || low >= to)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: u64, length: u64) -> PageRunV1 {
        PageRunV1 { start, length, pack: 0, offset: start }
    }

    fn slot(start: u64, length: u64) -> Slot {
        Slot { pid: 1, start, length, address: 0, flags: 0 }
    }

    #[test]
    fn what_is_in_no_slot_is_left() {
        let pages = [run(0x1000, 0x5000), run(0x9000, 0x1000)];
        let left = outside(&pages, &[slot(0x2000, 0x1000), slot(0x5000, 0x4000)]);
        let ranges: Vec<_> = left.iter().map(|run| (run.start, run.length, run.offset)).collect();
        assert_eq!(ranges, [(0x1000, 0x1000, 0x1000), (0x3000, 0x2000, 0x3000), (0x9000, 0x1000, 0x9000)]);
        assert_eq!(outside(&pages, &[]).len(), 2);
    }

    #[test]
    fn a_slot_lies_in_huge_pages_as_its_mapping_does() {
        for (at, like) in [(0, 0x1234_5000), (0x1_f000, 0x1000), (HUGE_PAGE + 1, HUGE_PAGE)] {
            let found = next_like(at, like);
            assert!(found >= at && found < at + HUGE_PAGE && found % HUGE_PAGE == like % HUGE_PAGE);
        }
    }

    #[test]
    fn huge_pages_are_made_where_little_is_missing() {
        let part = |address, length| Run { address, length, pack: 0, offset: 0 };
        let runs =
            [part(0x1000, HUGE_PAGE), part(2 * HUGE_PAGE, HUGE_PAGE / 2), part(4 * HUGE_PAGE, HUGE_PAGE)];
        assert_eq!(well_filled(&runs, 0..8 * HUGE_PAGE), [0, 4 * HUGE_PAGE]);
        assert_eq!(well_filled(&runs, 0x1000..8 * HUGE_PAGE), [4 * HUGE_PAGE]);
    }

    #[test]
    fn free_room_keeps_its_distance() {
        assert_eq!(free_range(&[], HUGE_PAGE), Some(1 << 40));
        assert_eq!(free_range(&[(1 << 40, (1 << 40) + 1)], HUGE_PAGE), Some(2 << 40));
        assert_eq!(free_range(&[(0, u64::MAX)], 1), None);
    }
}
