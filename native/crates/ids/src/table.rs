//! The table as everybody reads it: no lock, no system call.

use core::fmt;
use core::sync::atomic::AtomicU32;

use crate::class::{Class, Key, Srid, Vrid};
use crate::index::Index;
use crate::layout::{self, ClassWord, class_word};
use crate::row::{self, Row, State};
use crate::store::{get, put};
use crate::{CAPACITY, Ledger};

/// Version of the layout. Another one is refused.
pub const VERSION: u32 = 1;

/// Why memory is not a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is shorter than a table.
    Short,
    /// It does not begin with a table's first words.
    Magic,
    /// It is a table of another version (the one found).
    Version(u32),
    /// It was formatted with another size.
    Size,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the translation table is shorter than its layout"),
            Self::Magic => f.write_str("the memory is not a translation table"),
            Self::Version(found) => write!(f, "the translation table has version {found}, not {VERSION}"),
            Self::Size => f.write_str("the translation table has another size than its layout"),
        }
    }
}

impl core::error::Error for Broken {}

/// How full a class is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that are not free.
    pub used: u32,
    /// One more than the highest index of a row that is not free; 0 for none.
    pub span: u32,
}

/// The table in memory `'m`.
#[derive(Clone, Copy)]
pub struct Table<'m> {
    pub(crate) words: &'m [AtomicU32],
}

impl<'m> Table<'m> {
    /// Makes an empty table of memory that is all zero (a new file).
    ///
    /// # Errors
    /// The memory is too short.
    pub fn format(words: &'m [AtomicU32]) -> Result<Self, Broken> {
        let words = words.get(..layout::WORDS).ok_or(Broken::Short)?;
        put(&words[layout::VERSION_AT], VERSION);
        put(&words[layout::SIZE_AT], layout::WORDS as u32);
        put(&words[layout::MAGIC_AT + 1], layout::MAGIC[1]);
        put(&words[layout::MAGIC_AT], layout::MAGIC[0]);
        Ok(Self { words })
    }

    /// Takes memory as the table that it is.
    ///
    /// # Errors
    /// It is none, or one of another version.
    pub fn open(words: &'m [AtomicU32]) -> Result<Self, Broken> {
        let words = words.get(..layout::WORDS).ok_or(Broken::Short)?;
        if [get(&words[layout::MAGIC_AT]), get(&words[layout::MAGIC_AT + 1])] != layout::MAGIC {
            return Err(Broken::Magic);
        }
        match get(&words[layout::VERSION_AT]) {
            VERSION if get(&words[layout::SIZE_AT]) == layout::WORDS as u32 => Ok(Self { words }),
            VERSION => Err(Broken::Size),
            other => Err(Broken::Version(other)),
        }
    }

    /// A number that is another one in every clone; 0 for an application that is none.
    #[must_use]
    #[inline]
    pub fn generation(&self) -> u32 {
        get(&self.words[layout::GENERATION_AT])
    }

    /// For whoever makes the table, before a program sees it.
    pub fn set_generation(&self, generation: u32) {
        put(&self.words[layout::GENERATION_AT], generation);
    }

    /// The kernel's id of what the application calls `vrid`.
    #[must_use]
    #[inline]
    pub fn forward(&self, class: Class, vrid: Vrid) -> Option<Srid> {
        if !vrid.is_possible() {
            return None;
        }
        let at = self.row_words(class, vrid.index());
        let srid = get(&at[row::SRID]); // before the comparison: see row.rs
        (get(&at[row::VRID]) == vrid.0 as u32).then_some(Srid(srid as i32))
    }

    /// The application's id of what the kernel calls `srid`.
    #[must_use]
    #[inline]
    pub fn reverse(&self, class: Class, srid: Srid) -> Option<Vrid> {
        let index = Index::by_srid(self.words, class).find(srid.0 as u32, |index| {
            let at = self.row_words(class, index);
            get(&at[row::VRID]) != 0 && get(&at[row::SRID]) == srid.0 as u32
        })?;
        let vrid = Vrid(get(&self.row_words(class, index)[row::VRID]) as i32);
        (self.forward(class, vrid) == Some(srid)).then_some(vrid)
    }

    /// The row that `key` of the application names. [`Key::PRIVATE`] names none, nor does the key of a removed object.
    #[must_use]
    pub fn by_key(&self, class: Class, key: Key) -> Option<Row> {
        if key == Key::PRIVATE {
            return None;
        }
        let named = |index| {
            let at = self.row_words(class, index);
            let state = State::of(get(&at[row::STATE]));
            matches!(state, State::Live | State::Removing) && get(&at[row::KEY]) == key.0 as u32
        };
        let index = Index::by_key(self.words, class).find(key.0 as u32, named)?;
        self.row(class, index).filter(|row| row.key == key)
    }

    /// The row at `index`, unless it is free.
    #[must_use]
    pub fn row(&self, class: Class, index: u32) -> Option<Row> {
        if index >= CAPACITY {
            return None;
        }
        let at = self.row_words(class, index);
        let state = State::of(get(&at[row::STATE]));
        (state != State::Free).then(|| Row {
            class,
            vrid: Vrid(get(&at[row::CHOSEN]) as i32),
            srid: Srid(get(&at[row::SRID]) as i32),
            key: Key(get(&at[row::KEY]) as i32),
            system_key: Key(get(&at[row::SYSTEM_KEY]) as i32),
            state,
        })
    }

    /// The row of `vrid`, if that is its id today and may be translated.
    #[must_use]
    pub fn row_of(&self, class: Class, vrid: Vrid) -> Option<Row> {
        self.row(class, vrid.index()).filter(|row| row.vrid == vrid && row.state.is_translatable())
    }

    /// Every row that is not free, by index. Complete and exact under the lock; without it a row may be in the making.
    pub fn rows(&self, class: Class) -> impl Iterator<Item = Row> + use<'m> {
        let table = *self;
        (0..self.counts(class).span).filter_map(move |index| table.row(class, index))
    }

    /// How full the class is.
    #[must_use]
    pub fn counts(&self, class: Class) -> Counts {
        Counts {
            used: get(self.class_word(class, ClassWord::Used)),
            span: get(self.class_word(class, ClassWord::Span)),
        }
    }

    /// The last id of the class that was given out; `Vrid(0)` before the first. What a snapshot keeps so that ids
    /// that were freed stay unused (see [`Change::set_last`](crate::Change::set_last)).
    #[must_use]
    pub fn last(&self, class: Class) -> Vrid {
        Vrid(get(self.class_word(class, ClassWord::Last)) as i32)
    }

    /// The SEM_UNDO adjustments of the application's processes.
    #[must_use]
    pub fn ledger(&self) -> Ledger<'m> {
        Ledger::new(self.words)
    }

    #[inline]
    pub(crate) fn row_words(&self, class: Class, index: u32) -> &'m [AtomicU32] {
        let at = layout::row(class, index & (CAPACITY - 1));
        &self.words[at..at + row::ROW_WORDS]
    }

    pub(crate) fn class_word(&self, class: Class, word: ClassWord) -> &'m AtomicU32 {
        &self.words[class_word(class, word)]
    }
}
