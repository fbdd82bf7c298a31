//! The core and the table at their fixed addresses.

use core::slice;
use core::sync::atomic::AtomicU32;

use ids::core_header::Header;
use ids::{BYTES, CORE, CORE_BYTES, TABLE, Table, WORDS};

use crate::libc::raw;

const READ: u64 = 0;
const CLOSE: u64 = 3;
const LSEEK: u64 = 8;
const MMAP: u64 = 9;
const MUNMAP: u64 = 11;
const OPEN: u64 = 2;

const O_RDONLY: u64 = 0;
const O_RDWR: u64 = 2;
const O_CLOEXEC: u64 = 0o2_000_000;
const SEEK_END: u64 = 2;

const PROT_READ_WRITE: u64 = 3;
const PROT_READ_EXEC: u64 = 5;
const MAP_SHARED: u64 = 1;
const MAP_PRIVATE: u64 = 2;
const MAP_FIXED_NOREPLACE: u64 = 0x10_0000;
const EEXIST: isize = -17;
const PAGE: usize = 4096;
const HEADER_BYTES: usize = size_of::<Header>();

/// A path that ends with a zero byte, in the folder of the library.
pub struct Path([u8; 512]);

impl Path {
    /// `folder` (with its last slash) and `name`, if they fit.
    pub fn new(folder: &[u8], name: &str) -> Option<Self> {
        let mut bytes = [0; 512];
        let mut places = bytes.iter_mut();
        for byte in folder.iter().chain(name.as_bytes()).chain(&[0]) {
            *places.next()? = *byte;
        }
        Some(Self(bytes))
    }
}

/// A file that is open for as long as it takes to map it.
struct Opened(u64);

impl Opened {
    fn at(path: &Path, flags: u64) -> Option<Self> {
        let fd = raw(OPEN, [path.0.as_ptr() as u64, flags | O_CLOEXEC, 0, 0, 0, 0]);
        (fd >= 0).then_some(Self(fd as u64))
    }

    /// Maps the file's beginning at exactly `address`. True if it lies there, or something did already.
    fn map(&self, address: u64, bytes: u64, access: u64, sharing: u64) -> bool {
        let flags = sharing | MAP_FIXED_NOREPLACE;
        let got = raw(MMAP, [address, bytes, access, flags, self.0, 0]);
        if got >= 0 && got as u64 != address {
            raw(MUNMAP, [got as u64, bytes, 0, 0, 0, 0]); // kernels before 4.17 take the address for a wish
            return false;
        }
        got == address as isize || got == EEXIST
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        raw(CLOSE, [self.0, 0, 0, 0, 0, 0]);
    }
}

/// Maps the table, unless it is there.
pub fn map_table(path: &Path) -> bool {
    let Some(file) = Opened::at(path, O_RDWR) else { return false };
    // Touching memory beyond the file's end would be fatal.
    let long_enough = raw(LSEEK, [file.0, 0, SEEK_END, 0, 0, 0]) >= BYTES as isize;
    long_enough && file.map(TABLE, BYTES as u64, PROT_READ_WRITE, MAP_SHARED) && table().is_some()
}

/// The table, once it is mapped.
pub fn table() -> Option<Table<'static>> {
    // SAFETY: called after the table was mapped, which nobody unmaps or shortens; its words are atomic.
    let words = unsafe { slice::from_raw_parts(TABLE as *const AtomicU32, WORDS) };
    Table::open(words).ok()
}

/// Maps the core, unless it is there, and gives its first bytes: the header and what it describes.
pub fn map_core(path: &Path) -> Option<(Header, &'static [u8])> {
    let file = Opened::at(path, O_RDONLY)?;
    let mut bytes = [0u8; HEADER_BYTES];
    let got = raw(READ, [file.0, bytes.as_mut_ptr() as u64, HEADER_BYTES as u64, 0, 0, 0]);
    let header = Header::read(&bytes).filter(|header| got == HEADER_BYTES as isize && is_sound(header))?;
    if !file.map(CORE, header.length, PROT_READ_EXEC, MAP_PRIVATE) {
        return None;
    }
    // SAFETY: a page that can be read lies there: of what was just mapped, or of what was mapped before an exec of ours.
    let mapped = unsafe { slice::from_raw_parts(CORE as *const u8, PAGE) };
    Header::read(mapped).filter(is_sound).map(|header| (header, mapped))
}

fn is_sound(header: &Header) -> bool {
    let entries = [header.call, header.note];
    header.length <= CORE_BYTES && entries.iter().all(|entry| (CORE..CORE + header.length).contains(entry))
}
