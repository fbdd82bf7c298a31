//! Hands the packed Deno to the launcher as bytes, with the size and sha256 that it must unpack to.
//!
//! scripts/build.ts sets the three variables. Without them the launcher compiles and its tests run, but it carries
//! no runtime and says so when it is started.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["STASIS_RUNTIME", "STASIS_RUNTIME_BYTES", "STASIS_RUNTIME_SHA256"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let packed = match env::var_os("STASIS_RUNTIME") {
        Some(path) => {
            let path = fs::canonicalize(&path).expect("STASIS_RUNTIME names a file");
            println!("cargo:rerun-if-changed={}", path.display());
            format!("include_bytes!({path:?})")
        }
        None => "&[]".to_owned(),
    };
    let bytes: u64 = env::var("STASIS_RUNTIME_BYTES")
        .map_or(0, |text| text.parse().expect("STASIS_RUNTIME_BYTES is a number"));
    let sha256 = env::var("STASIS_RUNTIME_SHA256").unwrap_or_default();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    let text = format!("Runtime {{ packed: {packed}, bytes: {bytes}, sha256: {sha256:?} }}");
    fs::write(out.join("runtime.rs"), text).expect("OUT_DIR can be written");
}
