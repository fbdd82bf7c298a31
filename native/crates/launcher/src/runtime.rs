//! The Deno that travels in this file, packed with zstd.

use crate::partial::io_error;
use sha2::{Digest, Sha256};
use std::io::{Read, Result, Write};

/// A packed executable and what it must unpack to.
pub struct Runtime {
    pub packed: &'static [u8],
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: &'static str,
}

/// What scripts/build.ts put here; empty in a build without it.
pub static RUNTIME: Runtime = include!(concat!(env!("OUT_DIR"), "/runtime.rs"));

impl Runtime {
    /// Writes the executable to `out` and checks it on the way.
    ///
    /// # Errors
    /// What writing says; `InvalidData` when the bytes are not those that were built in.
    pub fn unpack(&self, out: &mut impl Write) -> Result<()> {
        let mut decoder = zstd::Decoder::with_buffer(self.packed)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let length = decoder.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            hash.update(&buffer[..length]);
            out.write_all(&buffer[..length])?;
        }
        if format!("{:x}", hash.finalize()) == self.sha256 {
            Ok(())
        } else {
            Err(io_error("the packed runtime does not have the sha256 that it was built with"))
        }
    }
}
