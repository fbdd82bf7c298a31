//! Control of other processes with ptrace: stopped threads, system calls made in their name.
//!
//! Two ways to make a process call the kernel, one for each direction. Collecting works on somebody's live
//! process, so [`Visit`] makes single calls that leave no moment in which a dead tracer would hurt.
//! Applying works on blank processes that die with their maker, so [`Bench`] runs whole arrays of calls in
//! one round trip.
#![forbid(unsafe_code)]

mod bench;
mod copy;
mod error;
mod frame;
mod gadgets;
mod restart;
mod stopped;
mod visit;

pub use bench::{Bench, Call};
pub use error::{Error, Result};
pub use frame::SignalFrame;
pub use gadgets::{Gadgets, find_gadgets};
pub use restart::{Interrupted, classify, left_to_the_kernel, started_again};
pub use stopped::Stopped;
pub use visit::{PLACE_SIZE, Visit, WORK_AREAS};
