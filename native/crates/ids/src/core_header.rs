//! What lies at [`CORE`](crate::CORE): how whoever reads a process's memory knows the core's places.

/// First bytes of the core.
pub const MAGIC: [u8; 8] = *b"STIDCORE";
/// Version of the header and of the core's entries.
pub const VERSION: u32 = 1;
/// Sections that a core may have at most.
pub const MAX_SECTIONS: usize = 16;

/// The header, followed by its sections.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub magic: [u8; 8],
    pub version: u32,
    /// How many [`Section`]s follow.
    pub sections: u32,
    /// Length of the image in bytes.
    pub length: u64,
    /// Address of `extern "C" fn(nr, a0, a1, a2, a3, a4, a5) -> isize`: a system call as the application is to see
    /// it; the result is the kernel's, negative for errors.
    pub call: u64,
    /// Address where a thread goes on whose stack pointer is at a signal frame's first word: it makes the call that the
    /// frame's registers describe, puts the result into the frame and returns through it.
    pub enter: u64,
    /// Address of `extern "C" fn(vrid, operations, count)`: notes what SEM_UNDO will undo, for whoever has made a semop
    /// of these operations by a section, with success.
    pub note: u64,
}

/// The instructions of one system call with a translated id. They begin with a look-up of the virtual id in r9, so that a
/// thread within can be put back to `start` at any time, unless its call has ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Address of the first instruction.
    pub start: u64,
    /// Address just behind the `syscall` instruction: a thread here has made its call or waits in it.
    pub end: u64,
    /// The call's number.
    pub nr: u64,
}

const HEADER_BYTES: usize = size_of::<Header>();
const SECTION_BYTES: usize = size_of::<Section>();

impl Header {
    /// Reads a header from the first bytes of a core.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|i| bytes[at + i]));
        let header = Self {
            magic: core::array::from_fn(|i| bytes[i]),
            version: word(8) as u32,
            sections: (word(8) >> 32) as u32,
            length: word(16),
            call: word(24),
            enter: word(32),
            note: word(40),
        };
        (header.magic == MAGIC && header.version == VERSION).then_some(header)
    }

    /// The sections behind the header, at most [`MAX_SECTIONS`].
    pub fn sections(self, bytes: &[u8]) -> impl Iterator<Item = Section> + '_ {
        let tail = bytes.get(HEADER_BYTES..).unwrap_or(&[]);
        tail.chunks_exact(SECTION_BYTES).take((self.sections as usize).min(MAX_SECTIONS)).map(|bytes| {
            let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|i| bytes[at + i]));
            Section { start: word(0), end: word(8), nr: word(16) }
        })
    }
}
