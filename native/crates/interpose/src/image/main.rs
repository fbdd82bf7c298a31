//! ROOM 4: the core as it lies in the memory of an application's processes.
//!
//! Its laws: it owns no writable memory, allocates nothing, never panics (a bug traps), uses no thread-local storage and
//! little stack, and may be interrupted or killed at any instruction. It is mapped at [`ids::CORE`] and finds the
//! table at [`ids::TABLE`]; whoever sends a thread here has mapped both.
//!
//! It is linked by `build.rs` into a flat image, for which `image.ld` asserts the first of these laws.
#![no_std]
#![no_main]

mod entry;
mod kernel;
mod memory;

#[panic_handler]
fn trap(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: ends the process here and now: nothing of ours may go on after a bug.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}
