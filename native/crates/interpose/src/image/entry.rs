//! The two ways in.

use core::slice;
use core::sync::atomic::AtomicU32;

use ids::{Class, TABLE, Table, Vrid, WORDS, row_offset};
use interpose::Core;

use crate::kernel::Linux;

core::arch::global_asm!(
    include_str!("header.s"),
    semaphores = const TABLE as usize + row_offset(Class::Semaphores),
    memory = const TABLE as usize + row_offset(Class::Memory),
    messages = const TABLE as usize + row_offset(Class::Messages),
);

/// ENOSYS: without a table there are no System V objects.
const ENOSYS: isize = -38;

/// Offsets in a signal frame (arch/x86/include/uapi/asm/sigcontext.h), in words: r8, r9, r10, rdi, rsi, rdx, rax.
mod saved {
    pub const R8: usize = 6;
    pub const R9: usize = 7;
    pub const R10: usize = 8;
    pub const RDI: usize = 14;
    pub const RSI: usize = 15;
    pub const RDX: usize = 18;
    pub const RAX: usize = 19;
}

/// A system call as the application is to see it (`ids::core_header::Header::call`).
#[unsafe(no_mangle)]
extern "C" fn core_call(nr: u64, a0: u64, a1: u64, a2: u64, a3: u64, a4: u64, a5: u64) -> isize {
    table().map_or(ENOSYS, |table| Core::new(table, &Linux).call(nr, [a0, a1, a2, a3, a4, a5]))
}

/// Notes a semop that was made by its section (`ids::core_header::Header::note`).
#[unsafe(no_mangle)]
extern "C" fn core_note(vrid: i32, operations: u64, count: u64) {
    if let Some(table) = table() {
        Core::new(table, &Linux).note(Vrid(vrid), operations, count);
    }
}

fn table() -> Option<Table<'static>> {
    // SAFETY: whoever comes here has mapped the table, which is never unmapped nor shortened; its words are atomic.
    let words = unsafe { slice::from_raw_parts(TABLE as *const AtomicU32, WORDS) };
    Table::open(words).ok()
}

/// Makes the call that a frame's registers describe and puts the result in its place.
///
/// # Safety
/// `frame` is a signal frame that nobody else uses.
#[unsafe(no_mangle)]
unsafe extern "C" fn core_answer(frame: *mut u64) {
    use saved::{R8, R9, R10, RAX, RDI, RDX, RSI};
    // SAFETY: the caller vouches for the frame, which holds these words.
    unsafe {
        let word = |at: usize| frame.add(at).read();
        let result = core_call(word(RAX), word(RDI), word(RSI), word(RDX), word(R10), word(R8), word(R9));
        frame.add(RAX).write(result as u64);
    }
}
