//! The small programs that travel inside the library (see build.rs).

/// The capsule's helper, a static executable. Empty in a library that was built without `STASIS_INIT`.
pub static INIT: &[u8] = include!(concat!(env!("OUT_DIR"), "/init.rs"));
