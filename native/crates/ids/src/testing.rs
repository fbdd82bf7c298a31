//! What the unit tests share: memory for a table, a host without a kernel, and death at a chosen store.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use sys::shared_words::SharedWords;

use crate::layout::WORDS;
use crate::lock::Host;

thread_local! {
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    static DEAD: Cell<bool> = const { Cell::new(false) };
}

/// Lets this thread make `stores` more stores and then die by a panic.
pub(crate) fn die_after(stores: Option<u32>) {
    LEFT.set(stores);
    DEAD.set(false);
}

/// Whether the thread died: it does nothing more, not even give back a lock.
pub(crate) fn died() -> bool {
    DEAD.get()
}

pub(crate) fn count_store() {
    match LEFT.get() {
        Some(0) => {
            DEAD.set(true);
            std::panic::resume_unwind(Box::new("died"));
        }
        Some(left) => LEFT.set(Some(left - 1)),
        None => {}
    }
}

/// Zeroed memory of a table's size; the system gives pages as they are touched.
pub(crate) fn memory() -> SharedWords {
    SharedWords::anonymous(WORDS).unwrap()
}

/// Waits by yielding; the dead are those it is told of.
#[derive(Default)]
pub(crate) struct Threads {
    pub(crate) dead: Mutex<HashSet<u32>>,
}

impl Host for Threads {
    fn wait(&self, _word: &AtomicU32, _seen: u32, _timeout_ms: u32) {
        std::thread::yield_now();
    }

    fn wake(&self, _word: &AtomicU32) {}

    fn alive(&self, tid: u32) -> bool {
        !self.dead.lock().unwrap().contains(&tid)
    }
}
