//! Contents of files: copying them as fast as the file systems can, and summing them up.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use sys::{Errno, files, trees};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Bytes that are looked at together.
pub const BLOCK: u64 = 1 << 20;

/// Copies `length` bytes into an empty file: by sharing extents where that can be had, else within the kernel, else by
/// reading and writing. Holes stay holes.
pub fn copy(from: &File, to: &File, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    if trees::share_extents(from.as_fd(), to.as_fd()).is_ok() {
        return Ok(());
    }
    // Gives the file its length first: a full disk shows early where the file system knows, and the last hole is there.
    to.set_len(length)?;
    let mut in_kernel = true;
    for (start, end) in Extents::of(from, length) {
        let mut at = start;
        while at < end {
            let done = if in_kernel { copy_within_kernel(from, to, at, end - at)? } else { None };
            match done {
                Some(0) => return Ok(()),
                Some(copied) => at += copied,
                None => {
                    in_kernel = false;
                    at += copy_block(from, to, at, (end - at).min(BLOCK))?;
                }
            }
        }
    }
    Ok(())
}

/// `None` where the kernel cannot copy between these two.
fn copy_within_kernel(from: &File, to: &File, at: u64, length: u64) -> io::Result<Option<u64>> {
    const CANNOT: [i32; 5] = [libc::EXDEV, libc::EINVAL, libc::EOPNOTSUPP, libc::ENOSYS, libc::EPERM];
    match trees::copy_range(from.as_fd(), to.as_fd(), at, length.min(1 << 30)) {
        Ok(copied) => Ok(Some(copied)),
        Err(Errno(number)) if CANNOT.contains(&number) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn copy_block(from: &File, to: &File, at: u64, length: u64) -> io::Result<u64> {
    let mut block = vec![0; length as usize];
    let got = read_up_to(from, &mut block, at)?;
    to.write_all_at(&block[..got], at)?;
    // A file that became shorter meanwhile: the rest stays a hole.
    Ok(length)
}

fn read_up_to(file: &File, block: &mut [u8], at: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < block.len() {
        match file.read_at(&mut block[got..], at + got as u64) {
            Ok(0) => break,
            Ok(read) => got += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// The parts of a file that hold data (`SEEK_DATA`); all of it where the file system does not tell.
struct Extents<'a> {
    file: &'a File,
    at: u64,
    length: u64,
}

impl<'a> Extents<'a> {
    fn of(file: &'a File, length: u64) -> Self {
        Self { file, at: 0, length }
    }
}

impl Iterator for Extents<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.length {
            return None;
        }
        let start = match files::next_data(self.file.as_fd(), self.at) {
            Ok(None) => return None,
            Ok(Some(start)) => start,
            Err(_) => self.at,
        };
        let end = files::next_hole(self.file.as_fd(), start).ok().flatten().unwrap_or(self.length);
        let end = end.min(self.length);
        self.at = end.max(start + 1);
        (start < end).then_some((start, end))
    }
}

/// The checksum of a file's contents: XXH3 over the checksums of its blocks of 1 MiB. Holes count as the zeros that they
/// are, and are not read. `go_on` hears how many bytes have been looked at since it was last asked.
pub fn checksum(file: &File, length: u64, go_on: &mut dyn FnMut(u64) -> bool) -> io::Result<Option<u64>> {
    let zeros = vec![0; BLOCK as usize];
    let whole_hole = xxh3_64(&zeros);
    let mut block = vec![0; BLOCK.min(length) as usize];
    let mut sum = Xxh3::new();
    let mut data = 0..0;
    let mut at = 0;
    while at < length {
        let size = BLOCK.min(length - at);
        if data.end <= at {
            data = next_extent(file, at, length);
        }
        let of_block = if data.start >= at + size && size == BLOCK {
            whole_hole
        } else if data.start >= at + size {
            xxh3_64(&zeros[..size as usize])
        } else {
            let piece = &mut block[..size as usize];
            let got = read_up_to(file, piece, at)?;
            if got < piece.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            xxh3_64(piece)
        };
        sum.update(&of_block.to_le_bytes());
        if !go_on(size) {
            return Ok(None);
        }
        at += size;
    }
    Ok(Some(sum.digest()))
}

fn next_extent(file: &File, at: u64, length: u64) -> std::ops::Range<u64> {
    Extents { file, at, length }.next().map_or(length..length.max(at + 1), |(start, end)| start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_sparse_file_is_copied_with_its_holes_and_has_one_checksum_however_it_lies() {
        let folder = std::env::temp_dir().join(format!("stasis-content-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let make =
            |name: &str| File::options().read(true).write(true).create_new(true).open(folder.join(name));
        let (sparse, copied, full) = (make("sparse").unwrap(), make("copy").unwrap(), make("full").unwrap());
        let length = (9 << 20) + 17;
        sparse.set_len(length).unwrap();
        sparse.write_all_at(b"in the middle", (4 << 20) + 5).unwrap();
        copy(&sparse, &copied, length).unwrap();
        let mut bytes = vec![0; length as usize];
        sparse.read_exact_at(&mut bytes, 0).unwrap();
        full.write_all_at(&bytes, 0).unwrap();
        assert!(copied.metadata().unwrap().blocks() < 64, "it has no holes");
        let sums = [&sparse, &copied, &full].map(|file| checksum(file, length, &mut |_| true).unwrap());
        assert!(sums[0].is_some() && sums[0] == sums[1] && sums[1] == sums[2]);
        copied.write_all_at(b"X", 8 << 20).unwrap();
        assert_ne!(checksum(&copied, length, &mut |_| true).unwrap(), sums[0]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
