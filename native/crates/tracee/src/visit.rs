//! System calls made in the name of a live process, such that a tracer that dies at any moment does no harm.
//!
//! Each call is one atomic change of registers: the instruction pointer goes to a `syscall; ret` that already
//! exists, the stack pointer to a frame whose first word is the address of an `rt_sigreturn` and whose rest is the
//! thread's own state. With the tracer alive the thread is caught when the call is done; without it the thread
//! returns through the frame to where it was. The first call maps a work area, its frame lying below the red zone
//! of the main thread's stack; all others use frames in the work area. A tracer that dies leaves the work area mapped:
//! work areas have places of their own ([`WORK_AREAS`]), by which the next visitor knows one.

use crate::copy;
use crate::frame::SignalFrame;
use crate::restart::started_again;
use crate::{Error, Gadgets, Result, Stopped};
use std::ops::Range;
use sys::Errno;
use sys::ptrace::Registers;

/// Where work areas are mapped, and nothing else is but by an application's explicit wish: far from where the kernel
/// puts executables (0x55..., 0x56...), libraries and stacks (0x7f...), and from the heaps of Go and Java.
pub const WORK_AREAS: Range<u64> = 0x6a73_0000_0000..0x6a73_0000_0000 + PLACES * PLACE_SIZE;
/// Room for one work area.
pub const PLACE_SIZE: u64 = 1 << 30;
const PLACES: u64 = 16;
const PAGE: u64 = 4096;
/// Offset of the copy's code on the code page.
const COPY_CODE: u64 = 64;
const SCRATCH: u64 = 16 * PAGE;
const RED_ZONE: u64 = 128;
const SYS_MMAP: u64 = 9;
const SYS_MUNMAP: u64 = 11;
const PROT_READ_WRITE: u64 = 3;
const PROT_READ_EXEC: u64 = 5;
/// MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
const MAP_AREA: u64 = 0x10_0022;
const ALL_SIGNALS: u64 = u64::MAX;

/// State of a thread that calls are being made in; put back by [`Armed::disarm`].
struct Armed {
    regs: Registers,
    mask: u64,
    held: Vec<i32>,
    frame: u64,
    gadgets: Gadgets,
}

impl Armed {
    /// Saves the thread's state and writes its return frame at `slot`. Nothing of the thread changes yet.
    fn arm(thread: &Stopped, slot: u64, gadgets: Gadgets) -> Result<Self> {
        let regs = thread.registers()?;
        let mask = thread.signal_mask()?;
        let xstate = thread.xstate()?;
        let frame = SignalFrame::new(slot, gadgets.sigreturn, &started_again(&regs), mask, &xstate);
        thread.write(slot, &frame.bytes)?;
        Ok(Self { regs, mask, held: Vec::new(), frame: slot, gadgets })
    }

    fn call(&mut self, thread: &Stopped, nr: u64, args: &[u64]) -> Result<i64> {
        let mut regs = self.regs;
        let arg = |i: usize| args.get(i).copied().unwrap_or(0);
        regs.rax = nr;
        regs.orig_rax = u64::MAX;
        (regs.rdi, regs.rsi, regs.rdx) = (arg(0), arg(1), arg(2));
        (regs.r10, regs.r8, regs.r9) = (arg(3), arg(4), arg(5));
        regs.rip = self.gadgets.syscall_ret;
        regs.rsp = self.frame;
        thread.set_registers(&regs)?;
        // Only now, when the frame puts the mask back even without us.
        thread.set_signal_mask(ALL_SIGNALS)?;
        thread.to_syscall_stop(&mut self.held)?;
        thread.to_syscall_stop(&mut self.held)?;
        Ok(thread.registers()?.rax as i64)
    }

    /// Puts the thread back to where it was, in an event stop, so that the kernel resumes what it had interrupted.
    fn disarm(mut self, thread: &Stopped) -> Result<()> {
        thread.to_event_stop(&mut self.held)?;
        // The registers last: until then the frame is what puts the thread back if we die.
        thread.set_signal_mask(self.mask)?;
        thread.set_registers(&self.regs)?;
        for signal in self.held {
            // Only SIGSTOP can have come through the full mask; sent again, it takes effect after the visit.
            sys::process::kill(thread.tid(), signal).map_err(Error::request("signalling", thread.tid()))?;
        }
        Ok(())
    }
}

/// A stay in one process, all of whose threads are stopped. Ends with [`Visit::leave`].
pub struct Visit<'p> {
    leader: &'p Stopped,
    base: u64,
    slots: u64,
    slot_size: u64,
    gadgets: Gadgets,
    foothold: Foothold,
    entered: Option<(i32, Armed)>,
}

/// Where the first and last call are made from: instructions in the process, and room on its main stack.
#[derive(Clone, Copy, Debug)]
pub struct Foothold {
    pub gadgets: Gadgets,
    /// Lowest address of the main stack's mapping, and its end.
    pub stack: (u64, u64),
}

impl<'p> Visit<'p> {
    /// Maps the work area into the process of `leader`, with room for the frames of `threads` threads.
    pub fn enter(leader: &'p Stopped, threads: usize, gadgets: Gadgets, stack: (u64, u64)) -> Result<Self> {
        let foothold = Foothold { gadgets, stack };
        let xstate = leader.xstate()?.len();
        let slot_size = (SignalFrame::size(xstate) as u64).next_multiple_of(64);
        let slots = SCRATCH;
        let length = (slots + slot_size * threads as u64).next_multiple_of(PAGE) + PAGE;
        let base = from_main_stack(leader, &foothold, |armed| {
            let base = map_area(leader, armed, length - PAGE)?;
            // A mapping of its own: memory that was writable once may be barred from becoming code (PR_SET_MDWE).
            let code = [base + length - PAGE, PAGE, PROT_READ_EXEC, MAP_AREA, u64::MAX, 0];
            let mapped = check(leader, "mmap", armed.call(leader, SYS_MMAP, &code)?);
            if mapped.is_err() {
                armed.call(leader, SYS_MUNMAP, &[base, length - PAGE])?;
            }
            mapped.map(|_| base)
        })?;
        let page = base + length - PAGE;
        leader.write_code(page, Gadgets::CODE)?;
        leader.write_code(page + COPY_CODE, copy::CODE)?;
        let gadgets = Gadgets::on_page(page);
        Ok(Self { leader, base, slots: base + slots, slot_size, gadgets, foothold, entered: None })
    }

    /// Scratch memory of the process that calls may use for arguments and results: 64 KiB.
    #[must_use]
    pub fn scratch(&self) -> u64 {
        self.base
    }

    /// Where the code that makes a copy of the process is.
    pub(crate) fn copy_code(&self) -> u64 {
        self.gadgets.syscall_ret + COPY_CODE
    }

    /// The work area: first address and length in bytes.
    #[must_use]
    pub fn area(&self) -> (u64, u64) {
        (self.base, self.gadgets.syscall_ret + PAGE - self.base)
    }

    /// Makes one call in `thread`, whose frame slot is `index`. The result is the kernel's raw return value.
    pub fn call(&mut self, thread: &Stopped, index: usize, nr: u64, args: &[u64]) -> Result<i64> {
        if self.entered.as_ref().is_none_or(|(tid, _)| *tid != thread.tid()) {
            self.finish_thread()?;
            let slot = self.slots + self.slot_size * index as u64;
            self.entered = Some((thread.tid(), Armed::arm(thread, slot, self.gadgets)?));
        }
        let (_, armed) = self.entered.as_mut().expect("armed just above");
        armed.call(thread, nr, args)
    }

    /// Puts the thread that was called last back to where it was.
    pub fn finish_thread(&mut self) -> Result<()> {
        match self.entered.take() {
            Some((tid, armed)) => armed.disarm(&Stopped::assume(tid)),
            None => Ok(()),
        }
    }

    /// Puts everything back and unmaps the work area.
    pub fn leave(mut self) -> Result<()> {
        self.finish_thread()?;
        let (base, length) = self.area();
        from_main_stack(self.leader, &self.foothold, |armed| {
            check(self.leader, "munmap", armed.call(self.leader, SYS_MUNMAP, &[base, length])?).map(drop)
        })
    }
}

/// Maps `length` bytes at the first place that is free.
fn map_area(leader: &Stopped, armed: &mut Armed, length: u64) -> Result<u64> {
    let mut result = -i64::from(Errno::ENOMEM.0);
    for place in WORK_AREAS.step_by(PLACE_SIZE as usize).filter(|_| length <= PLACE_SIZE) {
        result = armed.call(leader, SYS_MMAP, &[place, length, PROT_READ_WRITE, MAP_AREA, u64::MAX, 0])?;
        if result != -i64::from(Errno::EEXIST.0) {
            break;
        }
    }
    check(leader, "mmap", result)
}

/// Runs `calls` in the leader with a frame on the main stack, below everything that is in use.
fn from_main_stack<T>(
    leader: &Stopped,
    foothold: &Foothold,
    calls: impl FnOnce(&mut Armed) -> Result<T>,
) -> Result<T> {
    let regs = leader.registers()?;
    let size = SignalFrame::size(leader.xstate()?.len()) as u64;
    let (low, high) = foothold.stack;
    let below = (regs.rsp.saturating_sub(RED_ZONE + size)) & !63;
    let on_stack = regs.rsp > low && regs.rsp <= high;
    // A main thread that runs on another stack (Go, coroutines) left the far end of this one unused.
    let slot = if on_stack { below } else { low };
    if slot < low || slot + size > high {
        return Err(Error::NoFoothold(leader.tid()));
    }
    let mut before = vec![0u8; size as usize];
    leader.read(slot, &mut before)?;
    let mut armed = Armed::arm(leader, slot, foothold.gadgets)?;
    let result = calls(&mut armed);
    armed.disarm(leader)?;
    leader.write(slot, &before)?;
    result
}

fn check(thread: &Stopped, name: &'static str, value: i64) -> Result<u64> {
    sys::Errno::from_raw(value).map_err(|errno| Error::Call { name, tid: thread.tid(), errno })
}
