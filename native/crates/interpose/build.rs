//! Links the image: flat, at its fixed address, without a library, a start-up file or a relocation.

use std::env;

fn main() {
    let script = format!("{}/src/image/image.ld", env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it"));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={script}");
    let flat = ["-Wl,--oformat=binary", "-Wl,--build-id=none", "-Wl,--no-gc-sections"];
    for argument in ["-nostdlib", "-nostartfiles", "-static", "-no-pie"].iter().chain(&flat) {
        println!("cargo:rustc-link-arg-bin=stasis-core={argument}");
    }
    println!("cargo:rustc-link-arg-bin=stasis-core=-Wl,-T,{script}");
}
