//! Bytes at offsets: the product's own file, or a slice of memory in the tests.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;

/// Random access to a fixed number of bytes. Every read is checked against the length first.
pub trait Source {
    fn length(&self) -> u64;

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the range does not lie inside the source.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<()>;

    /// The bytes of a range, of at most `limit` bytes: a length that comes from a file must not size an allocation
    /// beyond what the file could hold or the reader expects.
    ///
    /// # Errors
    /// `InvalidData` above the limit, `UnexpectedEof` outside the source.
    fn bytes(&self, offset: u64, length: u64, limit: u64) -> Result<Vec<u8>> {
        if length > limit {
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!("{length} bytes, where {limit} is the limit"),
            ));
        }
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > self.length()) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut buffer = vec![0; usize::try_from(length).map_err(Error::other)?];
        self.fill(&mut buffer, offset)?;
        Ok(buffer)
    }
}

/// A file with the length that it had when it was opened.
pub struct OwnFile {
    file: File,
    length: u64,
}

impl OwnFile {
    /// # Errors
    /// What the kernel says.
    pub fn open(path: &str) -> Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl Source for OwnFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

impl Source for [u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let start = usize::try_from(offset).map_err(Error::other)?;
        let range = start.checked_add(buffer.len()).and_then(|end| self.get(start..end));
        buffer.copy_from_slice(range.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
