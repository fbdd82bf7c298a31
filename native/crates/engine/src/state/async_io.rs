//! Contexts of asynchronous I/O (io_setup(2)). The kernel names a context by the address of its ring, so the ring is
//! made anew and moved to where it was.

use super::memory::{BackingV1, MappingV1, Target};
use crate::explain::{Explain, Result, refused};
use crate::inquiry::{half, word};
use crate::procfs::Mapping;
use crate::program::Program;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// `struct aio_ring`: id, nr, head, tail, magic.
const HEAD: usize = 8;
const TAIL: usize = 12;

/// Refuses a context whose results were not all fetched: they would be lost.
pub fn collect(pid: i32, map: &Mapping) -> Result<()> {
    let mut ring = [0u8; 32];
    let memory = File::open(format!("/proc/{pid}/mem"));
    memory
        .and_then(|memory| memory.read_exact_at(&mut ring, map.start))
        .explain(|| format!("Could not read the asynchronous I/O context of process {pid}"))?;
    if half(&ring, HEAD) != half(&ring, TAIL) {
        let what = format!("the asynchronous I/O context {:#x}", map.start);
        return Err(refused(pid, &what, "it has results that the application has not fetched yet"));
    }
    Ok(())
}

/// Makes the contexts: after all other mappings, since the kernel chooses a place first.
pub fn apply(mappings: &[MappingV1], target: &Target) -> Result<()> {
    let bench = target.hole.bench();
    for mapping in mappings.iter().filter(|mapping| matches!(mapping.backing, BackingV1::AsyncIo)) {
        let mut program = Program::new(&bench);
        let context = program.data(&[0; 8]);
        program.call("io_setup", libc::SYS_io_setup, &[requests(mapping.length()), context]);
        program.run(target.thread)?;
        let made = word(&program.fetch(target.thread, context, 8)?, 0);
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
        let length = mapping.length();
        program.call("mremap", libc::SYS_mremap, &[made, length, length, flags, mapping.start]);
        program.run(target.thread)?;
    }
    Ok(())
}

/// How many requests a ring of `length` bytes is made for: the kernel doubles the number, adds two, and rounds up to
/// pages of 32-byte events after a 32-byte head (fs/aio.c).
fn requests(length: u64) -> u64 {
    (length / 32 - 3) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_gets_its_old_size() {
        for pages in 1..100 {
            let events = 2 * requests(pages * 4096) + 2;
            assert_eq!((events * 32 + 32).div_ceil(4096), pages);
        }
    }
}
