//! By which way this process's calls go.

use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use ids::core_header::Header;

use crate::libc::environment;
use crate::setup;

/// The core's way in: a system call as the application is to see it.
pub type Call = extern "C" fn(u64, u64, u64, u64, u64, u64, u64) -> isize;
type Note = extern "C" fn(i32, u64, u64);

/// How a System V call is made.
pub enum Way {
    /// By the core, in this process.
    Core(Call),
    /// As it is: the filter sends it to the capsule's helper.
    Filter,
    /// Not at all.
    None,
}

const UNKNOWN: usize = 0;
const FILTER: usize = 1;
const NONE: usize = 2;

/// One of the above, or the address of the core's way in.
static WAY: AtomicUsize = AtomicUsize::new(UNKNOWN);
static NOTE: AtomicUsize = AtomicUsize::new(0);

/// The address of the core's section for one call; 0 until it is known that there is one.
pub struct Section(AtomicUsize, u64);

pub static SEMOP: Section = Section(AtomicUsize::new(0), 65);
pub static SEMTIMEDOP: Section = Section(AtomicUsize::new(0), 220);
pub static SHMAT: Section = Section(AtomicUsize::new(0), 30);
pub static MSGSND: Section = Section(AtomicUsize::new(0), 69);
pub static MSGRCV: Section = Section(AtomicUsize::new(0), 70);

impl Section {
    /// Makes the call on the object of `id` by its section, if there is one. It is the whole way: after a system call a
    /// processor foresees no return, so each one less is worth having.
    #[inline(always)]
    pub fn call(&self, id: i32, a: [u64; 4]) -> Option<isize> {
        let start = self.0.load(Ordering::Relaxed);
        if start == 0 {
            return None;
        }
        let result: isize;
        // SAFETY: a section takes these registers, changes no others than these, and uses one word of the stack.
        unsafe {
            asm!("call {start}", start = in(reg) start, out("rax") result, lateout("rdi") _, in("rsi") a[0],
                in("rdx") a[1], in("r10") a[2], in("r8") a[3], in("r9") id, lateout("rcx") _, lateout("r11") _);
        }
        Some(result)
    }
}

/// This process's way. Before the constructor ran (another library's came first), it is found now.
#[inline]
pub fn way() -> Way {
    if WAY.load(Ordering::Acquire) == UNKNOWN {
        setup::find(environment());
    }
    match WAY.load(Ordering::Acquire) {
        UNKNOWN | NONE => Way::None,
        FILTER => Way::Filter,
        // SAFETY: every other value is the address of the core's function.
        call => Way::Core(unsafe { core::mem::transmute::<usize, Call>(call) }),
    }
}

/// Whether the table is mapped, as far as is known.
#[inline]
pub fn has_table() -> bool {
    !matches!(WAY.load(Ordering::Acquire), UNKNOWN | FILTER | NONE)
}

pub fn set(way: Way) {
    let value = match way {
        Way::Core(call) => call as usize,
        Way::Filter => FILTER,
        Way::None => NONE,
    };
    WAY.store(value, Ordering::Release);
}

/// Makes the core that is mapped the way, its sections first.
pub fn set_core(header: &Header, image: &[u8]) {
    NOTE.store(header.note as usize, Ordering::Release);
    for known in [&SEMOP, &SEMTIMEDOP, &SHMAT, &MSGSND, &MSGRCV] {
        if let Some(section) = header.sections(image).find(|section| section.nr == known.1) {
            known.0.store(section.start as usize, Ordering::Release);
        }
    }
    WAY.store(header.call as usize, Ordering::Release);
}

/// Notes what SEM_UNDO will undo of operations that a section made.
#[cold]
pub fn note(id: i32, operations: u64, count: u64) {
    let at = NOTE.load(Ordering::Acquire);
    if at != 0 {
        // SAFETY: every value but 0 is the address of the core's function.
        let note = unsafe { core::mem::transmute::<usize, Note>(at) };
        note(id, operations, count);
    }
}
