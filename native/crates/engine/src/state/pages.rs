//! Page contents: from a source of memory into a pack, and back.
//!
//! Memory is read through [`PageSource`]. Today the source is the stopped process itself; a frozen
//! copy-on-write child offers the same two questions.

use super::guard_pages::GuardV1;
use super::memory::{BackingV1, MappingV1, PageRunV1};
use super::{ghosts, posix_memory, shared_memory, system_v};
use crate::explain::{Explain, Result};
use abi::{Code, Control, Fault};
use image::PackWriter;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use sys::Errno;
use sys::memory::{
    PAGE, PAGE_IS_FILE, PAGE_IS_GUARD, PAGE_IS_PFNZERO, PAGE_IS_PRESENT, PAGE_IS_SWAPPED, PageRegion,
};

/// Bytes gathered before they go to the pack.
pub const CHUNK: u64 = 4 << 20;
/// Ranges in one gathering read (`UIO_MAXIOV`).
const RANGES: usize = 1024;

/// Something that has an application's memory and holds still.
pub trait PageSource {
    /// What is particular to the process within `range`.
    fn scan(&self, range: Range<u64>) -> Result<Scan>;
    /// Fills `buffer` with the bytes of `ranges` (address, length), one after the other.
    fn read(&self, ranges: &[(u64, u64)], buffer: &mut [u8]) -> Result<()>;
}

/// Ranges of pages, ascending.
#[derive(Default)]
pub struct Scan {
    /// The process's own.
    pub own: Vec<Range<u64>>,
    /// Made inaccessible (`MADV_GUARD_INSTALL`).
    pub guards: Vec<Range<u64>>,
}

/// A process all of whose threads are stopped.
pub struct StoppedProcess {
    pid: i32,
    pagemap: File,
    memory: File,
}

impl StoppedProcess {
    pub fn open(pid: i32) -> Result<Self> {
        let open = |name: &str| {
            File::open(format!("/proc/{pid}/{name}"))
                .explain(|| format!("Could not open the memory of process {pid}"))
        };
        Ok(Self { pid, pagemap: open("pagemap")?, memory: open("mem")? })
    }

    /// `guard` is the category of guard pages, or 0.
    fn scan_for(&self, range: Range<u64>, guard: u64) -> sys::Result<Scan> {
        const FOREIGN: u64 = PAGE_IS_FILE | PAGE_IS_PFNZERO;
        const ANY: u64 = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
        let (mut scan, mut at) = (Scan::default(), range.start);
        let mut regions: Vec<PageRegion> = Vec::new();
        while at < range.end {
            regions.clear();
            let (rest, told) = (at..range.end, ANY | guard);
            at = sys::memory::pagemap_scan(&self.pagemap, rest, FOREIGN, FOREIGN, ANY, told, &mut regions)?;
            for region in &regions {
                // Guard pages look like swapped ones.
                let kind = if region.categories & guard != 0 { &mut scan.guards } else { &mut scan.own };
                push(kind, region.start..region.end);
            }
        }
        Ok(scan)
    }

    /// Fills as much of `buffer` as can be read from `address` on. Returns how many bytes that is, whole pages.
    pub fn read_up_to(&self, address: u64, buffer: &mut [u8]) -> usize {
        let mut done = sys::memory::read_process_ranges(self.pid, &[(address, buffer.len() as u64)], buffer)
            .unwrap_or(0);
        done -= done % PAGE as usize;
        for page in buffer[done..].chunks_mut(PAGE as usize) {
            if self.memory.read_exact_at(page, address + done as u64).is_err() {
                break;
            }
            done += page.len();
        }
        done
    }

    /// Reads by /proc/PID/mem, which leaves pages as they are: process_vm_readv(2) pins them, and the kernel gives a process that
    /// shares one with its parent or child a page of its own before that (since Linux 5.19).
    pub fn read_by_file(&self, ranges: &[(u64, u64)], buffer: &mut [u8]) -> Result<()> {
        let mut rest = buffer;
        for &(address, length) in ranges {
            let (part, tail) = rest.split_at_mut(length as usize);
            self.memory
                .read_exact_at(part, address)
                .explain(|| format!("Could not read memory of process {} at {address:#x}", self.pid))?;
            rest = tail;
        }
        Ok(())
    }

    /// What pagemap tells of each page (Documentation/admin-guide/mm/pagemap.rst).
    pub fn entries(&self, range: Range<u64>) -> std::io::Result<Vec<u64>> {
        let mut bytes = vec![0u8; ((range.end - range.start) / PAGE * 8) as usize];
        self.pagemap.read_exact_at(&mut bytes, range.start / PAGE * 8)?;
        let entry = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        Ok(bytes.chunks_exact(8).map(entry).collect())
    }

    /// Kernels before 6.7 have no PAGEMAP_SCAN: bits 63 and 62 present or swapped, 61 file-backed or shared.
    fn own_pages_from_entries(&self, range: Range<u64>) -> std::io::Result<Vec<Range<u64>>> {
        let mut found: Vec<Range<u64>> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at + 65536 * PAGE);
            for entry in self.entries(at..end)? {
                if entry >> 62 != 0 && entry & (1 << 61) == 0 {
                    push(&mut found, at..at + PAGE);
                }
                at += PAGE;
            }
        }
        Ok(found)
    }
}

impl PageSource for StoppedProcess {
    fn scan(&self, range: Range<u64>) -> Result<Scan> {
        let what = || format!("Could not scan the pages of process {}", self.pid);
        match self.scan_for(range.clone(), PAGE_IS_GUARD) {
            // Kernels before 6.15 know no such category, and those before 6.7 no such scan.
            Err(Errno(libc::EINVAL)) => self.scan_for(range, 0).explain(what),
            Err(Errno(libc::ENOTTY)) => {
                let own = self.own_pages_from_entries(range).explain(what)?;
                Ok(Scan { own, ..Scan::default() })
            }
            scanned => scanned.explain(what),
        }
    }

    fn read(&self, ranges: &[(u64, u64)], buffer: &mut [u8]) -> Result<()> {
        if sys::memory::read_process_ranges(self.pid, ranges, buffer) == Ok(buffer.len()) {
            return Ok(());
        }
        // Pages without read permission: only /proc/PID/mem reads through it.
        self.read_by_file(ranges, buffer)
    }
}

/// Adds a range, as part of the last one where it continues that.
pub fn push(found: &mut Vec<Range<u64>>, range: Range<u64>) {
    match found.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => found.push(range),
    }
}

/// What the pages of one process will take, before any is copied.
pub struct Plan {
    ranges: Vec<Range<u64>>,
    pub guards: Vec<GuardV1>,
    pub bytes: u64,
}

impl Plan {
    /// Leaves out what `find` says need not be copied; returns where that is.
    pub fn leave_out(
        &mut self,
        find: impl FnOnce(&[Range<u64>]) -> Result<(Vec<PageRunV1>, Vec<Range<u64>>)>,
    ) -> Result<Vec<PageRunV1>> {
        let (known, rest) = find(&self.ranges)?;
        self.bytes = rest.iter().map(|range| range.end - range.start).sum();
        self.ranges = rest;
        Ok(known)
    }
}

/// Finds the pages of the `wanted` ones among `mappings` that exist nowhere else.
pub fn plan(
    source: &dyn PageSource,
    mappings: &[MappingV1],
    wanted: impl Fn(&MappingV1) -> bool,
) -> Result<Plan> {
    let (mut ranges, mut guards) = (Vec::new(), Vec::new());
    for mapping in mappings.iter().filter(|mapping| mapping.has_own_pages() && wanted(mapping)) {
        if matches!(mapping.backing, BackingV1::Copied) {
            push(&mut ranges, mapping.start..mapping.end);
            continue;
        }
        let scan = source.scan(mapping.start..mapping.end)?;
        scan.own.into_iter().for_each(|range| push(&mut ranges, range));
        guards.extend(scan.guards.into_iter().map(GuardV1::new));
    }
    let bytes = ranges.iter().map(|range| range.end - range.start).sum();
    Ok(Plan { ranges, guards, bytes })
}

/// Copies planned pages into the pack.
pub fn collect(
    source: &dyn PageSource,
    plan: &Plan,
    pack: &mut PackWriter,
    control: &Control,
) -> Result<Vec<PageRunV1>> {
    let mut runs = Vec::new();
    let mut gathered: Vec<(u64, u64)> = Vec::new();
    let mut size = 0;
    for range in &plan.ranges {
        let mut at = range.start;
        while at < range.end {
            let length = (range.end - at).min(CHUNK - size);
            gathered.push((at, length));
            at += length;
            size += length;
            if size == CHUNK || gathered.len() == RANGES {
                flush(source, &mut gathered, &mut size, pack, &mut runs, control)?;
            }
        }
    }
    flush(source, &mut gathered, &mut size, pack, &mut runs, control)?;
    Ok(runs)
}

fn flush(
    source: &dyn PageSource,
    gathered: &mut Vec<(u64, u64)>,
    size: &mut u64,
    pack: &mut PackWriter,
    runs: &mut Vec<PageRunV1>,
    control: &Control,
) -> Result<()> {
    if gathered.is_empty() {
        return Ok(());
    }
    if control.cancelled() {
        return Err(
            Fault::new(Code::Interrupted, "Could not finish the snapshot").because("it was interrupted")
        );
    }
    let mut buffer = pack.take_filled(*size as usize);
    source.read(gathered, &mut buffer)?;
    let index = pack.index();
    let mut offset = pack.append_owned(buffer).explain(|| "Could not write page data".to_owned())?;
    for (start, length) in gathered.drain(..) {
        enter(runs, PageRunV1 { start, length, pack: index, offset });
        offset += length;
    }
    control.advance(*size);
    *size = 0;
    Ok(())
}

/// Adds a run, as part of the last one where it continues both its addresses and its data.
pub fn enter(runs: &mut Vec<PageRunV1>, run: PageRunV1) {
    match runs.last_mut() {
        Some(last)
            if last.pack == run.pack
                && last.start + last.length == run.start
                && last.offset + last.length == run.offset =>
        {
            last.length += run.length;
        }
        _ => runs.push(run),
    }
}

/// Copies the contents of shared memory and deleted files, holes left out.
pub fn collect_objects(
    memory: &mut [shared_memory::Source],
    ghosts: &mut [ghosts::Source],
    segments: &mut [system_v::Source],
    folder: Option<&mut posix_memory::Source>,
    pack: &mut PackWriter,
    control: &Control,
) -> Result<()> {
    for source in memory {
        let copied = source.contents.copy(source.object.size, pack, control)?;
        (source.object.pages, source.object.size) = (copied.pages, copied.size);
    }
    for source in segments {
        source.segment.pages = copy_file(&source.file, source.segment.size, pack, control)?;
    }
    for file in folder.into_iter().flat_map(posix_memory::Source::files) {
        let (file, size, pages) = file.explain(|| "Could not read a file in /dev/shm".to_owned())?;
        *pages = copy_file(&file, size, pack, control)?;
    }
    for source in ghosts {
        if let Some(contents) = &source.contents {
            let copied = contents.copy(source.ghost.size, pack, control)?;
            (source.ghost.pages, source.ghost.size) = (copied.pages, copied.size);
        }
    }
    Ok(())
}

/// Writes the saved contents of a file of `size` bytes back. `pack` gives the pack of a number.
pub fn fill_file<'p>(
    file: &File,
    runs: &[PageRunV1],
    size: u64,
    pack: &dyn Fn(u32) -> std::io::Result<&'p File>,
) -> std::io::Result<()> {
    for run in runs {
        let pack = pack(run.pack)?;
        let end = run.length.min(size.saturating_sub(run.start));
        let mut buffer = vec![0u8; (1 << 20).min(end as usize)];
        let mut done = 0;
        while done < end {
            let part = &mut buffer[..(end - done).min(1 << 20) as usize];
            pack.read_exact_at(part, run.offset + done)?;
            file.write_all_at(part, run.start + done)?;
            done += part.len() as u64;
        }
    }
    Ok(())
}

pub fn copy_file(file: &File, size: u64, pack: &mut PackWriter, control: &Control) -> Result<Vec<PageRunV1>> {
    let what = || "Could not read shared memory or a deleted file".to_owned();
    let mut runs = Vec::new();
    let mut at = 0;
    while let Some(start) = data_from(file, at, size).explain(what)? {
        let start = start / PAGE * PAGE;
        let end = hole_from(file, start, size).explain(what)?;
        at = start;
        while at < end {
            let length = (end - at).min(CHUNK);
            let padded = length.next_multiple_of(PAGE);
            let mut buffer = pack.take_filled(padded as usize);
            file.read_exact_at(&mut buffer[..length as usize], at).explain(what)?;
            buffer[length as usize..].fill(0);
            let index = pack.index();
            let offset = pack.append_owned(buffer).explain(|| "Could not write page data".to_owned())?;
            enter(&mut runs, PageRunV1 { start: at, length: padded, pack: index, offset });
            control.advance(length);
            at += length;
        }
    }
    Ok(runs)
}

/// Where data begins at or after `from`; a file system without holes has it right there.
fn data_from(file: &File, from: u64, size: u64) -> sys::Result<Option<u64>> {
    if from >= size {
        return Ok(None);
    }
    match sys::files::next_data(file.as_fd(), from) {
        Err(Errno::EINVAL) => Ok(Some(from)),
        found => found,
    }
}

fn hole_from(file: &File, from: u64, size: u64) -> sys::Result<u64> {
    match sys::files::next_hole(file.as_fd(), from) {
        Err(Errno::EINVAL) => Ok(size),
        found => Ok(found?.unwrap_or(size).min(size)),
    }
}
