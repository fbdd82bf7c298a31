//! What a capture has of an earlier one: the pages that are still the very ones.
//!
//! After fork(2) a process and its copy share every page until one of them writes to it, which gets a page of its own then. A
//! frozen copy never writes. So a page that both have at one address holds what the earlier capture has read there. That they have
//! the same one, pagemap tells by the number of its frame or its place in swap (Documentation/admin-guide/mm/pagemap.rst).
//! Frames are told to those who have CAP_SYS_ADMIN; for others nothing is found to be unchanged.

use super::frozen_copy::FrozenCopy;
use super::memory::PageRunV1;
use super::pages::{self, StoppedProcess};
use crate::explain::{Explain, Result};
use image::{SnapshotReader, SnapshotWriter};
use std::ops::Range;
use std::path::PathBuf;
use sys::memory::PAGE;

/// The number or place of a page, and bits 61 to 63: of a file or shared, swapped, present.
const IDENTITY: u64 = ((1 << 55) - 1) | (7 << 61);
const FRAME: u64 = (1 << 55) - 1;
const SHARED: u64 = 1 << 61;
const SWAPPED: u64 = 1 << 62;
const PRESENT: u64 = 1 << 63;
/// Pages that are looked at in one go.
const STEP: u64 = 16384 * PAGE;

/// An earlier snapshot, and copies of the processes from the moment at which it was taken.
pub struct Base {
    pub dir: PathBuf,
    pub processes: Vec<Kept>,
}

/// A process's memory at that moment.
pub struct Kept {
    pub copy: FrozenCopy,
    /// Where its pages are in the snapshot, by ascending address.
    pub runs: Vec<PageRunV1>,
}

impl Base {
    pub fn of(&self, pid: i32) -> Option<&Kept> {
        self.processes.iter().find(|kept| kept.copy.of == pid)
    }

    /// The copies, which are no part of the application.
    pub fn copies(&self) -> Vec<i32> {
        self.processes.iter().map(|kept| kept.copy.pid()).collect()
    }

    /// Ends the copies, which a capsule would wait for.
    pub fn end(&self) {
        self.processes.iter().for_each(|kept| kept.copy.end());
    }

    /// Has a new snapshot hold the pages of this one, too. Returns the number of their pack there.
    pub fn lend(&self, writer: &mut SnapshotWriter) -> Result<u32> {
        let what = || "Could not refer to the pages of the snapshot before".to_owned();
        let reader = SnapshotReader::open(&self.dir, None).explain(what)?;
        writer.adopt(&reader, 0).explain(what)
    }
}

impl Kept {
    /// Tells the pages of `now` that are the copy's from others: where they are in `pack`, and what is left of `ranges`.
    pub fn unchanged(
        &self,
        now: &StoppedProcess,
        ranges: &[Range<u64>],
        pack: u32,
    ) -> Result<(Vec<PageRunV1>, Vec<Range<u64>>)> {
        let what = || format!("Could not compare the pages of process {} with those before", self.copy.of);
        let (mut known, mut rest) = (Vec::new(), Vec::new());
        let mut runs = self.runs.iter().peekable();
        for range in ranges {
            let mut at = range.start;
            while at < range.end {
                let end = range.end.min(at + STEP);
                let same = self.same(now, at..end).explain(what)?;
                for (page, same) in (at..end).step_by(PAGE as usize).zip(same) {
                    while runs.next_if(|run| run.start + run.length <= page).is_some() {}
                    match runs.peek().filter(|run| same && run.start <= page) {
                        Some(run) => {
                            let offset = run.offset + (page - run.start);
                            pages::enter(&mut known, PageRunV1 { start: page, length: PAGE, pack, offset });
                        }
                        None => pages::push(&mut rest, page..page + PAGE),
                    }
                }
                at = end;
            }
        }
        Ok((known, rest))
    }

    /// Of each page, whether both have the same. The process's own are asked for twice: the kernel moves pages about.
    fn same(&self, now: &StoppedProcess, range: Range<u64>) -> std::io::Result<Vec<bool>> {
        let before = now.entries(range.clone())?;
        // A copy that has ended by now tells of no page.
        let there = self.copy.entries(range.clone()).unwrap_or_else(|_| vec![0; before.len()]);
        let after = now.entries(range)?;
        let all = before.into_iter().zip(there).zip(after);
        Ok(all.map(|((before, there), after)| are_same(before, there) && are_same(after, there)).collect())
    }
}

fn are_same(one: u64, other: u64) -> bool {
    let is_known = one & SWAPPED != 0 || (one & PRESENT != 0 && one & FRAME != 0);
    is_known && one & SHARED == 0 && (one ^ other) & IDENTITY == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_the_same_by_their_frame() {
        assert!(are_same(PRESENT | 7, PRESENT | 7));
        assert!(
            are_same(PRESENT | 7, PRESENT | 1 << 55 | 1 << 56 | 7),
            "soft-dirty and exclusive do not count"
        );
        assert!(!are_same(PRESENT | 7, PRESENT | 8));
        assert!(!are_same(PRESENT | 7, SWAPPED | 7));
        assert!(are_same(SWAPPED | 7, SWAPPED | 7));
    }

    #[test]
    fn nothing_is_known_of_pages_without_frame() {
        assert!(!are_same(PRESENT, PRESENT), "hidden from this user");
        assert!(!are_same(0, 0));
        assert!(!are_same(PRESENT | SHARED | 7, PRESENT | SHARED | 7));
    }
}
