//! The capsule's helper: PID 1 of an application's PID namespace.
//!
//! It is started by the engine with one UNIX socket as its standard input and is told there what to build
//! (`abi::wire`). It takes leave of its maker, starts or (for a restore) spawns the application, reaps, keeps
//! descriptors that must outlive the command, answers whoever connects to its socket, and ends when no process of
//! the application is left. It is single-threaded, so that it may fork.
#![forbid(unsafe_code)]

mod binding;
mod blank;
mod client;
mod console;
mod devices;
mod embedded;
mod family;
mod folders;
mod injection;
mod keeper;
mod launch;
mod link;
mod listings;
mod program;
mod requests;
mod resident;
mod stacks;
mod sweep;
mod translation;
mod views;
mod warden;
mod world;

fn main() {
    // Nothing of the maker's may live on here: a pipe that stays open would keep its reader waiting.
    let closed = sys::lifecycle::close_from(3);
    let ok = closed.is_ok() && launch::run().is_ok();
    sys::lifecycle::exit_now(i32::from(!ok));
}
