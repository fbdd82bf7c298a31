//! The one place that writes to the table. Tests stop a thread here, at any store.

use core::sync::atomic::{AtomicU32, Ordering};

#[inline]
pub(crate) fn put(word: &AtomicU32, value: u32) {
    #[cfg(test)]
    crate::testing::count_store();
    word.store(value, Ordering::Release);
}

#[inline]
pub(crate) fn get(word: &AtomicU32) -> u32 {
    word.load(Ordering::Acquire)
}
