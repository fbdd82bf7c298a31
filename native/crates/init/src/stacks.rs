//! Stacks for the core in programs that load no library: they may run on stacks that have no room (Go), or none below.
//!
//! A page of owners, then the stacks. A thread keeps its stack until somebody needs one and it has ended. All of it is
//! the process's own memory, so a forked child has its own copy.

use std::path::Path;
use sys::Errno;
use sys::memory::{read_process, write_process};

const PAGE: u64 = 4096;
const COUNT: usize = 64;
/// Room for the core, and for a signal handler of the application that runs upon it.
const SIZE: u64 = 256 << 10;
const RED_ZONE: u64 = 128;
/// Bytes of the whole mapping; pages that are never used cost nothing.
pub const LENGTH: u64 = PAGE + COUNT as u64 * SIZE;

/// Where a frame of `size` bytes goes for thread `tid` whose stack pointer is `rsp`: below what it uses when it is on
/// one of these stacks already (a signal handler), else to the end of its own.
pub fn place_frame(tid: i32, rsp: u64, size: u64) -> Result<u64, Errno> {
    let first = ids::STACKS + PAGE;
    let top = if (first..ids::STACKS + LENGTH).contains(&rsp) {
        rsp - RED_ZONE
    } else {
        first + (slot_of(tid)? as u64 + 1) * SIZE
    };
    let frame = (top - size) & !63;
    let bottom = first + (frame - first) / SIZE * SIZE;
    // The core needs room below the frame.
    if frame < first || frame - bottom < SIZE / 4 { Err(Errno::ENOMEM) } else { Ok(frame) }
}

/// The stack that belongs to a thread; gives it one when it has none.
fn slot_of(tid: i32) -> Result<usize, Errno> {
    let mut bytes = [0; COUNT * 4];
    if read_process(tid, ids::STACKS, &mut bytes)? != bytes.len() {
        return Err(Errno::EFAULT);
    }
    let owners: Vec<i32> =
        bytes.chunks_exact(4).map(|four| i32::from_le_bytes(four.try_into().expect("four bytes"))).collect();
    if let Some(own) = owners.iter().position(|owner| *owner == tid) {
        return Ok(own);
    }
    let ended = |owner: &i32| *owner == 0 || sys::lifecycle::kill(*owner, 0) == Err(Errno::ESRCH);
    // What a fork copied from threads of the parent: tried last, since a vfork child shares its parent's memory.
    let elsewhere = |owner: &i32| !Path::new(&format!("/proc/{tid}/task/{owner}")).exists();
    let slot = owners.iter().position(ended).or_else(|| owners.iter().position(elsewhere));
    let slot = slot.ok_or(Errno::EAGAIN)?;
    match write_process(tid, ids::STACKS + slot as u64 * 4, &tid.to_le_bytes())? {
        4 => Ok(slot),
        _ => Err(Errno::EFAULT),
    }
}
