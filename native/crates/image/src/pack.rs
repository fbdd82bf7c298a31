//! The parts of a pack that are not page data: header page, footer, name (docs/image_format.md, "Pack").

use crate::fields::u64_at;
use crate::table::PackEntry;
use crate::{Error, Result, checksum, fields, files};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Alignment of page data in a pack, in bytes.
pub const PAGE: u64 = 4096;
const VERSION: u32 = 1;
const HEADER_MAGIC: [u8; 8] = *b"STASISPK";
const FOOTER_MAGIC: [u8; 8] = *b"STASISPF";
/// Bytes of a footer beside its block checksums.
const FOOTER_FIXED: u64 = 40;

/// Name of a pack's file.
pub fn file_name(id: u64) -> String {
    format!("{id:016x}.pack")
}

/// The page that a pack begins with.
pub fn header_page(id: u64) -> Vec<u8> {
    let mut page = Vec::with_capacity(PAGE as usize);
    page.extend_from_slice(&HEADER_MAGIC);
    page.extend_from_slice(&VERSION.to_le_bytes());
    page.extend_from_slice(&[0; 4]);
    page.extend_from_slice(&id.to_le_bytes());
    let sum = checksum::of(&page);
    page.extend_from_slice(&sum.to_le_bytes());
    page.resize(PAGE as usize, 0);
    page
}

/// The footer of a pack whose data ends at `data_end`; its checksum is its last eight bytes.
pub fn footer(id: u64, data_end: u64, sums: &[u64]) -> Vec<u8> {
    let mut out = Vec::with_capacity(footer_length(data_end) as usize);
    out.extend_from_slice(&FOOTER_MAGIC);
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&data_end.to_le_bytes());
    out.extend_from_slice(&(checksum::BLOCK as u32).to_le_bytes());
    out.extend_from_slice(&(sums.len() as u32).to_le_bytes());
    sums.iter().for_each(|sum| out.extend_from_slice(&sum.to_le_bytes()));
    let sum = checksum::of(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn footer_length(data_end: u64) -> u64 {
    FOOTER_FIXED + 8 * checksum::blocks(data_end)
}

/// Bytes of the whole file of a pack.
pub fn file_length(data_end: u64) -> u64 {
    data_end + footer_length(data_end)
}

/// A pack that exists and whose header page, size and footer are right; its page data is unchecked as yet.
pub struct OpenPack {
    pub entry: PackEntry,
    pub path: PathBuf,
    pub file: File,
    /// The checksum of each block.
    pub sums: Vec<u64>,
}

impl OpenPack {
    /// Opens the pack of this entry from the first folder that has it.
    pub fn find(entry: PackEntry, folders: &[&Path]) -> Result<Self> {
        let name = file_name(entry.id);
        for folder in folders {
            let path = folder.join(&name);
            if let Some((file, length)) = files::open(&path)? {
                return Self::check(entry, path, file, length);
            }
        }
        Err(Error::Damaged { what: format!("pack {:016x} is missing", entry.id) })
    }

    fn check(entry: PackEntry, path: PathBuf, file: File, length: u64) -> Result<Self> {
        check_header(&file, entry.id, &path)?;
        let expected = file_length(entry.data_end);
        if length != expected {
            return Err(Error::damaged(&path, format!("it has {length} bytes and should have {expected}")));
        }
        let sums = read_footer(&file, &entry, &path)?;
        Ok(Self { entry, path, file, sums })
    }
}

fn check_header(file: &File, id: u64, path: &Path) -> Result<()> {
    let mut page = vec![0; PAGE as usize];
    read_at(file, &mut page, 0, path)?;
    if page.starts_with(&HEADER_MAGIC) && checksum::of(&page[..24]) == u64_at(&page, 24) {
        let found = fields::u32_at(&page, 8);
        if found > VERSION {
            return Err(Error::TooNew { found, supported: VERSION });
        }
    }
    if page != header_page(id) {
        return Err(Error::damaged(path, "its header is not that of this pack"));
    }
    Ok(())
}

/// The block checksums. The length of the file is known to fit, which bounds what is allocated here.
fn read_footer(file: &File, entry: &PackEntry, path: &Path) -> Result<Vec<u64>> {
    let mut bytes = vec![0; footer_length(entry.data_end) as usize];
    read_at(file, &mut bytes, entry.data_end, path)?;
    let end = bytes.len() - 8;
    if u64_at(&bytes, end) != entry.footer_checksum {
        return Err(Error::damaged(path, "its footer is not the one that the manifest names"));
    }
    let sums: Vec<u64> = bytes[32..end].chunks_exact(8).map(|sum| u64_at(sum, 0)).collect();
    // The manifest named this checksum, so a footer that has it can only be what `footer` makes.
    if bytes != footer(entry.id, entry.data_end, &sums) {
        return Err(Error::damaged(path, "its footer contradicts itself"));
    }
    Ok(sums)
}

/// Reads exactly `buffer.len()` bytes. A file that ends too early is damaged.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64, path: &Path) -> Result<()> {
    file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::damaged(path, "it ends too early"),
        _ => Error::io("read", path, &error),
    })
}
