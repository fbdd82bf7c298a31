//! What the successor of a dead owner does: the rows are the truth, and all else follows from them.

use crate::bitmap::Bitmap;
use crate::change::forget;
use crate::class::Class;
use crate::layout::ClassWord;
use crate::lock::{Guard, Host};
use crate::row::{self, Row, State};
use crate::store::{get, put};

/// What became of an object in whose making or removal the owner died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is none (any more): the row is freed. The only one for a row that is [`State::Creating`].
    Gone,
    /// It is there as before.
    Live,
    /// It was removed but is still attached.
    Removed,
}

impl<H: Host> Guard<'_, '_, H> {
    /// Settles unfinished rows by `judge`, then makes counts, bitmaps and indexes anew.
    pub(crate) fn repair(&self, mut judge: impl FnMut(&Row) -> Verdict) {
        for class in Class::ALL {
            let span = self.counts(class).span;
            for index in 0..span {
                self.settle(class, index, &mut judge);
            }
            self.recount(class, span);
        }
    }

    fn settle(&self, class: Class, index: u32, judge: &mut impl FnMut(&Row) -> Verdict) {
        let Some(row) = self.row(class, index) else { return forget(self.row_words(class, index)) };
        let unfinished = matches!(row.state, State::Creating | State::Removing);
        let words = self.row_words(class, index);
        match unfinished.then(|| judge(&row)) {
            None => {}
            Some(Verdict::Live) if row.state == State::Removing => {
                put(&words[row::STATE], State::Live as u32)
            }
            Some(Verdict::Removed) if row.state == State::Removing => {
                put(&words[row::STATE], State::Removed as u32);
            }
            Some(_) => forget(words),
        }
        if State::of(get(&words[row::STATE])) == State::Removed {
            put(&words[row::KEY], 0);
        }
    }

    fn recount(&self, class: Class, span: u32) {
        let bitmap = Bitmap::new(self.words, class);
        let mut used = 0;
        for index in 0..span {
            let taken = self.row(class, index).is_some();
            bitmap.set(index, taken);
            used += u32::from(taken);
        }
        put(self.class_word(class, ClassWord::Used), used);
        put(self.class_word(class, ClassWord::Span), bitmap.span_below(span));
        self.index_anew(class);
    }
}
