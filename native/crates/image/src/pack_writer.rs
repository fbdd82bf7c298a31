//! A pack while it is being written.

use crate::pack::{self, PAGE};
use crate::table::PackEntry;
use crate::worker::{self, Worker};
use crate::{Result, fields, files, limits};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Small pieces are gathered until the next would make more than this many bytes; a multiple of 4096.
const GATHER: usize = 1 << 20;

/// Takes page data in any amount. Every call may report the failure of an earlier one, such as a full disk:
/// the data goes to the file on a thread of its own.
pub struct PackWriter {
    worker: Worker,
    path: PathBuf,
    id: u64,
    /// Where the next data goes; counts what is queued and gathered.
    end: u64,
    gathered: Vec<u8>,
    /// Made ahead, and not used yet.
    prepared: Vec<Vec<u8>>,
}

impl PackWriter {
    /// Makes a new pack in `folder`.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let id = files::random()?;
        let path = folder.join(pack::file_name(id));
        let file = files::create(&path)?;
        let worker = Worker::start(file, path.clone(), pack::header_page(id))?;
        Ok(Self { worker, path, id, end: PAGE, gathered: Vec::new(), prepared: Vec::new() })
    }

    /// The number by which section bodies refer to this pack: a snapshot's own is always its first.
    #[must_use]
    pub fn index(&self) -> u32 {
        0
    }

    /// Copies `data` and queues it; returns the file offset at which it will stand, a multiple of 4096.
    /// For few large pieces, `append_owned` saves the copy.
    ///
    /// # Errors
    /// What failed since the last call; `TooLarge` for a pack beyond the limit.
    pub fn append(&mut self, data: &[u8]) -> Result<u64> {
        if self.gathered.len() + data.len() > GATHER {
            self.queue_gathered()?;
        }
        if data.len() > GATHER {
            let mut buffer = self.take_buffer(data.len());
            buffer.extend_from_slice(data);
            return self.append_owned(buffer);
        }
        let offset = self.place(data.len())?;
        self.gathered.extend_from_slice(data);
        self.gathered.resize(round_up(self.gathered.len()), 0);
        Ok(offset)
    }

    /// Queues a whole buffer and returns at once the file offset at which it will stand, a multiple of 4096.
    /// Waits only while sixteen buffers are queued already.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_owned(&mut self, mut data: Vec<u8>) -> Result<u64> {
        self.queue_gathered()?;
        let offset = self.place(data.len())?;
        data.resize(round_up(data.len()), 0);
        self.worker.write(data)?;
        Ok(offset)
    }

    /// Makes buffers of `length` bytes ahead, `count` or as many as can wait to be written: the kernel takes longer to find
    /// their memory than their owner to fill it.
    pub fn prepare(&mut self, count: usize, length: usize) {
        // Not of zeroes, for which the kernel would find no memory yet.
        self.prepared.resize_with(count.min(worker::DEPTH), || vec![1; round_up(length)]);
    }

    /// An empty buffer with room for `capacity` bytes, recycled if one is free.
    pub fn take_buffer(&mut self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.free_buffer();
        buffer.clear();
        buffer.reserve(round_up(capacity));
        buffer
    }

    /// A buffer of `length` bytes with arbitrary contents, for a caller that overwrites all of it: a
    /// recycled one need not be cleared and filled again.
    pub fn take_filled(&mut self, length: usize) -> Vec<u8> {
        let mut buffer = self.free_buffer();
        buffer.resize(round_up(length), 0);
        buffer.truncate(length);
        buffer
    }

    /// Waits until everything appended is with the kernel (not: on the disk).
    ///
    /// # Errors
    /// What failed since the last call.
    pub fn flush(&mut self) -> Result<()> {
        self.queue_gathered()?;
        self.worker.flush()
    }

    /// Writes the footer and syncs the file to the disk.
    pub(crate) fn finish(mut self) -> Result<PackEntry> {
        self.queue_gathered()?;
        let written = self.worker.finish()?;
        let footer = pack::footer(self.id, written.end, &written.sums);
        let failed = |error: std::io::Error| crate::Error::io("write", &self.path, &error);
        written.file.write_all_at(&footer, written.end).map_err(failed)?;
        // Gives back room beyond the end that was asked for and not needed (fallocate(2), FALLOC_FL_KEEP_SIZE).
        written.file.set_len(written.end + footer.len() as u64).map_err(failed)?;
        files::sync(&written.file, &self.path)?;
        let footer_checksum = fields::u64_at(&footer, footer.len() - 8);
        Ok(PackEntry { id: self.id, data_end: written.end, footer_checksum })
    }

    fn free_buffer(&mut self) -> Vec<u8> {
        self.worker.used_buffer().or_else(|| self.prepared.pop()).unwrap_or_default()
    }

    /// The place of the next `length` bytes.
    fn place(&mut self, length: usize) -> Result<u64> {
        let offset = self.end;
        let end = offset.saturating_add(round_up(length) as u64);
        limits::check("the length of a pack", end, limits::PACK)?;
        self.end = end;
        Ok(offset)
    }

    fn queue_gathered(&mut self) -> Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let next = self.take_buffer(GATHER);
        self.worker.write(std::mem::replace(&mut self.gathered, next))
    }
}

fn round_up(length: usize) -> usize {
    length.next_multiple_of(PAGE as usize)
}
