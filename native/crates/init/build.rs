//! Hands the core and the preloaded library to the helper as bytes: it puts them where an application finds them.
//!
//! `STASIS_CORE` and `STASIS_PRELOAD` name the built files (scripts/build/native.ts sets them). Without them the bytes are
//! empty: `cargo check` and the unit tests then need no other build, and virtual ids by translation say what is missing.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    embed("STASIS_CORE", "core.rs");
    embed("STASIS_PRELOAD", "preload.rs");
}

/// Writes the expression for the bytes of the file that `variable` names.
fn embed(variable: &str, name: &str) {
    println!("cargo:rerun-if-env-changed={variable}");
    let bytes = match env::var_os(variable) {
        Some(path) => {
            let path =
                fs::canonicalize(&path).unwrap_or_else(|error| panic!("{variable} names no file: {error}"));
            println!("cargo:rerun-if-changed={}", path.display());
            format!("include_bytes!({path:?})")
        }
        None => "&[]".to_owned(),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    fs::write(out.join(name), bytes).expect("OUT_DIR can be written");
}
