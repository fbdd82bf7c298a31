//! Bounds of the format (docs/image_format.md, "Limits"): generous for any real snapshot, and small enough
//! that a hostile image cannot make its reader run out of memory or descriptors.

use crate::{Error, Result};

/// Bytes of a manifest.
pub const MANIFEST: u64 = 1 << 30;
/// Bytes of one section's body.
pub const SECTION: u64 = 512 << 20;
/// Sections of a manifest.
pub const SECTIONS: u64 = 1024;
/// Packs of a manifest; a reader holds a descriptor for each.
pub const PACKS: u64 = 1024;
/// Data end of a pack, in bytes.
pub const PACK: u64 = 16 << 40;

/// Refuses `found` beyond `limit`.
pub fn check(what: &'static str, found: u64, limit: u64) -> Result<()> {
    if found > limit { Err(Error::TooLarge { what, found, limit }) } else { Ok(()) }
}
