//! The first 72 bytes of a manifest, whose layout no later version may change (docs/image_format.md).

use crate::fields::{array, u32_at, u64_at};
use crate::table::{PACK_ENTRY, SECTION_ENTRY};
use crate::{Error, Result, checksum, limits};
use std::path::Path;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER: usize = 72;
const MAGIC: [u8; 8] = *b"STASIS\0\x01";
/// The header's own checksum covers what stands before it.
const CHECKED: usize = 64;

/// What the header says, once it is known to be sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub packs: u32,
    pub sections: u32,
    /// Bytes of the whole manifest.
    pub total: u64,
    /// Checksum of the two tables.
    pub tables: u64,
}

/// True for the first bytes of a manifest of any version.
pub fn has_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

impl Header {
    /// Bytes of both tables together.
    pub fn table_length(&self) -> u64 {
        u64::from(self.packs) * PACK_ENTRY as u64 + u64::from(self.sections) * SECTION_ENTRY as u64
    }

    pub fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[16..20].copy_from_slice(&(HEADER as u32).to_le_bytes());
        out[20..24].copy_from_slice(&self.packs.to_le_bytes());
        out[24..28].copy_from_slice(&self.sections.to_le_bytes());
        out[32..40].copy_from_slice(&(HEADER as u64).to_le_bytes());
        out[40..48].copy_from_slice(&self.table_length().to_le_bytes());
        out[48..56].copy_from_slice(&self.total.to_le_bytes());
        out[56..64].copy_from_slice(&self.tables.to_le_bytes());
        let sum = checksum::of(&out[..CHECKED]);
        out[CHECKED..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Checks everything that the header says against the file's length in bytes. `path` is for messages.
    ///
    /// # Errors
    /// `TooNew`, `TooLarge`, or `Damaged` (also for a wrong magic: see `has_magic`).
    pub fn decode(bytes: &[u8; HEADER], file_length: u64, path: &Path) -> Result<Self> {
        let damaged = |what: &str| Error::damaged(path, what);
        if !has_magic(bytes) {
            return Err(damaged("it does not begin like a manifest"));
        }
        if checksum::of(&bytes[..CHECKED]) != u64_at(bytes, CHECKED) {
            return Err(damaged("the checksum of its header does not match"));
        }
        match u32_at(bytes, 8) {
            FORMAT_VERSION => {}
            0 => return Err(damaged("its header has no format version")),
            found => return Err(Error::TooNew { found, supported: FORMAT_VERSION }),
        }
        let header = Self {
            packs: u32_at(bytes, 20),
            sections: u32_at(bytes, 24),
            total: u64_at(bytes, 48),
            tables: u64_at(bytes, 56),
        };
        header.check(file_length, path)?;
        // The counts are bounded now, so the rest can only be what encode makes of them.
        if header.encode() != array::<HEADER>(bytes, 0) {
            return Err(damaged("its header contradicts itself"));
        }
        Ok(header)
    }

    fn check(&self, file_length: u64, path: &Path) -> Result<()> {
        limits::check("the length of a manifest", self.total, limits::MANIFEST)?;
        limits::check("the number of sections", self.sections.into(), limits::SECTIONS)?;
        limits::check("the number of packs", self.packs.into(), limits::PACKS)?;
        if self.total != file_length {
            let total = self.total;
            return Err(Error::damaged(path, format!("it has {file_length} bytes and should have {total}")));
        }
        if HEADER as u64 + self.table_length() > self.total {
            return Err(Error::damaged(path, "its tables reach beyond its end"));
        }
        if self.packs == 0 {
            return Err(Error::damaged(path, "it names no pack"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Header = Header { packs: 1, sections: 2, total: 500, tables: 99 };

    fn decode(bytes: [u8; HEADER]) -> Result<Header> {
        Header::decode(&bytes, 500, Path::new("manifest"))
    }

    /// The sample with `value` at `at`, under a right checksum.
    fn forged(at: usize, value: u32) -> [u8; HEADER] {
        let mut bytes = SAMPLE.encode();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let sum = checksum::of(&bytes[..CHECKED]);
        bytes[CHECKED..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn a_header_comes_back_as_it_was() {
        assert_eq!(decode(SAMPLE.encode()), Ok(SAMPLE));
    }

    #[test]
    fn a_newer_version_is_too_new_whatever_else_it_says() {
        let mut bytes = forged(8, 2);
        bytes[12..CHECKED].fill(0xff);
        let sum = checksum::of(&bytes[..CHECKED]);
        bytes[CHECKED..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(decode(bytes), Err(Error::TooNew { found: 2, supported: 1 }));
    }

    #[test]
    fn hostile_numbers_under_a_right_checksum_are_refused() {
        for (at, value) in
            [(8, 0), (12, 1), (16, 71), (20, 0), (20, 20), (24, 11), (28, 1), (32, 73), (36, 1), (44, 1)]
        {
            assert!(matches!(decode(forged(at, value)), Err(Error::Damaged { .. })), "{value} at {at}");
        }
        for (at, value) in [(20, u32::MAX), (24, u32::MAX), (52, u32::MAX)] {
            assert!(matches!(decode(forged(at, value)), Err(Error::TooLarge { .. })), "{value} at {at}");
        }
    }
}
