//! Checking all page data: two threads read block after block and compare checksums.

use crate::checksum::{self, BLOCK};
use crate::pack::{self, OpenPack};
use crate::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

/// What the two threads share. A block's number counts through all packs.
struct Round<'a> {
    packs: &'a [OpenPack],
    next: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
}

/// See `SnapshotReader::verify_packs`. The calling thread is one of the two, so `progress` need not be `Send`.
pub fn verify(packs: &[OpenPack], progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<()> {
    let total = packs.iter().map(|pack| pack.entry.data_end).sum();
    if !progress(0, total) {
        return Err(Error::Cancelled);
    }
    let round =
        Round { packs, next: AtomicU64::new(0), done: AtomicU64::new(0), stop: AtomicBool::new(false) };
    thread::scope(|scope| {
        let other = scope.spawn(|| round.work(&mut |_| true));
        let ours = round.work(&mut |done| progress(done, total));
        let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ours.and(other)
    })?;
    progress(total, total);
    Ok(())
}

impl Round<'_> {
    /// Checks blocks until none is left or either thread stops.
    fn work(&self, go_on: &mut dyn FnMut(u64) -> bool) -> Result<()> {
        let mut buffer = vec![0; BLOCK as usize];
        while !self.stop.load(Relaxed) {
            let Some((pack, block)) = self.block(self.next.fetch_add(1, Relaxed)) else { break };
            let checked = check(pack, block, &mut buffer);
            let result = checked.and_then(|bytes| {
                let done = self.done.fetch_add(bytes, Relaxed) + bytes;
                if go_on(done) { Ok(()) } else { Err(Error::Cancelled) }
            });
            if result.is_err() {
                self.stop.store(true, Relaxed);
                return result;
            }
        }
        Ok(())
    }

    /// Finds block `number` of all: its pack, and its number in that.
    fn block(&self, mut number: u64) -> Option<(&OpenPack, u64)> {
        for pack in self.packs {
            let blocks = pack.sums.len() as u64;
            if number < blocks {
                return Some((pack, number));
            }
            number -= blocks;
        }
        None
    }
}

/// Checks one block and returns its length in bytes.
fn check(pack: &OpenPack, block: u64, buffer: &mut [u8]) -> Result<u64> {
    let start = block * BLOCK;
    let length = BLOCK.min(pack.entry.data_end - start);
    let bytes = &mut buffer[..length as usize];
    pack::read_at(&pack.file, bytes, start, &pack.path)?;
    if checksum::of(bytes) != pack.sums[block as usize] {
        let what = format!("the {length} bytes at offset {start} are not those that were written");
        return Err(Error::damaged(&pack.path, what));
    }
    Ok(length)
}
