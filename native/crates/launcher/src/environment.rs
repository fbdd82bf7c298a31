//! The variables that Deno starts with: the caller's, less those that would steer Deno, plus ours.
//!
//! The command passes its environment on to applications, so nothing may get lost: what is set aside travels in
//! `STASIS_ASIDE` (a JSON object), and the command puts it back and drops ours before it starts one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// Variables that change what Deno does; the rest of them begins with `DENO_`.
const STEERING: [&str; 6] =
    ["NODE_OPTIONS", "NODE_V8_COVERAGE", "OTEL_DENO", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_LOG"];

/// What the command is told about its own start.
pub struct Told<'a> {
    /// The product's own file, as this process was started from it.
    pub product: &'a Path,
    /// The native library, a file or a descriptor's name under /proc/self/fd.
    pub library: &'a Path,
    /// Deno's cache, which need not exist.
    pub state: &'a Path,
}

/// Sorts the caller's variables and adds ours.
pub fn environment(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    told: &Told<'_>,
) -> Vec<(OsString, OsString)> {
    let (aside, mut kept): (Vec<_>, Vec<_>) = inherited.filter(|(name, _)| !is_ours(name)).partition(steers);
    // A value that is no text cannot travel in JSON; none of these variables has one in earnest.
    let aside: BTreeMap<_, _> =
        aside.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?))).collect();
    let aside = serde_json::json!(aside).to_string();
    let ours: [(&str, OsString); 6] = [
        ("DENO_DIR", told.state.into()),
        ("DENO_NO_UPDATE_CHECK", "1".into()),
        ("STASIS_SELF", told.product.into()),
        ("STASIS_LIBRARY", told.library.into()),
        ("STASIS_BASE", "launcher".into()),
        ("STASIS_ASIDE", aside.into()),
    ];
    kept.extend(ours.map(|(name, value)| (name.into(), value)));
    kept
}

fn is_ours(name: &OsString) -> bool {
    ["STASIS_SELF", "STASIS_LIBRARY", "STASIS_BASE", "STASIS_ASIDE"].iter().any(|ours| name == ours)
}

fn steers((name, _): &(OsString, OsString)) -> bool {
    name.as_encoded_bytes().starts_with(b"DENO_") || STEERING.iter().any(|steering| name == steering)
}

#[cfg(test)]
mod tests;
