//! Hands the capsule's helper to the library as bytes, so that the product stays one file.
//!
//! `STASIS_INIT` names the built helper (scripts/build.ts sets it). Without it the bytes are empty:
//! `cargo check` and the unit tests then need no second build, and starting a capsule says what is missing.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-env-changed=STASIS_INIT");
    println!("cargo:rerun-if-changed=build.rs");
    let bytes = match env::var_os("STASIS_INIT") {
        Some(path) => {
            let path = fs::canonicalize(&path).expect("STASIS_INIT names a file");
            println!("cargo:rerun-if-changed={}", path.display());
            format!("include_bytes!({path:?})")
        }
        None => "&[]".to_owned(),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    fs::write(out.join("init.rs"), bytes).expect("OUT_DIR can be written");
}
