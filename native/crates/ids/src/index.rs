//! Open addressing from a number (a system id, a key) to a row's index, read without a lock.
//!
//! A slot holds the row's index plus one in its low 21 bits and a part of the number's hash above, so that hardly ever a
//! row is looked at in vain; 0 is empty, [`GONE`] was deleted. What the slot's row says is compared by the caller. Entries never move. When too few slots are empty, everything is entered anew on the index's other side, at
//! the level (a power of two of slots) that fits, and then the current side is switched by one store. A reader that finds
//! nothing looks whether the side was switched meanwhile.

use core::sync::atomic::AtomicU32;

use crate::class::Class;
use crate::layout::{self, ClassWord, SIDE_WORDS, class_word};
use crate::store::{get, put};

const GONE: u32 = u32::MAX;
/// The bits of a slot that are the row.
const ROW: u32 = (1 << 21) - 1;
const MIN_LEVEL: u32 = 8;
const MAX_LEVEL: u32 = 21;

#[derive(Clone, Copy)]
pub(crate) struct Index<'m> {
    /// Epoch (counts switches; its lowest bit is the side) in the upper 27 bits, level in the lower 5.
    current: &'m AtomicU32,
    /// Slots of the current side that are not empty.
    taken: &'m AtomicU32,
    slots: &'m [AtomicU32],
    /// How a number finds its first slot.
    home: fn(u32, u32) -> u32,
}

impl<'m> Index<'m> {
    #[inline]
    pub(crate) fn by_srid(words: &'m [AtomicU32], class: Class) -> Self {
        Self::at(words, class_word(class, ClassWord::BySrid), layout::index(class, 0), dense)
    }

    #[inline]
    pub(crate) fn by_key(words: &'m [AtomicU32], class: Class) -> Self {
        Self::at(words, class_word(class, ClassWord::ByKey), layout::index(class, 1), scattered)
    }

    #[inline]
    fn at(words: &'m [AtomicU32], header: usize, slots: usize, home: fn(u32, u32) -> u32) -> Self {
        Self {
            current: &words[header],
            taken: &words[header + 1],
            slots: &words[slots..slots + 2 * SIDE_WORDS],
            home,
        }
    }

    /// The row under `number` that `matches`.
    #[inline]
    pub(crate) fn find(self, number: u32, matches: impl Fn(u32) -> bool) -> Option<u32> {
        loop {
            let current = get(self.current);
            let found = self.probe(current, number, &matches);
            if found.is_some() || get(self.current) == current {
                return found.map(|(_, row)| row);
            }
        }
    }

    /// Enters a row under `number`. `live` gives every entry that is to be kept, as number and row, should the index have to be
    /// made anew; the row itself may or may not be among them.
    pub(crate) fn insert<I>(self, number: u32, row: u32, count: u32, live: impl Fn() -> I)
    where
        I: Iterator<Item = (u32, u32)>,
    {
        let current = get(self.current);
        let level = current & 31;
        // The highest level has room for every row twice, so it waits longer before it starts anew.
        let full = if level == MAX_LEVEL { 3 << (level - 2) } else { 1 << level >> 1 };
        if level == 0 || get(self.taken) + 1 > full {
            self.rebuild(count, live());
            let present = self.probe(get(self.current), number, |found| found == row).is_some();
            if present {
                return;
            }
        }
        if self.enter(get(self.current), number, row) {
            put(self.taken, get(self.taken) + 1);
        }
    }

    /// Takes the row out from under `number`.
    pub(crate) fn delete(self, number: u32, row: u32) {
        let current = get(self.current);
        let Some((slot, _)) = self.probe(current, number, |found| found == row) else { return };
        let (level, side) = split(current);
        put(self.slot(side, level, slot), GONE);
        self.sweep(side, level, slot);
    }

    /// Enters everything anew, with room for `count` entries and as many again.
    pub(crate) fn rebuild(self, count: u32, live: impl Iterator<Item = (u32, u32)>) {
        let old = get(self.current);
        let level = (count.saturating_mul(4).max(1).next_power_of_two().ilog2()).clamp(MIN_LEVEL, MAX_LEVEL);
        let new = ((old >> 5).wrapping_add(1) << 5) | level;
        let (_, side) = split(new);
        for slot in 0..1u32 << level {
            let word = self.slot(side, level, slot);
            if get(word) != 0 {
                put(word, 0);
            }
        }
        let mut taken = 0;
        for (number, row) in live {
            taken += u32::from(self.enter(new, number, row));
        }
        put(self.current, new);
        put(self.taken, taken);
    }

    /// Deleted slots before an empty one lead nowhere: they are emptied. True of them for readers too.
    fn sweep(self, side: usize, level: u32, from: u32) {
        let mask = (1u32 << level) - 1;
        if get(self.slot(side, level, (from + 1) & mask)) != 0 {
            return;
        }
        let mut slot = from;
        while get(self.slot(side, level, slot)) == GONE {
            put(self.slot(side, level, slot), 0);
            put(self.taken, get(self.taken).saturating_sub(1));
            slot = slot.wrapping_sub(1) & mask;
        }
    }

    /// Writes an entry to the first slot that is free for it. Returns whether that was an empty one.
    fn enter(self, current: u32, number: u32, row: u32) -> bool {
        let (level, side) = split(current);
        let mask = (1u32 << level) - 1;
        let mut slot = (self.home)(number, level);
        for _ in 0..=mask {
            let word = self.slot(side, level, slot);
            let found = get(word);
            if found == 0 || found == GONE {
                put(word, (row + 1) | tag(number));
                return found == 0;
            }
            slot = (slot + 1) & mask;
        }
        false
    }

    #[inline]
    fn probe(self, current: u32, number: u32, matches: impl Fn(u32) -> bool) -> Option<(u32, u32)> {
        let (level, side) = split(current);
        if level == 0 {
            return None;
        }
        let mask = (1u32 << level) - 1;
        let tag = tag(number);
        let mut slot = (self.home)(number, level);
        for _ in 0..=mask {
            match get(self.slot(side, level, slot)) {
                0 => return None,
                GONE => {}
                found if found & !ROW == tag && matches((found & ROW) - 1) => {
                    return Some((slot, (found & ROW) - 1));
                }
                _ => {}
            }
            slot = (slot + 1) & mask;
        }
        None
    }

    #[inline]
    fn slot(self, side: usize, level: u32, slot: u32) -> &'m AtomicU32 {
        &self.slots[side * SIDE_WORDS + (1usize << level) + slot as usize]
    }
}

#[inline]
fn split(current: u32) -> (u32, usize) {
    ((current & 31).min(MAX_LEVEL), (current >> 5 & 1) as usize)
}

/// System ids are slots of the kernel's (15 bits, ipc/util.h) with sequence numbers above: neighbours stay together, and no
/// two that live at once have the same slot.
#[inline]
fn dense(number: u32, level: u32) -> u32 {
    number & ((1 << level) - 1)
}

/// Fibonacci hashing, for keys: neighbours in number are far apart in the index.
#[inline]
fn scattered(number: u32, level: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b1) >> (32 - level)
}

/// Another hash's upper bits.
#[inline]
fn tag(number: u32) -> u32 {
    number.wrapping_mul(0x85eb_ca6b) & !ROW
}
