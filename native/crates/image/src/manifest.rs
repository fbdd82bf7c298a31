//! The manifest as a whole: read and checked in one pass, so that what is handed out is what was checked.

use crate::header::{self, HEADER, Header};
use crate::table::{self, PackEntry, SectionEntry};
use crate::{Error, Result, checksum};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// One section, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Of the body's schema.
    pub version: u16,
    pub body: Vec<u8>,
}

/// A manifest whose every checksum was right.
pub struct Manifest {
    pub(crate) packs: Vec<PackEntry>,
    pub(crate) sections: Vec<SectionEntry>,
    /// One per section; `None` once it was handed out.
    bodies: Vec<Option<Vec<u8>>>,
    pub(crate) length: u64,
    /// Checksum of the tables, which hold the checksums of everything else but page data.
    pub(crate) identity: u64,
}

impl Manifest {
    /// Reads a manifest of `length` bytes. `path` is for messages.
    ///
    /// # Errors
    /// `Damaged`, `TooNew`, `TooLarge`, `Io`.
    pub fn read(source: &mut impl Read, length: u64, path: &Path) -> Result<Self> {
        let mut head = [0; HEADER];
        if length < HEADER as u64 {
            return Err(Error::damaged(path, "it ends within its header"));
        }
        read(source, &mut head, path)?;
        let header = Header::decode(&head, length, path)?;
        let mut tables = vec![0; header.table_length() as usize];
        read(source, &mut tables, path)?;
        if checksum::of(&tables) != header.tables {
            return Err(Error::damaged(path, "the checksum of its tables does not match"));
        }
        let (packs, sections) = table::decode(&tables, &header, path)?;
        let bodies = sections.iter().map(|entry| read_body(source, entry, path)).collect::<Result<_>>()?;
        Ok(Self { packs, sections, bodies, length, identity: header.tables })
    }

    /// Hands out a section, once.
    pub(crate) fn take(&mut self, kind: &str) -> Option<Section> {
        let at = self.sections.iter().position(|section| section.kind == kind)?;
        let body = self.bodies[at].take()?;
        Some(Section { version: self.sections[at].version, body })
    }

    /// Kinds of the required sections that were not handed out.
    pub(crate) fn remaining(&self) -> impl Iterator<Item = &str> {
        let pairs = self.sections.iter().zip(&self.bodies);
        pairs.filter(|(entry, body)| !entry.optional && body.is_some()).map(|(entry, _)| entry.kind.as_str())
    }
}

/// True if the file begins like a manifest of any version.
pub(crate) fn begins_like_one(source: &mut impl Read) -> bool {
    let mut magic = [0; 8];
    source.read_exact(&mut magic).is_ok() && header::has_magic(&magic)
}

/// The bytes of a manifest with these packs and sections; the places of the bodies are set here.
pub(crate) fn encode(packs: &[PackEntry], sections: &mut [(SectionEntry, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut header =
        Header { packs: packs.len() as u32, sections: sections.len() as u32, total: 0, tables: 0 };
    let mut end = HEADER as u64 + header.table_length();
    for (entry, _) in sections.iter_mut() {
        entry.offset = end;
        end += entry.length;
    }
    crate::limits::check("the length of a manifest", end, crate::limits::MANIFEST)?;
    let mut tables: Vec<u8> = packs.iter().flat_map(PackEntry::encode).collect();
    tables.extend(sections.iter().flat_map(|(entry, _)| entry.encode()));
    header.total = end;
    header.tables = checksum::of(&tables);
    let mut out = Vec::with_capacity(end as usize);
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(&tables);
    sections.iter().for_each(|(_, body)| out.extend_from_slice(body));
    Ok(out)
}

fn read_body(source: &mut impl Read, entry: &SectionEntry, path: &Path) -> Result<Option<Vec<u8>>> {
    let mut body = vec![0; entry.length as usize]; // bounded by the size of the file, which the table fills
    read(source, &mut body, path)?;
    if checksum::of(&body) != entry.checksum {
        let kind = &entry.kind;
        return Err(Error::damaged(path, format!("the checksum of section \"{kind}\" does not match")));
    }
    Ok(Some(body))
}

fn read(source: &mut impl Read, buffer: &mut [u8], path: &Path) -> Result<()> {
    source.read_exact(buffer).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => Error::damaged(path, "it ends too early"),
        _ => Error::io("read", path, &error),
    })
}
