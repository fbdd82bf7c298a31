//! The front part of the product: carries Deno, and starts it on the program that `deno compile` appended.
//!
//! `deno compile` puts a program behind a base executable. Its own base, denort, cannot be downloaded everywhere; this
//! one is built from source and carries the unmodified `deno` of npm, packed. At a start it finds the program in its
//! own file, keeps both unpacked in the user's cache, and becomes `deno run` on it: same process id, same descriptors,
//! same arguments. Where nothing can be kept, it does the same from memory.
//!
//! A start reads in this order: [`note`], [`container`], [`folder`], [`unpack`], [`environment`], [`start`].

#![forbid(unsafe_code)]

mod container;
mod environment;
mod folder;
mod note;
mod partial;
mod prune;
mod runtime;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod scratch;
mod source;
mod start;
mod unpack;

use std::process::ExitCode;

/// The exit code of a fault that is ours (docs/errors.md).
const INTERNAL: u8 = 70;

fn main() -> ExitCode {
    let failure = start::start();
    eprintln!("error[internal]: Could not start stasis\n  cause: {}", failure.cause);
    if let Some(hint) = failure.hint {
        eprintln!("  hint:  {hint}");
    }
    ExitCode::from(INTERNAL)
}
