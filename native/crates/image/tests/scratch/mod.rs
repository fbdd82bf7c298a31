//! A folder for one test, removed at its end, and the small image that several tests damage.

#![allow(dead_code)] // each test program uses its own part

use image::{Result, Section, SnapshotReader, SnapshotWriter};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("stasis-image-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Names of what lies here, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that differ from page to page.
pub fn pattern(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}

/// Makes a snapshot of two required sections, an optional one, and three pages.
pub fn small_image(dir: &Path) {
    let mut writer = SnapshotWriter::create(dir).unwrap();
    writer.section("label", 1, br#"{"name":"small"}"#).unwrap();
    writer.section("tree", 7, &pattern(100, 1)).unwrap();
    writer.optional_section("remarks", 1, b"").unwrap();
    assert_eq!(writer.pack().append(&pattern(3 * 4096 - 5, 2)).unwrap(), 4096);
    writer.commit().unwrap();
}

/// Everything that can be checked about a snapshot.
pub fn check_all(dir: &Path) -> Result<()> {
    let mut reader = SnapshotReader::open(dir, None)?;
    for kind in ["label", "tree"] {
        let Section { .. } = reader.section(kind)?.expect("a required section");
    }
    reader.finish()?;
    reader.verify_packs(&mut |_, _| true)
}

/// The only pack of the snapshot in `dir`.
pub fn own_pack(dir: &Path) -> PathBuf {
    fs::read_dir(dir.join("packs")).unwrap().next().unwrap().unwrap().path()
}
