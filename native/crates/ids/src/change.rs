//! Changes to the table, all under its lock. Each is a short list of stores whose order makes it safe to die between
//! any two of them; see `row.rs` for what readers rely on and `repair.rs` for what the next owner does.

use core::fmt;
use core::sync::atomic::AtomicU32;

use crate::CAPACITY;
use crate::bitmap::Bitmap;
use crate::class::{Class, Key, Srid, Vrid};
use crate::index::Index;
use crate::layout::ClassWord;
use crate::lock::{Guard, Host};
use crate::row::{self, Row, State};
use crate::store::{get, put};
use crate::table::Table;

/// No row of the class is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full(pub Class);

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {CAPACITY} rows for {:?} of the translation table are in use", self.0)
    }
}

impl core::error::Error for Full {}

/// A row that waits for its object.
#[derive(Debug)]
pub struct Reservation {
    class: Class,
    vrid: Vrid,
    /// The id that was the last one before.
    before: Vrid,
}

impl Reservation {
    /// What the object will be.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// The id that the object will have.
    #[must_use]
    pub fn vrid(&self) -> Vrid {
        self.vrid
    }
}

/// What the holder of the lock may do.
pub trait Change {
    /// Takes a row for an object that `key` will name.
    ///
    /// # Errors
    /// Every row is in use.
    fn reserve(&self, class: Class, key: Key) -> Result<Reservation, Full>;
    /// Notes the kernel's key under which the object is about to be made, before the attempt: should the maker die,
    /// its successor looks for an object of that key.
    fn attempt(&self, reservation: &Reservation, system_key: Key);
    /// Makes the row translatable: the object is there.
    fn publish(&self, reservation: Reservation, srid: Srid) -> Vrid;
    /// Gives the row back: there is no object.
    fn abandon(&self, reservation: Reservation);
    /// Says that the object is about to be removed. Undone by [`spare`](Self::spare), done by
    /// [`remove`](Self::remove) or [`retire`](Self::retire).
    fn condemn(&self, class: Class, vrid: Vrid);
    /// The object was not removed after all.
    fn spare(&self, class: Class, vrid: Vrid);
    /// Frees the row: the object is gone. Its SEM_UNDO adjustments go with it.
    fn remove(&self, class: Class, vrid: Vrid);
    /// Takes the key from the row: the object was removed but lives on while it is attached.
    fn retire(&self, class: Class, vrid: Vrid);
    /// Names another object of the kernel for `vrid`. Returns whether there is such a row.
    fn set_srid(&self, class: Class, vrid: Vrid, srid: Srid, system_key: Key) -> bool;
    /// Puts a row (live or removed) at exactly its id: how a restore fills a table. Returns whether its place was free.
    fn place(&self, row: &Row) -> bool;
    /// Makes ids go on after `last` (see [`Table::last`]).
    fn set_last(&self, class: Class, last: Vrid);
}

impl<H: Host> Change for Guard<'_, '_, H> {
    fn reserve(&self, class: Class, key: Key) -> Result<Reservation, Full> {
        let last = self.last(class);
        let index = self.choose(class, last).ok_or(Full(class))?;
        let step = u32::from(last.0 == 0 || index <= last.index());
        let generation = match last.generation() + step {
            generation @ 1..=Vrid::MAX_GENERATION => generation,
            _ => 1,
        };
        let vrid = Vrid::new(index, generation);
        put(self.class_word(class, ClassWord::Last), vrid.0 as u32);
        self.widen(class, index);
        let words = self.row_words(class, index);
        put(&words[row::KEY], key.0 as u32);
        put(&words[row::SYSTEM_KEY], 0);
        put(&words[row::CHOSEN], vrid.0 as u32);
        put(&words[row::STATE], State::Creating as u32);
        self.occupy(class, index);
        Ok(Reservation { class, vrid, before: last })
    }

    fn attempt(&self, reservation: &Reservation, system_key: Key) {
        let words = self.row_words(reservation.class, reservation.vrid.index());
        put(&words[row::SYSTEM_KEY], system_key.0 as u32);
    }

    fn publish(&self, reservation: Reservation, srid: Srid) -> Vrid {
        let Reservation { class, vrid, .. } = reservation;
        let words = self.row_words(class, vrid.index());
        put(&words[row::SRID], srid.0 as u32);
        put(&words[row::VRID], vrid.0 as u32);
        put(&words[row::STATE], State::Live as u32);
        self.enter(class, vrid.index());
        vrid
    }

    fn abandon(&self, reservation: Reservation) {
        self.free(reservation.class, reservation.vrid.index());
        self.set_last(reservation.class, reservation.before); // nobody has seen the id
    }

    fn condemn(&self, class: Class, vrid: Vrid) {
        self.turn(class, vrid, State::Live, State::Removing);
    }

    fn spare(&self, class: Class, vrid: Vrid) {
        self.turn(class, vrid, State::Removing, State::Live);
    }

    fn remove(&self, class: Class, vrid: Vrid) {
        if self.row_of(class, vrid).is_none() {
            return;
        }
        if class == Class::Semaphores {
            self.ledger().clear_set(vrid);
        }
        self.free(class, vrid.index());
    }

    fn retire(&self, class: Class, vrid: Vrid) {
        let Some(row) = self.row_of(class, vrid) else { return };
        let words = self.row_words(class, vrid.index());
        put(&words[row::STATE], State::Removed as u32);
        if row.key != Key::PRIVATE {
            Index::by_key(self.words, class).delete(row.key.0 as u32, vrid.index());
            put(&words[row::KEY], 0);
        }
    }

    fn set_srid(&self, class: Class, vrid: Vrid, srid: Srid, system_key: Key) -> bool {
        let Some(old) = self.row_of(class, vrid) else { return false };
        let index = Index::by_srid(self.words, class);
        index.delete(old.srid.0 as u32, vrid.index());
        let words = self.row_words(class, vrid.index());
        put(&words[row::SYSTEM_KEY], system_key.0 as u32);
        put(&words[row::SRID], srid.0 as u32);
        index.insert(srid.0 as u32, vrid.index(), self.counts(class).used, || self.by_srid_entries(class));
        true
    }

    fn place(&self, row: &Row) -> bool {
        let (class, index) = (row.class, row.vrid.index());
        if !row.vrid.is_possible() || !row.state.is_translatable() || self.row(class, index).is_some() {
            return false;
        }
        self.widen(class, index);
        let words = self.row_words(class, index);
        let removed = row.state == State::Removed;
        put(&words[row::KEY], if removed { 0 } else { row.key.0 as u32 });
        put(&words[row::SYSTEM_KEY], row.system_key.0 as u32);
        put(&words[row::CHOSEN], row.vrid.0 as u32);
        put(&words[row::SRID], row.srid.0 as u32);
        put(&words[row::VRID], row.vrid.0 as u32);
        put(&words[row::STATE], if removed { State::Removed } else { State::Live } as u32);
        self.occupy(class, index);
        self.enter(class, index);
        true
    }

    fn set_last(&self, class: Class, last: Vrid) {
        put(self.class_word(class, ClassWord::Last), last.0.max(0) as u32);
    }
}

/// What the changes are made of.
impl<'m> Table<'m> {
    /// The next free row, round and round, in a window that keeps the used ones together: so ids come back late, and
    /// whoever looks at every index up to the highest (ipcs(1)) need not look far.
    fn choose(&self, class: Class, last: Vrid) -> Option<u32> {
        let bitmap = Bitmap::new(self.words, class);
        let window = self.counts(class).used.saturating_mul(2).saturating_add(64);
        let start = if last.0 == 0 { 0 } else { last.index() + 1 };
        bitmap.next_free(start).filter(|index| *index < window).or_else(|| bitmap.next_free(0))
    }

    /// Makes repairs look as far as `index`, before the row there is used.
    fn widen(&self, class: Class, index: u32) {
        if index >= self.counts(class).span {
            put(self.class_word(class, ClassWord::Span), index + 1);
        }
    }

    fn occupy(&self, class: Class, index: u32) {
        Bitmap::new(self.words, class).set(index, true);
        put(self.class_word(class, ClassWord::Used), self.counts(class).used + 1);
    }

    /// Enters a translatable row in both indexes.
    fn enter(&self, class: Class, index: u32) {
        let words = self.row_words(class, index);
        let used = self.counts(class).used;
        Index::by_srid(self.words, class)
            .insert(get(&words[row::SRID]), index, used, || self.by_srid_entries(class));
        let key = get(&words[row::KEY]);
        if key != 0 {
            Index::by_key(self.words, class).insert(key, index, used, || self.by_key_entries(class));
        }
    }

    fn free(&self, class: Class, index: u32) {
        let words = self.row_words(class, index);
        let (key, srid) = (get(&words[row::KEY]), get(&words[row::SRID]));
        forget(words);
        Index::by_srid(self.words, class).delete(srid, index);
        if key != 0 {
            Index::by_key(self.words, class).delete(key, index);
        }
        let bitmap = Bitmap::new(self.words, class);
        bitmap.set(index, false);
        let counts = self.counts(class);
        put(self.class_word(class, ClassWord::Used), counts.used.saturating_sub(1));
        if counts.span == index + 1 {
            put(self.class_word(class, ClassWord::Span), bitmap.span_below(index));
        }
    }

    fn turn(&self, class: Class, vrid: Vrid, from: State, to: State) {
        if self.row_of(class, vrid).is_some_and(|row| row.state == from) {
            put(&self.row_words(class, vrid.index())[row::STATE], to as u32);
        }
    }

    /// Makes both indexes anew from the rows.
    pub(crate) fn index_anew(&self, class: Class) {
        let used = self.counts(class).used;
        Index::by_srid(self.words, class).rebuild(used, self.by_srid_entries(class));
        Index::by_key(self.words, class).rebuild(used, self.by_key_entries(class));
    }

    fn by_srid_entries(&self, class: Class) -> impl Iterator<Item = (u32, u32)> + use<'m> {
        let rows = self.rows(class).filter(|row| row.state.is_translatable());
        rows.map(|row| (row.srid.0 as u32, row.vrid.index()))
    }

    fn by_key_entries(&self, class: Class) -> impl Iterator<Item = (u32, u32)> + use<'m> {
        let named = |row: &Row| row.key != Key::PRIVATE && matches!(row.state, State::Live | State::Removing);
        self.rows(class).filter(named).map(|row| (row.key.0 as u32, row.vrid.index()))
    }
}

/// Makes a row free: first for readers, then for good.
pub(crate) fn forget(words: &[AtomicU32]) {
    for word in [row::VRID, row::STATE] {
        if get(&words[word]) != 0 {
            put(&words[word], 0);
        }
    }
}
