//! The functions that programs call instead of their C library's. Variadic ones take the arguments that they may get:
//! on x86-64 integers and pointers travel the same way.

use crate::libc::{answer, raw};
use crate::way::{self, Section, Way};

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

const SEM_UNDO: u16 = 0x1000;
const SEMBUF_BYTES: u64 = 6;
const ENOSYS: isize = -38;

/// One call by the way that this process has: through the core, else through the system-call filter, else not at all. No
/// application ever gets a system id.
#[inline]
fn call(nr: u64, a: [u64; 5]) -> isize {
    match way::way() {
        Way::Core(core) => core(nr, a[0], a[1], a[2], a[3], a[4], 0),
        Way::Filter => raw(nr, [a[0], a[1], a[2], a[3], a[4], 0]),
        Way::None => ENOSYS,
    }
}

/// One call by its section if there is one: the shortest way.
#[inline(always)]
fn by(section: &Section, nr: u64, id: i32, a: [u64; 4]) -> isize {
    match section.call(id, a) {
        Some(result) => answer(result),
        None => answer(call(nr, [id as u64, a[0], a[1], a[2], a[3]])),
    }
}

/// Whether one of `count` operations (struct sembuf: number, operation, flags) that were just made is to be undone.
#[inline(always)]
fn has_undo(operations: u64, count: u64) -> bool {
    (0..count).any(|n| {
        // SAFETY: the kernel has just read the operations there.
        let flags = unsafe { ((operations + n * SEMBUF_BYTES + 4) as *const u16).read_unaligned() };
        flags & SEM_UNDO != 0
    })
}

#[unsafe(no_mangle)]
extern "C" fn semget(key: i32, count: i32, flags: i32) -> i32 {
    answer(call(SEMGET, [key as u64, count as u64, flags as u64, 0, 0])) as i32
}

#[unsafe(no_mangle)]
extern "C" fn semop(id: i32, operations: u64, count: u64) -> i32 {
    semop_by(&way::SEMOP, SEMOP, id, [operations, count, 0]) as i32
}

#[unsafe(no_mangle)]
extern "C" fn semtimedop(id: i32, operations: u64, count: u64, timeout: u64) -> i32 {
    semop_by(&way::SEMTIMEDOP, SEMTIMEDOP, id, [operations, count, timeout]) as i32
}

#[inline(always)]
fn semop_by(section: &Section, nr: u64, id: i32, a: [u64; 3]) -> isize {
    let Some(result) = section.call(id, [a[0], a[1], a[2], 0]) else {
        return answer(call(nr, [id as u64, a[0], a[1], a[2], 0]));
    };
    if result == 0 && has_undo(a[0], a[1]) {
        way::note(id, a[0], a[1]);
    }
    answer(result)
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
    by(&way::SHMAT, SHMAT, id, [address, flags as u64, 0, 0])
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
    by(&way::MSGSND, MSGSND, id, [message, size, flags as u64, 0]) as i32
}

#[unsafe(no_mangle)]
extern "C" fn msgrcv(id: i32, message: u64, size: u64, kind: i64, flags: i32) -> isize {
    by(&way::MSGRCV, MSGRCV, id, [message, size, kind as u64, flags as u64])
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
