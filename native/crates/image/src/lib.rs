//! The container of a snapshot on disk: a manifest of checked sections, and packs of page data.
//!
//! ```text
//! DIR/manifest          header | pack table | section table | bodies, all under checksums
//! DIR/packs/<id>.pack   header page | page data in 4 KiB steps | footer with one checksum per MiB
//! ```
//!
//! The bytes are described in `docs/image_format.md`, which binds. This crate knows nothing of processes:
//! section bodies and page data are opaque to it. What it guarantees is that a snapshot exists wholly or
//! not at all, and that nothing is handed out whose checksum was not right. Images are hostile input: no
//! count, length or offset is believed before it was held against the size of the file.

#![forbid(unsafe_code)]

mod checksum;
mod error;
mod fields;
mod files;
mod folder;
mod header;
mod limits;
mod manifest;
mod pack;
mod pack_writer;
mod reader;
mod table;
mod verify;
mod worker;
mod writer;

pub use error::{Error, Result};
pub use files::random;
pub use folder::{PartialFolder, is_partial, remove_abandoned};
pub use header::FORMAT_VERSION;
pub use manifest::{Manifest, Section};
pub use pack::PAGE;
pub use pack_writer::PackWriter;
pub use reader::SnapshotReader;
pub use table::PackEntry;
pub use writer::{Committed, SnapshotWriter};
