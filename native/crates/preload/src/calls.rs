//! The functions that programs call instead of their C library's. Variadic ones take the arguments that they may get:
//! on x86-64 integers and pointers travel the same way.

use crate::libc::{answer, raw};
use crate::setup::{self, Way};

const SHMGET: u64 = 29;
const SHMAT: u64 = 30;
const SHMCTL: u64 = 31;
const SEMGET: u64 = 64;
const SEMOP: u64 = 65;
const SEMCTL: u64 = 66;
const MSGGET: u64 = 68;
const MSGSND: u64 = 69;
const MSGRCV: u64 = 70;
const MSGCTL: u64 = 71;
const SEMTIMEDOP: u64 = 220;

const ENOSYS: isize = -38;

/// One call by the way that this process has: through the core, else through the system-call filter, else not at all. No
/// application ever gets a system id.
#[inline]
fn call(nr: u64, a: [u64; 5]) -> isize {
    match setup::way() {
        Way::Core(core) => core(nr, a[0], a[1], a[2], a[3], a[4], 0),
        Way::Filter => raw(nr, [a[0], a[1], a[2], a[3], a[4], 0]),
        Way::None => ENOSYS,
    }
}

#[unsafe(no_mangle)]
extern "C" fn semget(key: i32, count: i32, flags: i32) -> i32 {
    answer(call(SEMGET, [key as u64, count as u64, flags as u64, 0, 0])) as i32
}

#[unsafe(no_mangle)]
extern "C" fn semop(id: i32, operations: u64, count: u64) -> i32 {
    answer(call(SEMOP, [id as u64, operations, count, 0, 0])) as i32
}

#[unsafe(no_mangle)]
extern "C" fn semtimedop(id: i32, operations: u64, count: u64, timeout: u64) -> i32 {
    answer(call(SEMTIMEDOP, [id as u64, operations, count, timeout, 0])) as i32
}

#[unsafe(no_mangle)]
extern "C" fn semctl(id: i32, number: i32, command: i32, argument: u64) -> i32 {
    answer(call(SEMCTL, [id as u64, number as u64, command as u64, argument, 0])) as i32
}

#[unsafe(no_mangle)]
extern "C" fn shmget(key: i32, size: u64, flags: i32) -> i32 {
    answer(call(SHMGET, [key as u64, size, flags as u64, 0, 0])) as i32
}

#[unsafe(no_mangle)]
extern "C" fn shmat(id: i32, address: u64, flags: i32) -> isize {
    answer(call(SHMAT, [id as u64, address, flags as u64, 0, 0]))
}

#[unsafe(no_mangle)]
extern "C" fn shmctl(id: i32, command: i32, argument: u64) -> i32 {
    answer(call(SHMCTL, [id as u64, command as u64, argument, 0, 0])) as i32
}

#[unsafe(no_mangle)]
extern "C" fn msgget(key: i32, flags: i32) -> i32 {
    answer(call(MSGGET, [key as u64, flags as u64, 0, 0, 0])) as i32
}

#[unsafe(no_mangle)]
extern "C" fn msgsnd(id: i32, message: u64, size: u64, flags: i32) -> i32 {
    answer(call(MSGSND, [id as u64, message, size, flags as u64, 0])) as i32
}

#[unsafe(no_mangle)]
extern "C" fn msgrcv(id: i32, message: u64, size: u64, kind: i64, flags: i32) -> isize {
    answer(call(MSGRCV, [id as u64, message, size, kind as u64, flags as u64]))
}

#[unsafe(no_mangle)]
extern "C" fn msgctl(id: i32, command: i32, argument: u64) -> i32 {
    answer(call(MSGCTL, [id as u64, command as u64, argument, 0, 0])) as i32
}

/// syscall(2) for the calls above; the sixth argument is none of theirs.
extern "C" fn stasis_route(nr: u64, a0: u64, a1: u64, a2: u64, a3: u64, a4: u64, _a5: u64) -> isize {
    answer(call(nr, [a0, a1, a2, a3, a4]))
}

// syscall(2): everything but System V calls is made as the C library makes it, in assembly, since some calls return
// twice or on another stack.
core::arch::global_asm!(
    ".globl syscall",
    ".type syscall, @function",
    "syscall:",
    "lea rax, [rdi - 29]", // shmget, shmat, shmctl
    "cmp rax, 2",
    "jbe {route}",
    "lea rax, [rdi - 64]", // semget to msgctl, but not shmdt (67)
    "cmp rax, 7",
    "ja 2f",
    "cmp rdi, 67",
    "jne {route}",
    "2: cmp rdi, 220", // semtimedop
    "je {route}",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov r10, r8",
    "mov r8, r9",
    "mov r9, [rsp + 8]",
    "syscall",
    "cmp rax, -4095",
    "jae 3f",
    "ret",
    "3: mov rdi, rax",
    "jmp {fail}",
    ".size syscall, . - syscall",
    route = sym stasis_route,
    fail = sym stasis_fail,
);

extern "C" fn stasis_fail(error: isize) -> isize {
    answer(error)
}
