//! The blank executable from which restored processes grow: one page of code, a data area and nothing else.
//!
//! It is linked at a hole that neither the saved address spaces nor a fresh process use, so that everything
//! outside the hole can be unmapped and built anew. It has no libc, hence no rseq, no robust list, no TLS.
//!
//! ```text
//! hole + 0        ELF headers and the call loop (a file mapping; given up once the copy below stands)
//!      + 0x8000   the call loop again, anonymous: the executable's file must not stay mapped (PR_SET_MM_MAP)
//!      + 0x10000  data area: arrays of calls and their payload
//!      + 0x200000 where the vDSO waits until its place is free
//!      + 0x300000 end
//! ```

use crate::explain::{Explain, Result};
use std::fs::File;
use std::io::Write;
use tracee::Bench;

const CODE_IN_FILE: u64 = 0x200;
const CODE: u64 = 0x8000;
const DATA: u64 = 0x10000;
const DATA_LEN: u64 = 0x10_0000;
const PARK: u64 = 0x20_0000;
const LENGTH: u64 = 0x30_0000;
/// Room kept free around the hole: the kernel keeps 1 MiB below a growing stack clear.
const MARGIN: u64 = 2 << 20;

/// The part of every address space of a restore that holds our code and data.
#[derive(Clone, Copy, Debug)]
pub struct Hole {
    pub start: u64,
}

impl Hole {
    /// A hole that none of the ranges (start, end) touches.
    pub fn find(occupied: &[(u64, u64)]) -> Option<Self> {
        let candidates = (0x10..0x60u64).map(|step| 0x1000_0000_0000 + step * 0x0100_0000_0000);
        let free = |start: u64| {
            let (low, high) = (start - MARGIN, start + LENGTH + MARGIN);
            occupied.iter().all(|&(from, to)| to <= low || from >= high)
        };
        candidates.into_iter().find(|start| free(*start)).map(|start| Self { start })
    }

    pub fn end(self) -> u64 {
        self.start + LENGTH
    }

    pub fn length(self) -> u64 {
        LENGTH
    }

    /// Where the vDSO's mappings wait.
    pub fn park(self) -> u64 {
        self.start + PARK
    }

    /// Address of the anonymous code page.
    pub fn code(self) -> u64 {
        self.start + CODE
    }

    /// The data area: address and bytes.
    pub fn data(self) -> (u64, u64) {
        (self.start + DATA, DATA_LEN)
    }

    /// The loop as the executable brings it.
    pub fn first_bench(self) -> Bench {
        Bench::new(self.start + CODE_IN_FILE, self.start + DATA, DATA_LEN)
    }

    /// The loop on its own page.
    pub fn bench(self) -> Bench {
        Bench::new(self.code(), self.start + DATA, DATA_LEN)
    }

    /// The executable, in a memory file.
    pub fn executable(self) -> Result<File> {
        let what = || "Could not make the executable that processes grow from".to_owned();
        let mut file = sys::memory::memory_file(c"stasis-blank", 0).explain(what)?;
        file.write_all(&self.elf()).explain(what)?;
        Ok(file)
    }

    /// An ELF64 file: two segments, code at `start`, zero-filled data at `start + DATA` (elf(5)).
    fn elf(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(0x1000);
        bytes.extend_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let half = |bytes: &mut Vec<u8>, value: u16| bytes.extend_from_slice(&value.to_le_bytes());
        let word = |bytes: &mut Vec<u8>, value: u32| bytes.extend_from_slice(&value.to_le_bytes());
        let long = |bytes: &mut Vec<u8>, value: u64| bytes.extend_from_slice(&value.to_le_bytes());
        half(&mut bytes, 2); // ET_EXEC
        half(&mut bytes, 62); // EM_X86_64
        word(&mut bytes, 1);
        long(&mut bytes, self.start + CODE_IN_FILE);
        long(&mut bytes, 64); // program headers follow
        long(&mut bytes, 0);
        word(&mut bytes, 0);
        for value in [64, 56, 3, 0, 0, 0] {
            half(&mut bytes, value);
        }
        let (r, w, x) = (4u32, 2u32, 1u32);
        let code_len = 0x1000;
        for (kind, flags, address, in_file, in_memory) in [
            (1, r | x, self.start, code_len, code_len),
            (1, r | w, self.start + DATA, 0, DATA_LEN),
            (0x6474_e551, r | w, 0, 0, 0), // PT_GNU_STACK
        ] {
            word(&mut bytes, kind);
            word(&mut bytes, flags);
            for value in [0, address, address, in_file, in_memory, 0x1000] {
                long(&mut bytes, value);
            }
        }
        bytes.resize(CODE_IN_FILE as usize, 0);
        bytes.extend_from_slice(Bench::CODE);
        bytes.resize(code_len as usize, 0xcc);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_keeps_its_distance() {
        let first = Hole::find(&[]).unwrap();
        let moved = Hole::find(&[(first.start + LENGTH + MARGIN - 1, u64::MAX / 2)]);
        assert!(moved.is_none());
        assert_ne!(Hole::find(&[(first.start, first.start + 1)]).unwrap().start, first.start);
    }
}
