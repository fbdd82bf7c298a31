//! Where everything lies in the table, in words of 32 bits. Memory that was never written is zero, and means empty:
//! the file is sparse and takes what is used.
//!
//! ```text
//!      0  header: magic (2), version, size, lock, ledger's entries and losses, generation, then 16 words for each class from word 16
//!   1024  ledger of SEM_UNDO adjustments: 131072 slots of 4 words
//!         bitmaps of used rows, for each class: 32768 + 1024 + 32 + 1 words
//!         rows, for each class: 2^20 of 8 words
//!         indexes, for each class two (by system id, by key): two sides of 2^22 words
//! ```

use crate::class::Class;
use crate::row::{ROW_BYTES, ROW_WORDS};

pub const MAGIC: [u32; 2] = [u32::from_le_bytes(*b"STID"), u32::from_le_bytes(*b"TABL")];
pub const MAGIC_AT: usize = 0;
pub const VERSION_AT: usize = 2;
pub const SIZE_AT: usize = 3;
pub const LOCK_AT: usize = 4;
pub const LEDGER_COUNT_AT: usize = 5;
pub const LEDGER_LOST_AT: usize = 6;
pub const GENERATION_AT: usize = 7;
const CLASSES_AT: usize = 16;
const CLASS_WORDS: usize = 16;

pub const LEDGER_AT: usize = 1024;
pub const LEDGER_SLOTS: usize = 1 << 17;
pub const LEDGER_SLOT_WORDS: usize = 4;

const BITMAPS_AT: usize = LEDGER_AT + LEDGER_SLOTS * LEDGER_SLOT_WORDS;
/// Words of one bitmap, rounded up to pages.
const BITMAP_WORDS: usize = 34 * 1024;

/// A page boundary, so that the assembly's addresses are round.
const ROWS_AT: usize = (BITMAPS_AT + 3 * BITMAP_WORDS).next_multiple_of(1024);
const ROWS_WORDS: usize = (crate::CAPACITY as usize) * ROW_WORDS;

const INDEXES_AT: usize = ROWS_AT + 3 * ROWS_WORDS;
/// One side holds every level: that of 2^k slots begins at word 2^k.
pub const SIDE_WORDS: usize = 1 << 22;
const INDEX_WORDS: usize = 2 * SIDE_WORDS;

/// Size of the table in words.
pub const WORDS: usize = INDEXES_AT + 6 * INDEX_WORDS;
/// Size of the table in bytes. The file is sparse: a small application's takes some pages of it.
pub const BYTES: usize = WORDS * 4;

/// A word of a class's own in the header.
#[derive(Clone, Copy)]
pub enum ClassWord {
    /// The last id that was given out; 0 before the first.
    Last = 0,
    /// Rows that are not free.
    Used = 1,
    /// One more than the highest index of a row that is not free.
    Span = 2,
    /// Index by system id: epoch and level, slots that are not empty.
    BySrid = 4,
    /// Index by the application's key: the same two words.
    ByKey = 6,
}

#[inline]
pub const fn class_word(class: Class, word: ClassWord) -> usize {
    CLASSES_AT + class as usize * CLASS_WORDS + word as usize
}

pub const fn bitmap(class: Class) -> usize {
    BITMAPS_AT + class as usize * BITMAP_WORDS
}

#[inline]
pub const fn row(class: Class, index: u32) -> usize {
    ROWS_AT + class as usize * ROWS_WORDS + index as usize * ROW_WORDS
}

/// Offset in bytes of a class's first row: rows follow each other without a gap.
#[must_use]
pub const fn row_offset(class: Class) -> usize {
    row(class, 0) * (ROW_BYTES / ROW_WORDS)
}

/// First word of an index's two sides. `which` is 0 for system ids and 1 for keys.
#[inline]
pub const fn index(class: Class, which: usize) -> usize {
    INDEXES_AT + (class as usize * 2 + which) * INDEX_WORDS
}
