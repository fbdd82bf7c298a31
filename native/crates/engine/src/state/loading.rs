//! Filling a process's own pages from packs: by reads of its own and, where there is much to read, by this command at the
//! same time, so that two processors work.

use super::memory::PageRunV1;
use crate::explain::{Explain, Result};
use crate::program::Program;
use std::fs::File;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;
use sys::memory::PAGE;
use tracee::Stopped;

/// From this many bytes on a thread of this command takes a share.
const WORTHWHILE: u64 = 32 << 20;
/// What it reads at once.
const CHUNK: u64 = 2 << 20;

/// Adds the reads of `pages` to `program` and runs it. `number` gives a pack's descriptor in the process, `file`
/// the same pack here.
pub fn load<'f>(
    pages: &[PageRunV1],
    thread: &Stopped,
    program: &mut Program,
    number: impl Fn(u32) -> RawFd,
    file: impl Fn(u32) -> std::io::Result<&'f File>,
) -> Result<()> {
    let what = || "Could not find a pack of the snapshot".to_owned();
    let (own, ours) = share_out(pages);
    for run in &own {
        read(run, number(run.pack), program);
    }
    let mut jobs = Vec::with_capacity(ours.len());
    for run in ours {
        jobs.push((file(run.pack).explain(what)?, run));
    }
    let pid = thread.tid();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| jobs.iter().try_for_each(|(file, run)| write(pid, file, run)));
        let done = program.run(thread);
        let written = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done.and(written)
    })
}

/// What the process reads itself, and what is written to it: halves by bytes, or all and nothing.
fn share_out(pages: &[PageRunV1]) -> (Vec<PageRunV1>, Vec<PageRunV1>) {
    let total: u64 = pages.iter().map(|run| run.length).sum();
    if total < WORTHWHILE {
        return (pages.to_vec(), Vec::new());
    }
    let mut left = total / 2 / PAGE * PAGE;
    let (mut own, mut ours) = (Vec::new(), Vec::new());
    for run in pages {
        let length = run.length.min(left);
        left -= length;
        if length > 0 {
            own.push(PageRunV1 { length, ..*run });
        }
        if length < run.length {
            let (start, offset) = (run.start + length, run.offset + length);
            ours.push(PageRunV1 { start, offset, length: run.length - length, ..*run });
        }
    }
    (own, ours)
}

/// Adds the reads of one run.
fn read(run: &PageRunV1, fd: RawFd, program: &mut Program) {
    /// The most that one read(2) transfers, rounded down to huge pages.
    const MOST: u64 = 1 << 30;
    let mut done = 0;
    while done < run.length {
        let part = (run.length - done).min(MOST);
        let args = [fd as u64, run.start + done, part, run.offset + done];
        program.call("pread64", libc::SYS_pread64, &args);
        done += part;
    }
}

fn write(pid: i32, file: &File, run: &PageRunV1) -> Result<()> {
    let what = || format!("Could not fill the memory of process {pid}");
    let mut buffer = vec![0; CHUNK.min(run.length) as usize];
    let mut done = 0;
    while done < run.length {
        let part = &mut buffer[..(run.length - done).min(CHUNK) as usize];
        file.read_exact_at(part, run.offset + done).explain(what)?;
        let written = sys::memory::write_process(pid, run.start + done, part).explain(what)?;
        if written != part.len() {
            return Err(sys::Errno::EFAULT).explain(what);
        }
        done += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: u64, length: u64) -> PageRunV1 {
        PageRunV1 { start, length, pack: 0, offset: start + PAGE }
    }

    #[test]
    fn little_is_read_by_the_process_alone() {
        let (own, ours) = share_out(&[run(0, PAGE), run(8 * PAGE, PAGE)]);
        assert_eq!((own.len(), ours.len()), (2, 0));
    }

    #[test]
    fn much_is_halved_within_a_run() {
        let pages = [run(0, WORTHWHILE), run(2 * WORTHWHILE, WORTHWHILE / 2), run(4 * WORTHWHILE, PAGE)];
        let (own, ours) = share_out(&pages);
        let bytes = |runs: &[PageRunV1]| runs.iter().map(|run| run.length).sum::<u64>();
        assert_eq!(bytes(&own) + bytes(&ours), bytes(&pages));
        assert!(bytes(&own).abs_diff(bytes(&ours)) <= 2 * PAGE);
        assert_eq!(ours[0].offset - ours[0].start, PAGE);
        assert!(own.iter().chain(&ours).all(|run| run.length % PAGE == 0));
    }
}
