//! The kernel itself.

use core::arch::asm;
use core::sync::atomic::AtomicU32;

use ids::{Host, Vrid};
use interpose::{Kernel, Section, nr};

/// Linux on x86-64.
pub struct Linux;

const SIG_SETMASK: u64 = 2;
const SIG_BLOCK: u64 = 0;
const FUTEX_WAIT: u64 = 0;
const FUTEX_WAKE: u64 = 1;

/// `struct robust_list_head` (linux/futex.h).
#[repr(C)]
struct RobustHead {
    next: u64,
    offset: u64,
    pending: u64,
}

unsafe extern "C" {
    fn core_semop();
    fn core_semtimedop();
    fn core_semctl();
    fn core_shmat();
    fn core_shmctl();
    fn core_msgsnd();
    fn core_msgrcv();
    fn core_msgctl();
}

impl Kernel for Linux {
    fn call(&self, nr: u64, a: [u64; 6]) -> isize {
        let result: isize;
        // SAFETY: the call is the application's own, or one of ours whose arguments outlive it.
        unsafe {
            asm!("syscall", inlateout("rax") nr as isize => result, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
                in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
        }
        result
    }

    fn section(&self, section: Section, vrid: Vrid, a: [u64; 4]) -> isize {
        let start: unsafe extern "C" fn() = match section {
            Section::Semop => core_semop,
            Section::Semtimedop => core_semtimedop,
            Section::Semctl => core_semctl,
            Section::Shmat => core_shmat,
            Section::Shmctl => core_shmctl,
            Section::Msgsnd => core_msgsnd,
            Section::Msgrcv => core_msgrcv,
            Section::Msgctl => core_msgctl,
        };
        let result: isize;
        // SAFETY: a section takes these registers, changes no others than these, and uses one word of the stack.
        unsafe {
            asm!("call {start}", start = in(reg) start, out("rax") result, lateout("rdi") _, in("rsi") a[0],
                in("rdx") a[1], in("r10") a[2], in("r8") a[3], in("r9") vrid.0, lateout("rcx") _, lateout("r11") _);
        }
        result
    }

    fn load(&self, at: u64) -> u16 {
        // SAFETY: the kernel has just read or written this memory of the application's for the same call.
        unsafe { (at as *const u16).read_unaligned() }
    }

    fn store(&self, at: u64, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate() {
            // SAFETY: the kernel has just written this memory of the application's for the same call.
            unsafe { (at as *mut u8).add(offset).write_volatile(*byte) };
        }
    }

    fn undisturbed<R>(&self, lock: &AtomicU32, work: impl FnOnce(u32) -> R) -> R {
        let all = u64::MAX;
        let mut mask = 0u64;
        self.call(nr::RT_SIGPROCMASK, [SIG_BLOCK, &raw const all as u64, &raw mut mask as u64, 8, 0, 0]);
        let result = self.marked_at_death(lock, || work(self.call(nr::GETTID, [0; 6]) as u32));
        self.call(nr::RT_SIGPROCMASK, [SIG_SETMASK, &raw const mask as u64, 0, 8, 0, 0]);
        result
    }

    fn random(&self) -> u32 {
        let mut number = 0u32;
        let nonblocking = 1;
        if self.call(nr::GETRANDOM, [&raw mut number as u64, 4, nonblocking, 0, 0, 0]) != 4 {
            // SAFETY: reads the time stamp counter, which every x86-64 processor has.
            let ticks = unsafe { core::arch::x86_64::_rdtsc() };
            number = (ticks as u32).wrapping_mul(0x9e37_79b1) ^ (ticks >> 32) as u32;
        }
        number
    }
}

impl Linux {
    /// Runs `work` with `lock` noted as the pending one in the thread's robust list (get_robust_list(2)): should the thread
    /// die while it holds the lock, the kernel marks it. A thread without such a list gets one meanwhile.
    fn marked_at_death<R>(&self, lock: &AtomicU32, work: impl FnOnce() -> R) -> R {
        let mut own = RobustHead { next: 0, offset: 0, pending: 0 };
        own.next = &raw const own as u64;
        let (mut head, mut length) = (core::ptr::null_mut::<RobustHead>(), 0usize);
        let got =
            self.call(nr::GET_ROBUST_LIST, [0, &raw mut head as u64, &raw mut length as u64, 0, 0, 0]) == 0;
        let registered = got && !head.is_null();
        if !registered {
            head = &raw mut own;
            self.call(nr::SET_ROBUST_LIST, [head as u64, size_of::<RobustHead>() as u64, 0, 0, 0, 0]);
        }
        // SAFETY: the head is the thread's own: registered with the kernel for its life, or ours.
        let pending = unsafe { &raw mut (*head).pending };
        // SAFETY: as above. A handler that interrupted the C library's use of the field puts back what it found.
        let before = unsafe { pending.read_volatile() };
        // SAFETY: as above.
        let offset = unsafe { (&raw const (*head).offset).read_volatile() };
        // SAFETY: as above.
        unsafe { pending.write_volatile((lock.as_ptr() as u64).wrapping_sub(offset)) };
        let result = work();
        // SAFETY: as above.
        unsafe { pending.write_volatile(before) };
        if !registered {
            self.call(nr::SET_ROBUST_LIST, [0, size_of::<RobustHead>() as u64, 0, 0, 0, 0]);
        }
        result
    }
}

impl Host for Linux {
    fn wait(&self, word: &AtomicU32, seen: u32, timeout_ms: u32) {
        let timeout = [u64::from(timeout_ms / 1000), u64::from(timeout_ms % 1000) * 1_000_000];
        let at = word.as_ptr() as u64;
        self.call(nr::FUTEX, [at, FUTEX_WAIT, u64::from(seen), timeout.as_ptr() as u64, 0, 0]);
    }

    fn wake(&self, word: &AtomicU32) {
        self.call(nr::FUTEX, [word.as_ptr() as u64, FUTEX_WAKE, 1, 0, 0, 0]);
    }

    fn alive(&self, _tid: u32) -> bool {
        true // the kernel marks the lock when its owner dies; see marked_at_death
    }
}
