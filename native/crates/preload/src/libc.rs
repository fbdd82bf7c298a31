//! What touches the kernel and the C library.

use core::arch::asm;

unsafe extern "C" {
    fn __errno_location() -> *mut i32;
}

/// A system call from the library's own code: a filter sees it. The result is the kernel's, negative for errors.
pub fn raw(nr: u64, a: [u64; 6]) -> isize {
    let result: isize;
    // SAFETY: the call is the application's own, or one of ours whose arguments outlive it.
    unsafe {
        asm!("syscall", inlateout("rax") nr as isize => result, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// The kernel's result as C functions give it: -1 and errno for errors.
#[inline(always)]
pub fn answer(result: isize) -> isize {
    if (-4095..0).contains(&result) { fail(result) } else { result }
}

#[cold]
fn fail(error: isize) -> isize {
    // SAFETY: errno(3) of this thread, which the C library keeps for as long as the thread lives.
    unsafe { *__errno_location() = -error as i32 };
    -1
}

core::arch::global_asm!(
    ".weak __register_atfork",
    ".weak __environ",
    ".hidden stasis_register_atfork",
    ".globl stasis_register_atfork",
    "stasis_register_atfork:", // the function's address, or null: not every C library has it
    "mov rax, [rip + __register_atfork@GOTPCREL]",
    "ret",
    ".hidden stasis_environ",
    ".globl stasis_environ",
    "stasis_environ:", // where the C library keeps the environment, or null
    "mov rax, [rip + __environ@GOTPCREL]",
    "ret",
);

/// A C array of C strings that ends with null.
pub type Strings = *const *const u8;

type RegisterAtfork = extern "C" fn(usize, usize, extern "C" fn(), usize) -> i32;

unsafe extern "C" {
    fn stasis_register_atfork() -> Option<RegisterAtfork>;
    fn stasis_environ() -> *const Strings;
}

/// Has `child` run in every child of fork(3), if the C library knows how (glibc does; a preloaded library is never unloaded).
pub fn at_fork_in_child(child: extern "C" fn()) {
    // SAFETY: returns the address of the C library's function, whose signature this is, or null.
    if let Some(register) = unsafe { stasis_register_atfork() } {
        register(0, 0, child, 0);
    }
}

/// The environment, before a constructor got it.
pub fn environment() -> Strings {
    // SAFETY: null or the address of the C library's variable.
    unsafe { stasis_environ().as_ref() }.map_or(core::ptr::null(), |strings| *strings)
}
