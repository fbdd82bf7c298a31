//! ROOM 3: the library that is preloaded into an application's programs, for the System V calls and the random numbers of
//! its C library.
//!
//! Its laws: no allocation, no lock, no panic (a bug traps), no descriptor that stays open, and nothing of a C library but
//! `__errno_location`, the functions that it stands before, and, where there is one, `__register_atfork`: it loads into any
//! program, whatever its libc.
//! It only finds the way: what the calls mean is in the core, which it maps beside the table ([`setup`]).
//!
//! Unlike the C library's, these functions are no cancellation points (pthreads(7)): a thread that is cancelled
//! while it waits in one of them is cancelled later.
#![cfg_attr(feature = "alone", no_std)]

mod calls;
mod libc;
mod mapping;
mod next;
mod random;
mod setup;
mod way;

#[cfg(feature = "alone")]
#[panic_handler]
fn trap(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: ends the process here and now: nothing of ours may go on after a bug.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}
