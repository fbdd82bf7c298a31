//! Questions that only a process can answer about itself, asked by system calls in its name.

use crate::explain::{Explain, Result};
use tracee::{Stopped, Visit};

/// One thread of a visited process, ready to be asked.
pub struct Inquiry<'a, 'p> {
    pub visit: &'a mut Visit<'p>,
    pub thread: &'a Stopped,
    pub index: usize,
}

impl Inquiry<'_, '_> {
    /// Makes a call and returns the kernel's raw value, negative for an error number.
    pub fn raw(&mut self, name: &str, nr: i64, args: &[u64]) -> Result<i64> {
        let tid = self.thread.tid();
        self.visit
            .call(self.thread, self.index, nr as u64, args)
            .explain(|| format!("Could not call {name} in thread {tid}"))
    }

    /// Makes a call that must succeed.
    pub fn number(&mut self, name: &str, nr: i64, args: &[u64]) -> Result<u64> {
        let value = self.raw(name, nr, args)?;
        sys::Errno::from_raw(value)
            .explain(|| format!("Could not call {name} in thread {}", self.thread.tid()))
    }

    /// Makes a call that fills `N` bytes at [`Inquiry::out`], and reads them.
    pub fn fetch<const N: usize>(&mut self, name: &str, nr: i64, args: &[u64]) -> Result<[u8; N]> {
        self.number(name, nr, args)?;
        let mut bytes = [0u8; N];
        let tid = self.thread.tid();
        self.thread
            .read(self.out(), &mut bytes)
            .explain(|| format!("Could not read what {name} said in {tid}"))?;
        Ok(bytes)
    }

    /// Where calls may put their results: 60 KiB.
    pub fn out(&self) -> u64 {
        self.visit.scratch() + 4096
    }

    /// Where arguments may be written: 4 KiB.
    pub fn put(&self, bytes: &[u8]) -> Result<u64> {
        let at = self.visit.scratch();
        self.thread
            .write(at, bytes)
            .explain(|| format!("Could not write to process {}", self.thread.tid()))?;
        Ok(at)
    }
}

/// The little-endian word at byte `at`.
pub fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The little-endian half word at byte `at`.
pub fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
