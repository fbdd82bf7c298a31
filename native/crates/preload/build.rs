//! Exports the wrappers and nothing else, and names no library: what is needed is in every program's C library.

use std::env;

fn main() {
    let exports = format!("{}/src/exports.map", env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it"));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={exports}");
    if env::var_os("CARGO_FEATURE_ALONE").is_some() {
        println!("cargo:rustc-cdylib-link-arg=-nostdlib");
        println!("cargo:rustc-cdylib-link-arg=-nostartfiles");
        println!("cargo:rustc-cdylib-link-arg=-Wl,--version-script={exports}");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libstasis-ids.so");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,now");
    }
}
