//! What a System V call means to an application whose ids and keys are its own.
//!
//! The application's ids are those of its table ([`ids::Table`]); the objects lie in the host's namespace, under ids and
//! random keys that it never sees. This crate holds the logic; `image/` is the thin part that touches registers and
//! memory, and is linked into the image that every process maps. Tests run the logic on a kernel of their own.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod control;
mod core_calls;
#[cfg(test)]
mod fake;
mod get;
mod info;
mod kernel;
pub mod nr;
mod objects;
mod remove;
mod status;
#[cfg(test)]
mod tests;
mod undo;

pub use core_calls::Core;
pub use kernel::{Kernel, Section};
