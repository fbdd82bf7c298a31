//! The operations of stasis: taking snapshots and bringing them back, and the one door through which the
//! command asks for them.
#![forbid(unsafe_code)]

mod capsules;
mod dispatch;
mod doctor;
mod store;
mod summary;

pub use abi::Control;
pub use dispatch::{Programs, dispatch};
pub use summary::SummaryV1;
