//! One row: what an application's id and key stand for.
//!
//! ```text
//! word 0  virtual id; 0 unless it may be translated      word 4  state
//!      1  system id                                           5  the virtual id that was chosen
//!      2  the application's key                               6  unused
//!      3  the kernel's key                                    7  unused
//! ```
//! The core's assembly reads word 1 and then word 0: whoever publishes writes word 1 before word 0, whoever frees
//! clears word 0 first, so a thread that finds its id in word 0 has read the system id that belongs to it.

use crate::class::{Class, Key, Srid, Vrid};

pub(crate) const ROW_WORDS: usize = 8;
/// Size of a row in bytes.
pub const ROW_BYTES: usize = ROW_WORDS * 4;

pub(crate) const VRID: usize = 0;
pub(crate) const SRID: usize = 1;
pub(crate) const KEY: usize = 2;
pub(crate) const SYSTEM_KEY: usize = 3;
pub(crate) const STATE: usize = 4;
pub(crate) const CHOSEN: usize = 5;

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Nothing.
    Free = 0,
    /// An object that is about to be created under the row's system key. It cannot be translated yet.
    Creating = 1,
    /// An object that is there.
    Live = 2,
    /// An object that was removed but lives on while it is attached: translatable, without a key.
    Removed = 3,
    /// An object whose removal is under way: translatable.
    Removing = 4,
}

impl State {
    pub(crate) fn of(word: u32) -> Self {
        match word {
            1 => Self::Creating,
            2 => Self::Live,
            3 => Self::Removed,
            4 => Self::Removing,
            _ => Self::Free,
        }
    }

    /// Whether the row's id stands for an object of the kernel.
    #[must_use]
    pub fn is_translatable(self) -> bool {
        matches!(self, Self::Live | Self::Removed | Self::Removing)
    }
}

/// A copy of one row that is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub class: Class,
    /// The id that the application has, or will have.
    pub vrid: Vrid,
    /// The kernel's id; nothing while the row is [`State::Creating`].
    pub srid: Srid,
    /// The application's key; [`Key::PRIVATE`] for none.
    pub key: Key,
    /// The key that the kernel knows the object by.
    pub system_key: Key,
    pub state: State,
}
