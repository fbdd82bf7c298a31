//! Prints how fast page data is appended, committed and verified, in GB/s (10^9 bytes).
//!
//! `cargo run --release --example throughput -p image [-- FOLDER [MIB]]`; FOLDER defaults to the temporary
//! folder and MIB to 1024. The data is incompressible and comes from memory, as from a stopped process.

use image::{Result, SnapshotReader, SnapshotWriter};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BUFFER: usize = 4 << 20;
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mib: usize = arguments.next().map_or(1024, |text| text.parse().expect("MIB is a number"));
    let source = noise(mib << 20);
    println!("{mib} MiB in buffers of {} MiB, {}", BUFFER >> 20, folder.display());
    println!("{:>16} {:>16} {:>16} {:>16}", "append_owned", "append", "commit", "verify");
    for round in 0..ROUNDS {
        let dir = folder.join(format!("stasis-throughput-{}-{round}", std::process::id()));
        let (copied, writer) = timed(&source, || append_copied(&dir, &source))?;
        drop(writer);
        let (owned, writer) = timed(&source, || append_owned(&dir, &source))?;
        let committed = timed(&source, || writer.commit())?.0;
        let reader = SnapshotReader::open(&dir, None)?;
        let verified = timed(&source, || reader.verify_packs(&mut |_, _| true))?.0;
        println!("{owned:>16} {copied:>16} {committed:>16} {verified:>16}");
        std::fs::remove_dir_all(&dir).expect("the folder can be removed");
    }
    Ok(())
}

/// Runs `work` and returns its speed over `source` as text, and its result.
fn timed<T>(source: &[u8], work: impl FnOnce() -> Result<T>) -> Result<(String, T)> {
    let start = Instant::now();
    let result = work()?;
    Ok((rate(source.len(), start.elapsed()), result))
}

fn rate(bytes: usize, time: Duration) -> String {
    format!("{:.2} GB/s {:4} ms", bytes as f64 / 1e9 / time.as_secs_f64(), time.as_millis())
}

/// As the engine does: fill a recycled buffer, hand it over.
fn append_owned(dir: &Path, source: &[u8]) -> Result<SnapshotWriter> {
    let mut writer = SnapshotWriter::create(dir)?;
    let pack = writer.pack();
    for chunk in source.chunks(BUFFER) {
        let mut buffer = pack.take_filled(chunk.len());
        buffer.copy_from_slice(chunk);
        pack.append_owned(buffer)?;
    }
    pack.flush()?;
    Ok(writer)
}

fn append_copied(dir: &Path, source: &[u8]) -> Result<SnapshotWriter> {
    let mut writer = SnapshotWriter::create(dir)?;
    source.chunks(BUFFER).try_for_each(|chunk| writer.pack().append(chunk).map(|_| ()))?;
    writer.pack().flush()?;
    Ok(writer)
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out
}
