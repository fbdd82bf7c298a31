//! A list of system calls with the data that they point to, run in a process that is being restored.

use crate::explain::{Explain, Result};
use abi::{Code, Fault};
use tracee::{Bench, Call, Stopped};

/// Calls and payload for one round trip (more when there are many calls).
pub struct Program<'b> {
    bench: &'b Bench,
    calls: Vec<Call>,
    payload: Vec<u8>,
}

impl<'b> Program<'b> {
    pub fn new(bench: &'b Bench) -> Self {
        Self { bench, calls: Vec::new(), payload: Vec::new() }
    }

    /// Adds data and returns the address at which the process will find it, 16-byte aligned.
    pub fn data(&mut self, bytes: &[u8]) -> u64 {
        let aligned = self.payload.len().next_multiple_of(16);
        self.payload.resize(aligned, 0);
        self.payload.extend_from_slice(bytes);
        self.bench.payload().0 + aligned as u64
    }

    pub fn string(&mut self, bytes: &[u8]) -> u64 {
        self.data(&[bytes, &[0]].concat())
    }

    /// Adds a call whose failure ends the restore. Returns its index among the results.
    pub fn call(&mut self, name: &'static str, nr: i64, args: &[u64]) -> usize {
        self.calls.push(Call::new(name, nr, args));
        self.calls.len() - 1
    }

    /// Adds a call whose result the caller judges.
    pub fn attempt(&mut self, name: &'static str, nr: i64, args: &[u64]) -> usize {
        self.calls.push(Call::new(name, nr, args).optional());
        self.calls.len() - 1
    }

    /// Runs everything in order and forgets it. Results are the kernel's raw values.
    pub fn run(&mut self, thread: &Stopped) -> Result<Vec<i64>> {
        let (at, room) = self.bench.payload();
        let what = || format!("Could not restore thread {}", thread.tid());
        if self.payload.len() as u64 > room {
            let why = format!("its state takes {} bytes at once, {room} fit", self.payload.len());
            return Err(Fault::new(Code::RestoreFailed, what()).because(why));
        }
        thread.write(at, &self.payload).explain(what)?;
        let results = self.bench.run(thread, &self.calls).explain(what)?;
        self.calls.clear();
        self.payload.clear();
        Ok(results)
    }

    /// What `range` of the payload holds now: results that calls wrote there.
    pub fn fetch(&self, thread: &Stopped, address: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        thread
            .read(address, &mut bytes)
            .explain(|| format!("Could not read from thread {}", thread.tid()))?;
        Ok(bytes)
    }
}
