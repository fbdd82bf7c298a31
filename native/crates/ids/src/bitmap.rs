//! Which rows of a class are used: four levels of 32 branches, a bit above is set when all below it are.

use core::sync::atomic::AtomicU32;

use crate::class::Class;
use crate::layout;
use crate::store::{get, put};

/// Where each level begins, the widest first: 2^15, 2^10, 2^5 and 1 words.
const LEVELS: [usize; 4] = [0, 1 << 15, (1 << 15) + (1 << 10), (1 << 15) + (1 << 10) + (1 << 5)];

#[derive(Clone, Copy)]
pub(crate) struct Bitmap<'m> {
    words: &'m [AtomicU32],
}

impl<'m> Bitmap<'m> {
    pub(crate) fn new(words: &'m [AtomicU32], class: Class) -> Self {
        let at = layout::bitmap(class);
        Self { words: &words[at..=at + LEVELS[3]] }
    }

    /// Marks a row as used or free.
    pub(crate) fn set(self, index: u32, used: bool) {
        let mut index = index as usize;
        let mut bit = used;
        for level in LEVELS {
            let word = &self.words[level + index / 32];
            let old = get(word);
            let new = if bit { old | 1 << (index % 32) } else { old & !(1 << (index % 32)) };
            if old != new {
                put(word, new);
            }
            bit = new == u32::MAX;
            index /= 32;
        }
    }

    /// The first free row at or after `from`.
    pub(crate) fn next_free(self, from: u32) -> Option<u32> {
        let mut index = from as usize;
        let mut level = 0;
        loop {
            let word = index / 32;
            if word >= 1 << (15 - 5 * level) {
                return None;
            }
            let free = !get(&self.words[LEVELS[level] + word]) & (u32::MAX << (index % 32));
            if free != 0 {
                return Some(self.descend(level, word * 32 + free.trailing_zeros() as usize));
            }
            if level == LEVELS.len() - 1 {
                return None;
            }
            (level, index) = (level + 1, word + 1);
        }
    }

    /// The first free row below a bit that says that there is one.
    fn descend(self, mut level: usize, mut index: usize) -> u32 {
        while level > 0 {
            level -= 1;
            let free = !get(&self.words[LEVELS[level] + index]);
            index = index * 32 + (free.trailing_zeros() as usize).min(31);
        }
        index as u32
    }

    /// One more than the highest used row below `limit`; 0 for none.
    pub(crate) fn span_below(self, limit: u32) -> u32 {
        let mut end = limit as usize;
        while end > 0 {
            let word = (end - 1) / 32;
            let keep = u32::MAX >> (31 - (end - 1) % 32);
            let used = get(&self.words[word]) & keep;
            if used != 0 {
                return (word * 32) as u32 + 32 - used.leading_zeros();
            }
            end = word * 32;
        }
        0
    }
}
