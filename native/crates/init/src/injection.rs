//! Entering the core in a thread that asks about a call: static programs, Go, raw calls, and setuid programs, which load
//! no library.
//!
//! The thread waits in the kernel for an answer, so it is nowhere else. It is seized, its call is answered, and before
//! it can see the answer its registers are set: it goes on in the core, on a stack that is there for that, with a
//! frame of its own state that the core returns through (tracee/frame.rs). The core makes the call in the thread's own name.
//! If this process dies in between, so does the application: it is PID 1.

use crate::stacks;
use ids::core_header::Header;
use std::os::fd::BorrowedFd;
use sys::Errno;
use sys::ptrace::{self, Registers, Wait};
use sys::seccomp::{Listener, Question};
use tracee::{SignalFrame, Stopped};

const SYS_MMAP: u64 = 9;
const SYS_MPROTECT: u64 = 10;
const SYS_CLOSE: u64 = 3;
const READ_WRITE: u64 = 3;
const READ_EXEC: u64 = 5;
const SHARED: u64 = 0x10_0001; // MAP_SHARED | MAP_FIXED_NOREPLACE
const PRIVATE: u64 = 0x10_4022; // MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE
const ALL_SIGNALS: u64 = u64::MAX;
const DIRECTION: u64 = 1 << 10;

/// What enters the core in other processes.
pub struct Injector {
    /// The core's bytes, for programs that have not mapped it themselves.
    core: &'static [u8],
    enter: u64,
}

/// Why a call cannot be translated; the asking thread gets the number.
type Result<T> = std::result::Result<T, Errno>;

impl Injector {
    /// `core` is the image that belongs at [`ids::CORE`]. None when it is no such image.
    pub fn new(core: &'static [u8]) -> Option<Self> {
        let enter = Header::read(core)?.enter;
        Some(Self { core, enter })
    }

    /// Sees to one question. Whatever comes of it, the thread goes on.
    pub fn answer(&self, listener: &Listener, question: Question, table: BorrowedFd<'_>) {
        if let Err(errno) = self.take_over(listener, question, table) {
            // Of no use when the thread has its answer, or is gone.
            let _ = listener.answer(question.cookie, 0, errno.0);
        }
    }

    fn take_over(&self, listener: &Listener, question: Question, table: BorrowedFd<'_>) -> Result<()> {
        let wide = u32::try_from(question.nr).is_ok_and(|nr| nr & 0x4000_0000 == 0);
        if !wide || question.tid == 0 {
            return Err(Errno::ENOSYS);
        }
        // A thread that somebody else traces cannot be entered.
        ptrace::seize(question.tid, ptrace::O_TRACESYSGOOD)?;
        let thread = Stopped::assume(question.tid);
        let table = match self.give_table(listener, question, table) {
            Ok(table) => table,
            Err(errno) => {
                let _ = stop(listener, question).and_then(|()| release(&thread, |regs| set(regs, errno)));
                return Ok(());
            }
        };
        if stop(listener, question).is_err() {
            // Killed: it ends without us.
            return Ok(());
        }
        let entered = self.enter(&thread, question.nr as u64, table);
        let _ = release(&thread, |regs| match entered {
            Ok(frame) => {
                regs.rip = self.enter;
                regs.rsp = frame;
                regs.eflags &= !DIRECTION;
            }
            Err(errno) => set(regs, errno),
        });
        Ok(())
    }

    /// The table as a descriptor of the asking process, when it has not mapped it.
    fn give_table(
        &self,
        listener: &Listener,
        question: Question,
        table: BorrowedFd<'_>,
    ) -> Result<Option<u64>> {
        if is_mapped(question.tid, ids::TABLE) {
            return Ok(None);
        }
        listener.give(question.cookie, table).map(|fd| Some(fd as u64))
    }

    /// Prepares memory and frame. Returns the frame's address.
    fn enter(&self, thread: &Stopped, nr: u64, table: Option<u64>) -> Result<u64> {
        let asked = registers(thread)?;
        let mask = thread.signal_mask().map_err(errno)?;
        thread.set_signal_mask(ALL_SIGNALS).map_err(errno)?;
        let mut remote = Remote { thread, asked, held: Vec::new() };
        let prepared = self.prepare(&mut remote, table);
        let held = remote.held;
        // As the thread was when it asked, with the number of the call where the core looks for it.
        thread.set_registers(&asked).map_err(errno)?;
        thread.set_signal_mask(mask).map_err(errno)?;
        for signal in held {
            // Only SIGSTOP comes through the full mask; sent again, it takes effect later.
            let _ = sys::lifecycle::kill(thread.tid(), signal);
        }
        prepared?;
        let xstate = thread.xstate().map_err(errno)?;
        let frame = stacks::place_frame(thread.tid(), asked.rsp, SignalFrame::size(xstate.len()) as u64)?;
        let saved = Registers { rax: nr, ..asked };
        let frame_bytes = SignalFrame::new(frame, 0, &saved, mask, &xstate).bytes;
        thread.write(frame, &frame_bytes).map_err(errno)?;
        Ok(frame)
    }

    /// Maps what is not there: the core, the table, the stacks.
    fn prepare(&self, remote: &mut Remote, table: Option<u64>) -> Result<()> {
        let tid = remote.thread.tid();
        if let Some(fd) = table {
            let args = [ids::TABLE, ids::BYTES as u64, READ_WRITE, SHARED, fd, 0];
            let mapped = remote.call(SYS_MMAP, &args);
            remote.call(SYS_CLOSE, &[fd])?;
            mapped?;
        }
        if !is_mapped(tid, ids::CORE) {
            let length = (self.core.len() as u64).next_multiple_of(4096);
            remote.call(SYS_MMAP, &[ids::CORE, length, READ_WRITE, PRIVATE, u64::MAX, 0])?;
            remote.thread.write(ids::CORE, self.core).map_err(errno)?;
            remote.call(SYS_MPROTECT, &[ids::CORE, length, READ_EXEC])?;
        }
        if !is_mapped(tid, ids::STACKS) {
            remote.call(SYS_MMAP, &[ids::STACKS, stacks::LENGTH, READ_WRITE, PRIVATE, u64::MAX, 0])?;
        }
        Ok(())
    }
}

/// Answers the question such that the thread stops before it sees the answer.
fn stop(listener: &Listener, question: Question) -> Result<()> {
    ptrace::interrupt(question.tid)?;
    let answered = listener.answer(question.cookie, 0, 0);
    ptrace::next_stop(question.tid)?.ok_or(Errno::ESRCH)?;
    answered
}

/// Lets a stopped thread go on with changed registers.
fn release(thread: &Stopped, change: impl FnOnce(&mut Registers)) -> Result<()> {
    let mut regs = registers(thread)?;
    // Nothing is to be started again by the kernel.
    regs.orig_rax = u64::MAX;
    change(&mut regs);
    thread.set_registers(&regs).map_err(errno)?;
    ptrace::detach(thread.tid(), 0)
}

fn set(regs: &mut Registers, errno: Errno) {
    regs.rax = i64::from(-errno.0) as u64;
}

fn registers(thread: &Stopped) -> Result<Registers> {
    thread.registers().map_err(errno)
}

fn is_mapped(tid: i32, address: u64) -> bool {
    sys::memory::read_process(tid, address, &mut [0; 8]) == Ok(8)
}

fn errno(error: tracee::Error) -> Errno {
    error.errno().unwrap_or(Errno::ESRCH)
}

/// System calls of the stopped thread, made by the very instruction with which it asked.
struct Remote<'t> {
    thread: &'t Stopped,
    asked: Registers,
    held: Vec<i32>,
}

impl Remote<'_> {
    fn call(&mut self, nr: u64, args: &[u64]) -> Result<u64> {
        const INSTRUCTION: u64 = 2;
        let mut regs = self.asked;
        let arg = |i: usize| args.get(i).copied().unwrap_or(0);
        (regs.rdi, regs.rsi, regs.rdx) = (arg(0), arg(1), arg(2));
        (regs.r10, regs.r8, regs.r9) = (arg(3), arg(4), arg(5));
        (regs.rax, regs.orig_rax) = (nr, u64::MAX);
        regs.rip -= INSTRUCTION;
        self.thread.set_registers(&regs).map_err(errno)?;
        self.step()?;
        self.step()?;
        Errno::from_raw(registers(self.thread)?.rax as i64)
    }

    /// To the next system-call stop.
    fn step(&mut self) -> Result<()> {
        loop {
            ptrace::to_syscall(self.thread.tid())?;
            match ptrace::next_stop(self.thread.tid())? {
                Some(Wait::Syscall) => return Ok(()),
                Some(Wait::Signal(signal)) => self.held.push(signal),
                Some(_) => {}
                None => return Err(Errno::ESRCH),
            }
        }
    }
}
