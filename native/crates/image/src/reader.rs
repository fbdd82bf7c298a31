//! Reading a snapshot: everything that opening can check is checked before anything is handed out.

use crate::manifest::{Manifest, Section, begins_like_one};
use crate::pack::{self, OpenPack, PAGE};
use crate::table::PackEntry;
use crate::{Error, Result, files, verify};
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// A snapshot whose manifest is sound and whose packs are there. Page data is checked by
/// [`Self::verify_packs`] only, because that means to read all of it.
pub struct SnapshotReader {
    manifest: Manifest,
    packs: Vec<OpenPack>,
}

impl SnapshotReader {
    /// Opens the snapshot in `dir`. Packs that are not in `dir/packs` are looked for in the folder `store`,
    /// under the same names.
    ///
    /// # Errors
    /// `NotASnapshot`, `Damaged`, `TooNew`, `TooLarge`, `Io`.
    pub fn open(dir: &Path, store: Option<&Path>) -> Result<Self> {
        let own = dir.join("packs");
        let manifest = read_manifest(dir, &own)?;
        let folders: Vec<&Path> = std::iter::once(own.as_path()).chain(store).collect();
        let packs = manifest.packs.iter().map(|&entry| OpenPack::find(entry, &folders));
        let packs = packs.collect::<Result<_>>()?;
        Ok(Self { manifest, packs })
    }

    /// Hands out a section; `None` if there is none, or if it was handed out before.
    ///
    /// # Errors
    /// None as yet: checksums were looked at by `open`.
    pub fn section(&mut self, kind: &str) -> Result<Option<Section>> {
        Ok(self.manifest.take(kind))
    }

    /// Kind, version and length in bytes of every section, handed out or not.
    pub fn sections(&self) -> impl Iterator<Item = (&str, u16, u64)> {
        self.manifest.sections.iter().map(|entry| (entry.kind.as_str(), entry.version, entry.length))
    }

    /// Call when nothing more will be asked for.
    ///
    /// # Errors
    /// `Unknown` with the names of required sections that nobody asked for.
    pub fn finish(&self) -> Result<()> {
        let names: Vec<String> = self.manifest.remaining().map(|kind| format!("\"{kind}\"")).collect();
        if names.is_empty() { Ok(()) } else { Err(Error::Unknown { names: names.join(", ") }) }
    }

    /// Reads and checks all page data. `progress` gets bytes done and bytes in all, on the calling thread,
    /// and returns false to stop. It is called before the first block and after the last in any case.
    ///
    /// # Errors
    /// `Damaged` with the place of a block that is; `Io`; `Cancelled`.
    pub fn verify_packs(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<()> {
        verify::verify(&self.packs, progress)
    }

    /// The same for the snapshot's own pack, where others are known to be sound.
    ///
    /// # Errors
    /// As [`Self::verify_packs`].
    pub fn verify_own_pack(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<()> {
        verify::verify(&self.packs[..self.packs.len().min(1)], progress)
    }

    /// The file of a pack, for reading at the offsets that section bodies name.
    ///
    /// # Errors
    /// `Damaged` if the snapshot has no pack of this number.
    pub fn pack_file(&self, index: u32) -> Result<&File> {
        Ok(&self.pack(index)?.file)
    }

    /// The file offsets of a pack between which page data lies.
    ///
    /// # Errors
    /// As [`Self::pack_file`].
    pub fn pack_extent(&self, index: u32) -> Result<Range<u64>> {
        Ok(PAGE..self.pack(index)?.entry.data_end)
    }

    /// What a later snapshot needs to refer to a pack of this one.
    ///
    /// # Errors
    /// As [`Self::pack_file`].
    pub fn pack_entry(&self, index: u32) -> Result<PackEntry> {
        Ok(self.pack(index)?.entry)
    }

    pub(crate) fn pack_path(&self, index: u32) -> Result<&Path> {
        Ok(&self.pack(index)?.path)
    }

    /// Tells this snapshot from others: snapshots with the same sections and packs have the same.
    #[must_use]
    pub fn identity(&self) -> u64 {
        self.manifest.identity
    }

    /// How many packs there are, the snapshot's own included.
    #[must_use]
    pub fn pack_count(&self) -> u32 {
        self.packs.len() as u32 // limited when the manifest was read
    }

    /// Bytes of the manifest and of all packs.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let packs = self.packs.iter().map(|pack| pack::file_length(pack.entry.data_end));
        self.manifest.length + packs.sum::<u64>()
    }

    fn pack(&self, index: u32) -> Result<&OpenPack> {
        let count = self.packs.len();
        self.packs.get(index as usize).ok_or_else(|| Error::Damaged {
            what: format!("it refers to pack number {index}, and has {count}"),
        })
    }
}

/// A folder with packs was a snapshot once; without them and without a manifest it never was.
fn read_manifest(dir: &Path, packs: &Path) -> Result<Manifest> {
    let path = dir.join("manifest");
    let no_snapshot = || Error::NotASnapshot { path: dir.to_path_buf() };
    let was_one = packs.is_dir();
    match files::open(&path) {
        Ok(Some((mut file, length))) => {
            if !was_one && !begins_like_one(&mut &file) {
                return Err(no_snapshot());
            }
            std::io::Seek::rewind(&mut file).map_err(|error| Error::io("read", &path, &error))?;
            Manifest::read(&mut file, length, &path)
        }
        Ok(None) if was_one => Err(Error::damaged(&path, "it is missing")),
        Ok(None) => Err(no_snapshot()),
        Err(error) => Err(error),
    }
}
