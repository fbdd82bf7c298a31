//! Reads arbitrary bytes as a manifest, under right checksums: without those no input would get far.

#![no_main]

use image::Manifest;
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

const HEADER: usize = 72;
const PACK_ENTRY: usize = 24;
const SECTION_ENTRY: usize = 48;

fuzz_target!(|bytes: &[u8]| {
    let mut forged = bytes.to_vec();
    forge(&mut forged);
    for manifest in [bytes, &forged[..]] {
        let _ = Manifest::read(&mut &manifest[..], manifest.len() as u64, Path::new("manifest"));
    }
});

/// Puts magic, lengths and checksums in order, from the inside out, as far as the bytes reach.
fn forge(bytes: &mut [u8]) {
    let total = bytes.len();
    if total < HEADER {
        return;
    }
    bytes[..8].copy_from_slice(b"STASIS\0\x01");
    put(bytes, 16, &(HEADER as u32).to_le_bytes());
    put(bytes, 32, &(HEADER as u64).to_le_bytes());
    put(bytes, 48, &(total as u64).to_le_bytes());
    let (packs, sections) = (count(bytes, 20), count(bytes, 24));
    let first = HEADER + packs * PACK_ENTRY;
    let end = first + sections * SECTION_ENTRY;
    put(bytes, 40, &((end - HEADER) as u64).to_le_bytes());
    for at in (first..end.min(total)).step_by(SECTION_ENTRY) {
        forge_section(bytes, at);
    }
    if let Some(tables) = bytes.get(HEADER..end) {
        let sum = xxh3_64(tables);
        put(bytes, 56, &sum.to_le_bytes());
    }
    let sum = xxh3_64(&bytes[..64]);
    put(bytes, 64, &sum.to_le_bytes());
}

/// Sets the checksum of the section whose entry stands at `at`, if its body lies within the bytes.
fn forge_section(bytes: &mut [u8], at: usize) {
    let Some(entry) = bytes.get(at..at + SECTION_ENTRY) else { return };
    let number = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().expect("eight bytes"));
    let (offset, length) = (number(24), number(32));
    let body = bytes.get(offset as usize..offset.saturating_add(length) as usize);
    if let Some(sum) = body.map(xxh3_64) {
        put(bytes, at + 40, &sum.to_le_bytes());
    }
}

/// A count at `at`, at most 65 535, so that the arithmetic above cannot overflow.
fn count(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes([bytes[at], bytes[at + 1]]).into()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
