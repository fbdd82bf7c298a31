//! Finds the ELF note in which `deno compile` puts its program.
//!
//! ```text
//! ELF64 header, little endian       e_phoff at 32, e_phentsize at 54, e_phnum at 56
//! program header, 56 bytes          p_type at 0 (PT_NOTE is 4), p_offset at 8, p_filesz at 32
//! note                              u32 namesz = 4 | u32 descsz | u32 type | "SUI\0" | desc
//! desc                              u16 length | the section's name, of that length | the program
//! ```
//! Source: elf(5), and a file made by Deno 2.9.6, whose note has the type 0x53554901 and the name "d3n0l4nd".

use crate::source::Source;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;

const PT_NOTE: u32 = 4;
const PROGRAM_HEADER: u64 = 56;
/// Far above what a linker makes (13 here); keeps a hostile count from costing time.
const MOST_PROGRAM_HEADERS: u16 = 128;
const NOTE_TYPE: u32 = 0x5355_4901;
const NOTE_NAME: &[u8; 4] = b"SUI\0";
const SECTION: &[u8] = b"d3n0l4nd";

/// The offsets between which the program lies in the file, `None` when nothing was appended.
///
/// # Errors
/// When the file is no 64-bit little-endian ELF file, or its headers point outside of it.
pub fn find(source: &(impl Source + ?Sized)) -> Result<Option<Range<u64>>> {
    let header = source.bytes(0, 64, 64)?;
    if header.get(..6) != Some(b"\x7fELF\x02\x01".as_slice()) {
        return Err(invalid("not a 64-bit little-endian ELF file"));
    }
    let table = u64_at(&header, 32)?;
    let count = u16_at(&header, 56)?;
    if u64::from(u16_at(&header, 54)?) != PROGRAM_HEADER || count > MOST_PROGRAM_HEADERS {
        return Err(invalid("program headers of an unknown size or number"));
    }
    let length = PROGRAM_HEADER * u64::from(count);
    let headers = source.bytes(table, length, length)?;
    for entry in headers.chunks_exact(PROGRAM_HEADER as usize) {
        if u32_at(entry, 0)? == PT_NOTE
            && let Some(program) = read_note(source, u64_at(entry, 8)?, u64_at(entry, 32)?)?
        {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

/// Looks at one note segment; ours holds exactly one note.
fn read_note(source: &(impl Source + ?Sized), offset: u64, length: u64) -> Result<Option<Range<u64>>> {
    const FIXED: u64 = 12 + 4 + 2 + SECTION.len() as u64;
    if length < FIXED {
        return Ok(None);
    }
    let fixed = source.bytes(offset, FIXED, FIXED)?;
    let named = u32_at(&fixed, 0)? == 4 && fixed.get(12..16) == Some(NOTE_NAME);
    if !named || u32_at(&fixed, 8)? != NOTE_TYPE {
        return Ok(None);
    }
    if u16_at(&fixed, 16)? != SECTION.len() as u16 || fixed.get(18..) != Some(SECTION) {
        return Err(invalid("an appended section that is not Deno's"));
    }
    let end = offset + 16 + u64::from(u32_at(&fixed, 4)?);
    if end > offset.saturating_add(length) || end < offset + FIXED || end > source.length() {
        return Err(invalid("the appended program is cut off"));
    }
    Ok(Some(offset + FIXED..end))
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidData, text)
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N]> {
    let field = bytes.get(offset..offset + N).and_then(|field| field.try_into().ok());
    field.ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

fn u16_at(bytes: &[u8], offset: usize) -> Result<u16> {
    field(bytes, offset).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Result<u32> {
    field(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Result<u64> {
    field(bytes, offset).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests;
