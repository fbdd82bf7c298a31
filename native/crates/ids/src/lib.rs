//! The translation table of one application: virtual System V ids and keys, and what the kernel calls them today.
//!
//! The table lies in shared memory that every process of the application maps at one fixed address. Whoever translates
//! reads it without a lock and without a system call; changes are made under a lock that lies in the table itself
//! ([`lock`](Table::lock)). A process may be killed at any store: the rows are the truth, each is published by its last
//! store, and all else is made anew from them by whoever finds the lock's owner dead.
//!
//! Nothing here calls the kernel or allocates. [`Host`] is how a lock waits; what the rows describe is made and removed
//! by the caller.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod bitmap;
mod change;
mod class;
pub mod core_header;
mod index;
mod layout;
mod ledger;
mod lock;
mod repair;
mod row;
mod store;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use change::{Change, Full, Reservation};
pub use class::{Class, Key, Srid, Vrid};
pub use layout::{BYTES, WORDS, row_offset};
pub use ledger::{Adjustment, LEDGER_CAPACITY, Ledger, LedgerFull};
pub use lock::{Guard, Host, OWNER_DIED, OWNER_MASK, WAITERS};
pub use repair::Verdict;
pub use row::{ROW_BYTES, Row, State};
pub use table::{Broken, Counts, Table, VERSION};

/// Where the core (the code that translates) is mapped in every process: read and execute, at most [`CORE_BYTES`].
pub const CORE: u64 = 0x6a78_0000_0000;
/// The most that the core takes, in bytes. A call made from within is the core's own.
pub const CORE_BYTES: u64 = 0x1_0000;
/// Where the stacks lie on which the core runs when the helper sends a thread there.
pub const STACKS: u64 = 0x6a78_4000_0000;
/// Where the table is mapped in every process: read, write, shared.
pub const TABLE: u64 = 0x6a79_0000_0000;
/// Rows of one class.
pub const CAPACITY: u32 = 1 << 20;
/// The owner that a lock names while the capsule's helper holds it.
pub const HELPER: u32 = 1;

/// Names in the capsule's private folder.
pub mod file {
    /// The core's image: what lies at [`CORE`](crate::CORE), byte for byte.
    pub const CORE: &str = "core";
    /// The table.
    pub const TABLE: &str = "ids";
    /// The library that is preloaded.
    pub const LIBRARY: &str = "libstasis-ids.so";
}
