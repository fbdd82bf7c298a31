//! The two tables of a manifest: which packs it refers to, and which sections it consists of.

use crate::fields::{array, u16_at, u32_at, u64_at};
use crate::header::{HEADER, Header};
use crate::{Error, PAGE, Result, limits};
use std::collections::HashSet;
use std::path::Path;

/// Bytes of one entry of the pack table.
pub const PACK_ENTRY: usize = 24;
/// Bytes of one entry of the section table.
pub const SECTION_ENTRY: usize = 48;
/// Bytes of a section's kind.
pub const KIND: usize = 16;
const OPTIONAL: u16 = 1;

/// A pack as a manifest names it. A later snapshot refers to the same pack by the same three values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackEntry {
    /// Random, unique in a store; the file's name in 16 hexadecimal digits.
    pub id: u64,
    /// File offset at which the page data ends and the footer begins.
    pub data_end: u64,
    /// Checksum of the footer, which holds those of the data.
    pub footer_checksum: u64,
}

impl PackEntry {
    pub fn encode(&self) -> [u8; PACK_ENTRY] {
        let mut out = [0; PACK_ENTRY];
        out[0..8].copy_from_slice(&self.id.to_le_bytes());
        out[8..16].copy_from_slice(&self.data_end.to_le_bytes());
        out[16..24].copy_from_slice(&self.footer_checksum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        let entry =
            Self { id: u64_at(bytes, 0), data_end: u64_at(bytes, 8), footer_checksum: u64_at(bytes, 16) };
        limits::check("the length of a pack", entry.data_end, limits::PACK)?;
        if entry.data_end < PAGE || !entry.data_end.is_multiple_of(PAGE) {
            return Err(Error::damaged(path, format!("pack {:016x} has an impossible length", entry.id)));
        }
        Ok(entry)
    }
}

/// A section as the table names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionEntry {
    pub kind: String,
    /// Of the body's schema.
    pub version: u16,
    /// A reader that does not know the kind may pass over it.
    pub optional: bool,
    pub offset: u64,
    pub length: u64,
    pub checksum: u64,
}

/// True for 1 to 16 printable ASCII characters other than the space.
pub fn is_kind(kind: &[u8]) -> bool {
    (1..=KIND).contains(&kind.len()) && kind.iter().all(u8::is_ascii_graphic)
}

impl SectionEntry {
    pub fn encode(&self) -> [u8; SECTION_ENTRY] {
        let mut out = [0; SECTION_ENTRY];
        out[..self.kind.len()].copy_from_slice(self.kind.as_bytes());
        out[16..18].copy_from_slice(&self.version.to_le_bytes());
        out[18..20].copy_from_slice(&u16::from(self.optional).to_le_bytes());
        out[24..32].copy_from_slice(&self.offset.to_le_bytes());
        out[32..40].copy_from_slice(&self.length.to_le_bytes());
        out[40..48].copy_from_slice(&self.checksum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        let kind = decode_kind(&array(bytes, 0))
            .ok_or_else(|| Error::damaged(path, "the name of a section is not one"))?;
        let flags = u16_at(bytes, 18);
        if flags & !OPTIONAL != 0 || u32_at(bytes, 20) != 0 {
            return Err(Error::damaged(path, format!("section \"{kind}\" has unknown flags")));
        }
        let entry = Self {
            kind,
            version: u16_at(bytes, 16),
            optional: flags & OPTIONAL != 0,
            offset: u64_at(bytes, 24),
            length: u64_at(bytes, 32),
            checksum: u64_at(bytes, 40),
        };
        limits::check("the length of a section", entry.length, limits::SECTION)?;
        Ok(entry)
    }
}

fn decode_kind(bytes: &[u8; KIND]) -> Option<String> {
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(KIND);
    let (kind, fill) = bytes.split_at(length);
    let sound = is_kind(kind) && fill.iter().all(|&byte| byte == 0);
    sound.then(|| String::from_utf8_lossy(kind).into_owned())
}

/// Decodes both tables, whose checksum and length are right, and checks that no pack and no kind occurs
/// twice and that the bodies fill the file without gap or overlap.
pub fn decode(bytes: &[u8], header: &Header, path: &Path) -> Result<(Vec<PackEntry>, Vec<SectionEntry>)> {
    let (packs, sections) = bytes.split_at(header.packs as usize * PACK_ENTRY);
    let packs: Vec<_> =
        packs.chunks_exact(PACK_ENTRY).map(|entry| PackEntry::decode(entry, path)).collect::<Result<_>>()?;
    let sections: Vec<_> = sections
        .chunks_exact(SECTION_ENTRY)
        .map(|entry| SectionEntry::decode(entry, path))
        .collect::<Result<_>>()?;
    if !unique(packs.iter().map(|pack| pack.id)) {
        return Err(Error::damaged(path, "it names a pack twice"));
    }
    if !unique(sections.iter().map(|section| &section.kind)) {
        return Err(Error::damaged(path, "it has two sections of one kind"));
    }
    check_places(&sections, header, path)?;
    Ok((packs, sections))
}

fn unique<T: std::hash::Hash + Eq>(mut items: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    items.all(|item| seen.insert(item))
}

fn check_places(sections: &[SectionEntry], header: &Header, path: &Path) -> Result<()> {
    let mut end = HEADER as u64 + header.table_length();
    for section in sections {
        if section.offset != end {
            return Err(Error::damaged(path, format!("section \"{}\" is out of place", section.kind)));
        }
        end += section.length; // cannot overflow: both the number and the length of sections are limited
    }
    if end != header.total {
        return Err(Error::damaged(path, "its sections do not fill it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(kind: &str, offset: u64, length: u64) -> SectionEntry {
        SectionEntry { kind: kind.into(), version: 3, optional: true, offset, length, checksum: 5 }
    }

    fn pack(id: u64, data_end: u64) -> PackEntry {
        PackEntry { id, data_end, footer_checksum: 1 }
    }

    /// Decodes the tables of these entries in a file of `total` bytes.
    fn decoded(packs: &[PackEntry], sections: &[SectionEntry], total: u64) -> Result<Vec<SectionEntry>> {
        let header = Header { packs: packs.len() as u32, sections: sections.len() as u32, total, tables: 0 };
        let mut bytes: Vec<u8> = packs.iter().flat_map(PackEntry::encode).collect();
        bytes.extend(sections.iter().flat_map(SectionEntry::encode));
        decode(&bytes, &header, Path::new("manifest")).map(|(_, sections)| sections)
    }

    #[test]
    fn entries_come_back_as_they_were() {
        let sections = [section("a", 192, 8), section("sixteen-letters!", 200, 0)];
        assert_eq!(decoded(&[pack(7, 4096)], &sections, 200).unwrap(), sections);
    }

    #[test]
    fn gaps_overlaps_and_overruns_are_damage() {
        for (first, second, total) in [(193, 200, 201), (192, 199, 200), (192, 201, 202), (192, 200, 202)] {
            let sections = [section("a", first, 8), section("b", second, 1)];
            let result = decoded(&[pack(7, 4096)], &sections, total);
            assert!(matches!(result, Err(Error::Damaged { .. })), "{first} {second} {total}: {result:?}");
        }
    }

    #[test]
    fn hostile_lengths_are_refused() {
        let result = decoded(&[pack(7, 4096)], &[section("a", 144, u64::MAX)], 200);
        assert!(matches!(result, Err(Error::TooLarge { .. })));
        for end in [0, 4095, 4097, u64::MAX] {
            assert!(decoded(&[pack(7, end)], &[], 96).is_err(), "a pack that ends at {end}");
        }
    }

    #[test]
    fn doubles_and_odd_names_are_damage() {
        let twice = [section("a", 192, 0), section("a", 192, 0)];
        assert!(matches!(decoded(&[pack(7, 4096)], &twice, 192), Err(Error::Damaged { .. })));
        let packs = [pack(7, 4096), pack(7, 4096)];
        assert!(matches!(decoded(&packs, &[], 120), Err(Error::Damaged { .. })));
        for kind in ["", "a b", "a\0b", "ä"] {
            assert!(decoded(&[pack(7, 4096)], &[section(kind, 144, 0)], 144).is_err(), "{kind:?}");
        }
    }
}
