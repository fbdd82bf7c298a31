//! What the helper gives to an application with virtual System V ids (see build.rs).

/// The core: the bytes that lie at `ids::CORE`. Empty in a helper that was built without `STASIS_CORE`.
pub static CORE: &[u8] = include!(concat!(env!("OUT_DIR"), "/core.rs"));
/// The library that is preloaded. Empty in a helper that was built without `STASIS_PRELOAD`.
pub static PRELOAD: &[u8] = include!(concat!(env!("OUT_DIR"), "/preload.rs"));
