//! Folders that belong to an application's state: capturing one as it is, giving the capture second names or copying it,
//! and telling whether one is still what was captured.
//!
//! A capture is a tree of real files, such that it can be the lower layer of an overlay as it lies there, and a
//! [`TreeV1`] that says what it must be. What is in a capture is never written to again, so captures may share files.
#![forbid(unsafe_code)]

mod attributes;
mod capture;
mod check;
mod content;
mod error;
mod known;
mod layers;
mod replica;
mod tree;

pub use capture::{Circumstances, capture};
pub use check::{check_contents, check_structure};
pub use error::{Error, Result};
pub use known::{Known, has_true_times};
pub use layers::Layers;
pub use replica::{adopt, copy, copy_some, link, remove, sync};
pub use tree::{AttributeV1, BodyV1, EntryV1, MOST_ENTRIES, OriginV1, TreeV1};
