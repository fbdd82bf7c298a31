//! Contexts of asynchronous I/O (io_setup(2)). The kernel names a context by the address of its ring, so the ring is
//! made anew and moved to where it was.

use super::memory::{BackingV1, MappingV1, Target};
use crate::explain::{Explain, Result, refused};
use crate::inquiry::{half, word};
use crate::procfs::Mapping;
use crate::program::Program;
use serde_bytes::ByteBuf;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// `struct aio_ring`: id, nr, head, tail, magic; then the results.
const CAPACITY: usize = 4;
const HEAD: usize = 8;
const TAIL: usize = 12;
pub const HEADER: u64 = 32;
/// Bytes of one result (`struct io_event`).
pub const RESULT: usize = 32;
/// Requests that are submitted at once.
const BATCH: usize = 16;

/// The results that nobody has fetched yet, oldest first.
pub fn collect(pid: i32, map: &Mapping) -> Result<ByteBuf> {
    let mut ring = vec![0u8; (map.end - map.start) as usize];
    let memory = File::open(format!("/proc/{pid}/mem"));
    memory
        .and_then(|memory| memory.read_exact_at(&mut ring, map.start))
        .explain(|| format!("Could not read the asynchronous I/O context of process {pid}"))?;
    match unfetched(&ring) {
        Some(results) => Ok(ByteBuf::from(results)),
        None => {
            let what = format!("the asynchronous I/O context {:#x}", map.start);
            Err(refused(pid, &what, "the application has written to it"))
        }
    }
}

fn unfetched(ring: &[u8]) -> Option<Vec<u8>> {
    let [capacity, head, tail] = [CAPACITY, HEAD, TAIL].map(|at| half(ring, at) as usize);
    let fits = HEADER as usize + capacity * RESULT <= ring.len();
    if !fits || (head != tail && (head >= capacity || tail >= capacity)) {
        return None;
    }
    let mut results = Vec::new();
    let mut at = head;
    while at != tail {
        let from = HEADER as usize + at * RESULT;
        results.extend_from_slice(&ring[from..from + RESULT]);
        at = (at + 1) % capacity;
    }
    Some(results)
}

/// Makes the contexts: after all other mappings, since the kernel chooses a place first.
pub fn apply(mappings: &[MappingV1], target: &Target) -> Result<()> {
    let bench = target.hole.bench();
    for mapping in mappings {
        let BackingV1::AsyncIo { results } = &mapping.backing else { continue };
        let mut program = Program::new(&bench);
        let context = program.data(&[0; 8]);
        program.call("io_setup", libc::SYS_io_setup, &[requests(mapping.length()), context]);
        program.run(target.thread)?;
        let made = word(&program.fetch(target.thread, context, 8)?, 0);
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
        let length = mapping.length();
        program.call("mremap", libc::SYS_mremap, &[made, length, length, flags, mapping.start]);
        program.run(target.thread)?;
        if !results.is_empty() {
            put_back(mapping.start, results, target, &mut program)?;
        }
    }
    Ok(())
}

/// Lets as many requests finish as had finished, so that the kernel counts them, and gives them the saved results. They
/// read nothing from an empty file, so each is done when its submission returns.
fn put_back(context: u64, results: &[u8], target: &Target, program: &mut Program) -> Result<()> {
    let name = program.string(b"");
    program.call("memfd_create", libc::SYS_memfd_create, &[name, 0]);
    let empty = program.run(target.thread)?[0] as u32;
    let mut left = results.len() / RESULT;
    while left > 0 {
        let count = left.min(BATCH);
        let request = program.data(&read_of_nothing(empty));
        let requests = program.data(&request.to_le_bytes().repeat(count));
        program.call("io_submit", libc::SYS_io_submit, &[context, count as u64, requests]);
        left = match program.run(target.thread)?[0] as usize {
            0 => return Err(sys::Errno::EAGAIN).explain(|| "Could not restore asynchronous I/O".to_owned()),
            done => left - done.min(left),
        };
    }
    program.call("close", libc::SYS_close, &[empty.into()]);
    program.run(target.thread)?;
    target
        .thread
        .write(context + HEADER, results)
        .explain(|| "Could not restore the results of asynchronous I/O".to_owned())
}

/// `struct iocb`: data, key and flags, opcode and priority, descriptor, buffer, bytes, offset, and two more.
fn read_of_nothing(descriptor: u32) -> Vec<u8> {
    const IOCB_CMD_PREAD: u64 = 0;
    [0, 0, IOCB_CMD_PREAD | u64::from(descriptor) << 32, 0, 0, 0, 0, 0].map(u64::to_le_bytes).concat()
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
    fn results_come_oldest_first_across_the_end_of_the_ring() {
        let mut ring = vec![0u8; 32 + 4 * RESULT];
        for (at, value) in [(CAPACITY, 4u32), (HEAD, 3), (TAIL, 1)] {
            ring[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        (ring[32], ring[32 + 3 * RESULT]) = (2, 1);
        let results = unfetched(&ring).unwrap();
        assert_eq!((results.len(), results[0], results[RESULT]), (2 * RESULT, 1, 2));
        ring[TAIL] = 9;
        assert_eq!(unfetched(&ring), None);
    }

    #[test]
    fn a_ring_gets_its_old_size() {
        for pages in 1..100 {
            let events = 2 * requests(pages * 4096) + 2;
            assert_eq!((events * 32 + 32).div_ceil(4096), pages);
        }
    }
}
