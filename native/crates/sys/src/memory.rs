//! Memory of this process and of others: memory files, process_vm_readv(2), PAGEMAP_SCAN.

use crate::{Errno, Result};
use libc::pid_t;
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};

/// A range of pages that `PAGEMAP_SCAN` or the pagemap file reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PageRegion {
    pub start: u64,
    pub end: u64,
    pub categories: u64,
}

pub const PAGE_IS_FILE: u64 = 1 << 2;
pub const PAGE_IS_PRESENT: u64 = 1 << 3;
pub const PAGE_IS_SWAPPED: u64 = 1 << 4;
pub const PAGE_IS_PFNZERO: u64 = 1 << 5;
/// Made inaccessible by `MADV_GUARD_INSTALL`; kernel 6.15.
pub const PAGE_IS_GUARD: u64 = 1 << 8;

#[repr(C)]
#[derive(Default)]
struct ScanArguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `_IOWR('f', 16, struct pm_scan_arg)`, kernel 6.7.
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// memfd_create(2), close-on-exec.
pub fn memory_file(name: &CStr, flags: u32) -> Result<File> {
    // SAFETY: `name` is NUL-terminated; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | flags).into())?;
        Ok(File::from_raw_fd(fd as i32))
    }
}

/// Copies `buffer.len()` bytes from `address` of process `pid`; returns how many came before a fault.
pub fn read_process(pid: pid_t, address: u64, buffer: &mut [u8]) -> Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: buffer.len() };
    // SAFETY: the local vector describes `buffer`; the kernel checks the remote one.
    let got = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    Errno::check(got as i64).map(|n| n as usize)
}

/// Copies `data` to `address` of process `pid`; returns how many bytes went before a fault.
pub fn write_process(pid: pid_t, address: u64, data: &[u8]) -> Result<usize> {
    let local = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: data.len() };
    // SAFETY: the local vector describes `data`, which is only read; the kernel checks the remote one.
    let got = unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) };
    Errno::check(got as i64).map(|n| n as usize)
}

/// The next pages of `start..end` that have all categories of `all` (after inverting `inverted`) and one of
/// `any`; the regions tell which of `told` they have. Returns them and where the walk ended. `ENOTTY` on kernels before
/// 6.7, `EINVAL` where a category is unknown.
pub fn pagemap_scan(
    pagemap: &File,
    range: std::ops::Range<u64>,
    inverted: u64,
    all: u64,
    any: u64,
    told: u64,
    regions: &mut Vec<PageRegion>,
) -> Result<u64> {
    let mut found = [PageRegion::default(); 512];
    let mut arguments = ScanArguments {
        size: std::mem::size_of::<ScanArguments>() as u64,
        start: range.start,
        end: range.end,
        vec: found.as_mut_ptr() as u64,
        vec_len: found.len() as u64,
        category_inverted: inverted,
        category_mask: all,
        category_anyof_mask: any,
        return_mask: told,
        ..ScanArguments::default()
    };
    // SAFETY: the arguments describe `found`, which outlives the call; their size is in their first field.
    let got = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN as _, &raw mut arguments) };
    let got = Errno::check(got.into())? as usize;
    regions.extend_from_slice(&found[..got]);
    Ok(arguments.walk_end)
}

/// The size of a page, in bytes.
pub const PAGE: u64 = 4096;

/// Copies the remote `ranges` (address, bytes), one after the other, into `buffer`, whose length is their sum; at most
/// `UIO_MAXIOV` (1024) ranges. Returns how many bytes came before a fault.
pub fn read_process_ranges(pid: pid_t, ranges: &[(u64, u64)], buffer: &mut [u8]) -> Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote: Vec<libc::iovec> = ranges
        .iter()
        .map(|&(address, length)| libc::iovec { iov_base: address as *mut _, iov_len: length as usize })
        .collect();
    // SAFETY: the local vector describes `buffer`; the kernel checks the remote ones.
    let got =
        unsafe { libc::process_vm_readv(pid, &raw const local, 1, remote.as_ptr(), remote.len() as u64, 0) };
    Errno::check(got as i64).map(|n| n as usize)
}

/// Writes `data` at `offset` of a file through a shared mapping: hugetlbfs files take no write(2).
pub fn write_through_mapping(file: &File, offset: u64, data: &[u8], page_size: u64) -> Result<()> {
    let base = offset / page_size * page_size;
    let length = (offset + data.len() as u64 - base).next_multiple_of(page_size) as usize;
    // SAFETY: the mapping is fresh, covers base..base+length, and is gone before this returns; `data` fits between
    // offset - base and its end.
    unsafe {
        let at = libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            base as i64,
        );
        if at == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        std::ptr::copy_nonoverlapping(
            data.as_ptr(),
            at.cast::<u8>().add((offset - base) as usize),
            data.len(),
        );
        Errno::check(libc::munmap(at, length).into()).map(drop)
    }
}

/// The file behind a new anonymous shared mapping of `length` bytes, as nothing else gives it: without a name, and of
/// pages of `huge` bytes when that is not 0. Needs CAP_CHECKPOINT_RESTORE (/proc/PID/map_files).
pub fn anonymous_shared_file(length: u64, huge: u64) -> Result<File> {
    let length = length as usize;
    let page_size = if huge == 0 {
        0
    } else {
        libc::MAP_HUGETLB | (huge.trailing_zeros() << libc::MAP_HUGE_SHIFT) as i32
    };
    // SAFETY: the mapping is fresh, nothing else knows of it, and it is gone before this returns; the file outlives it.
    unsafe {
        let at = libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS | page_size,
            -1,
            0,
        );
        if at == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let start = at as usize;
        let path =
            format!("/proc/self/map_files/{start:x}-{:x}", start + length.next_multiple_of(PAGE as usize));
        let file = File::options().read(true).write(true).open(path).map_err(|error| Errno::from_io(&error));
        Errno::check(libc::munmap(at, length).into())?;
        file
    }
}
