//! A range of addresses that this process fills for others: no value of its own lies there.

use crate::{Errno, Result};
use std::fs::File;
use std::os::fd::AsRawFd;

/// Memory at addresses that were chosen, private to this process and to those that it forks.
#[derive(Debug)]
pub struct Region {
    start: u64,
    length: u64,
}

impl Region {
    /// Maps fresh anonymous memory; `flags` are further ones of mmap(2), such as MAP_NORESERVE. `EEXIST` where something is
    /// mapped in the range.
    pub fn map(start: u64, length: u64, flags: u64) -> Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE | flags as i32;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let wish = start as *mut libc::c_void;
        // SAFETY: the range is mapped only where nothing is, so no memory in use changes.
        let got = unsafe { libc::mmap(wish, length as usize, protection, flags, -1, 0) };
        if got == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let region = Self { start: got as u64, length };
        // Kernels before 4.17 take the address as a hint; the region is dropped, and with it unmapped.
        if region.start == start { Ok(region) } else { Err(Errno::EEXIST) }
    }

    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Reads `length` bytes of `file` from `offset` on to `at`, all of which must be in the region.
    pub fn read(&mut self, file: &File, offset: u64, at: u64, length: u64) -> Result<()> {
        self.require(at, length)?;
        let mut done = 0;
        while done < length {
            let (target, rest) = ((at + done) as *mut libc::c_void, (length - done).min(1 << 30) as usize);
            let from = (offset + done) as libc::off_t;
            // SAFETY: the target lies in this region, which nothing else refers to.
            let got = unsafe { libc::pread(file.as_raw_fd(), target, rest, from) };
            match Errno::check(got as i64) {
                Ok(0) => return Err(Errno(libc::ENODATA)),
                Ok(got) => done += got,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Puts `bytes` at the region's start and makes the region executable instead of writable.
    pub fn hold_code(&mut self, bytes: &[u8]) -> Result<()> {
        self.require(self.start, bytes.len() as u64)?;
        // SAFETY: the region is writable, long enough, and nothing else refers to it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start as *mut u8, bytes.len()) };
        let (start, protection) = (self.start as *mut libc::c_void, libc::PROT_READ | libc::PROT_EXEC);
        // SAFETY: changes this region alone.
        Errno::check(unsafe { libc::mprotect(start, self.length as usize, protection) }.into()).map(drop)
    }

    /// Puts the pages of a part of the region into huge ones (MADV_COLLAPSE, Linux 6.1). `EINVAL` where there are none.
    pub fn collapse(&self, at: u64, length: u64) -> Result<()> {
        const MADV_COLLAPSE: i32 = 25;
        self.require(at, length)?;
        // SAFETY: the contents stay as they are.
        let done = unsafe { libc::madvise(at as *mut libc::c_void, length as usize, MADV_COLLAPSE) };
        Errno::check(done.into()).map(drop)
    }

    fn require(&self, at: u64, length: u64) -> Result<()> {
        let within =
            at >= self.start && at.checked_add(length).is_some_and(|end| end <= self.start + self.length);
        if within { Ok(()) } else { Err(Errno::EINVAL) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the region any more.
        unsafe { libc::munmap(self.start as *mut libc::c_void, self.length as usize) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const PLACE: u64 = 0x2345_0000_0000;

    #[test]
    fn a_region_is_filled_from_a_file_and_leaves_nothing() {
        let mut file = crate::memory::memory_file(c"region", 0).unwrap();
        file.write_all(&[7; 8192]).unwrap();
        let mut region = Region::map(PLACE, 0x20_0000, 0).unwrap();
        assert_eq!(Region::map(PLACE + 4096, 4096, 0).err(), Some(Errno::EEXIST));
        region.read(&file, 4096, PLACE + 4096, 4096).unwrap();
        assert_eq!(region.read(&file, 4096, PLACE, 8192).err(), Some(Errno(libc::ENODATA)));
        assert_eq!(region.read(&file, 0, PLACE + 0x20_0000, 1).err(), Some(Errno::EINVAL));
        let mut found = [0; 2];
        let own = std::process::id() as i32;
        crate::memory::read_process(own, PLACE + 4095, &mut found).unwrap();
        assert_eq!(found[1], 7);
        drop(region);
        assert_eq!(crate::memory::read_process(own, PLACE, &mut found), Err(Errno::EFAULT));
    }
}
