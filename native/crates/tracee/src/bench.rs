//! Arrays of system calls in a blank process, one round trip for each array.
//!
//! The array is the stack: entries of eight words {nr, six arguments, check}. The loop pops an entry, makes the
//! call, writes the result over the entry's number and goes on, until a negative number ends it or a result fails
//! its check. Both ends are breakpoints, which is right for processes that die with their maker and wrong
//! for anybody else's (see `visit.rs`).

use crate::{Error, Result, Stopped};
use sys::Errno;
use sys::ptrace::{self, Registers, Wait};

const ENTRY: usize = 64;
/// Bytes of `struct clone_args` up to kernel 5.7.
const CLONE_ARGUMENTS: u64 = 88;
const LOOP: &[u8] = &[
    0x58, // pop rax
    0x48, 0x85, 0xc0, // test rax, rax
    0x78, 0x19, // js end
    0x5f, 0x5e, 0x5a, 0x41, 0x5a, 0x41, 0x58, 0x41, 0x59, // pop rdi, rsi, rdx, r10, r8, r9
    0x0f, 0x05, // syscall
    0x48, 0x89, 0x44, 0x24, 0xc8, // mov [rsp - 56], rax
    0x5b, // pop rbx
    0x48, 0x21, 0xc3, // and rbx, rax
    0x78, 0x05, // js fail
    0xeb, 0xe2, // jmp loop
    0x90, 0xcc, // end: int3 at 31
    0x90, 0xcc, // fail: int3 at 33
];
const SYSCALL_AT: u64 = 15;
const END_STOP: u64 = 31;

/// One entry of an array.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: &'static str,
    nr: i64,
    args: [u64; 6],
    fatal: bool,
}

impl Call {
    #[must_use]
    pub fn new(name: &'static str, nr: i64, args: &[u64]) -> Self {
        let mut words = [0; 6];
        words[..args.len()].copy_from_slice(args);
        Self { name, nr, args: words, fatal: true }
    }

    /// A call whose failure does not end the array; the result tells.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { fatal: false, ..self }
    }
}

/// The work area of blank processes: code and arrays, at the same address in each of them.
#[derive(Clone, Debug)]
pub struct Bench {
    code: u64,
    data: u64,
    data_len: u64,
}

impl Bench {
    /// Bytes of the loop, for whoever puts it at `code`.
    pub const CODE: &'static [u8] = LOOP;
    /// Room for arrays at the start of the data area; payload may follow it.
    pub const ARRAY: u64 = 128 * 1024;

    #[must_use]
    pub fn new(code: u64, data: u64, data_len: u64) -> Self {
        Self { code, data, data_len }
    }

    /// Where payload that calls refer to may be written, and how much fits.
    #[must_use]
    pub fn payload(&self) -> (u64, u64) {
        (self.data + Self::ARRAY, self.data_len - Self::ARRAY)
    }

    /// Runs the calls in order and returns their raw results. A call that is not optional and fails ends it.
    pub fn run(&self, thread: &Stopped, calls: &[Call]) -> Result<Vec<i64>> {
        let mut results = Vec::with_capacity(calls.len());
        for chunk in calls.chunks((Self::ARRAY as usize - ENTRY) / ENTRY) {
            self.run_chunk(thread, chunk, &mut results)?;
        }
        Ok(results)
    }

    fn run_chunk(&self, thread: &Stopped, calls: &[Call], results: &mut Vec<i64>) -> Result<()> {
        self.load(thread, calls)?;
        let stop = self.to_breakpoint(thread)?;
        let done = ((stop.rsp - self.data) as usize / ENTRY).min(calls.len());
        let mut words = vec![0u8; done * ENTRY];
        thread.read(self.data, &mut words)?;
        let result =
            |i: usize| i64::from_le_bytes(words[i * ENTRY..i * ENTRY + 8].try_into().expect("8 bytes"));
        results.extend((0..done).map(result));
        if stop.rip == self.code + END_STOP + 1 || done == 0 {
            return Ok(());
        }
        let failed = &calls[done - 1];
        Err(Error::Call { name: failed.name, tid: thread.tid(), errno: Errno(-result(done - 1) as i32) })
    }

    /// Makes one call.
    pub fn call(&self, thread: &Stopped, name: &'static str, nr: i64, args: &[u64]) -> Result<u64> {
        let results = self.run(thread, &[Call::new(name, nr, args)])?;
        Ok(results[0] as u64)
    }

    /// Starts a call that does not return, such as exit_group(2).
    pub fn start(&self, thread: &Stopped, call: Call) -> Result<()> {
        self.load(thread, &[call])?;
        resume(thread)
    }

    /// Makes one call between system-call stops, touching neither stack nor breakpoints: for a process whose
    /// signal actions are already its own, and for unmapping the work area itself. Ends in the exit stop.
    pub fn step(&self, thread: &Stopped, name: &'static str, nr: i64, args: &[u64]) -> Result<u64> {
        let mut regs = thread.registers()?;
        let arg = |i: usize| args.get(i).copied().unwrap_or(0);
        self.aim(&mut regs, self.code + SYSCALL_AT, self.data);
        regs.rax = nr as u64;
        (regs.rdi, regs.rsi, regs.rdx) = (arg(0), arg(1), arg(2));
        (regs.r10, regs.r8, regs.r9) = (arg(3), arg(4), arg(5));
        thread.set_registers(&regs)?;
        let mut held = Vec::new();
        thread.to_syscall_stop(&mut held)?;
        thread.to_syscall_stop(&mut held)?;
        let value = thread.registers()?.rax as i64;
        Errno::from_raw(value).map_err(|errno| Error::Call { name, tid: thread.tid(), errno })
    }

    /// Makes a new thread or process (clone3(2)) that takes `set_tid` in its PID namespace, and returns its id in the
    /// tracer's view. The new one is attached and stopped; the caller is back at a breakpoint.
    pub fn clone3(
        &self,
        thread: &Stopped,
        flags: u64,
        exit_signal: u64,
        set_tid: Option<i32>,
    ) -> Result<i32> {
        const SYS_CLONE3: i64 = 435;
        let (payload, _) = self.payload();
        let (tid_at, tid_count) = (payload + CLONE_ARGUMENTS, u64::from(set_tid.is_some()));
        // flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup
        let arguments = [flags, 0, 0, 0, exit_signal, 0, 0, 0, tid_at * tid_count, tid_count, 0];
        let mut bytes: Vec<u8> = arguments.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend_from_slice(&set_tid.unwrap_or(0).to_le_bytes());
        thread.write(payload, &bytes)?;
        let call = Call::new("clone3", SYS_CLONE3, &[payload, CLONE_ARGUMENTS]);
        self.load(thread, &[call])?;
        resume(thread)?;
        let child = match thread.wait()? {
            Wait::Event(ptrace::EVENT_CLONE | ptrace::EVENT_FORK, _) => {
                ptrace::event_message(thread.tid())
                    .map_err(Error::request("reading an event", thread.tid()))?
            }
            Wait::Signal(_) => {
                let errno = Errno(-(thread.read_u64(self.data)? as i64) as i32);
                return Err(Error::Call { name: "clone3", tid: thread.tid(), errno });
            }
            other => return Err(Error::Surprise { tid: thread.tid(), how: format!("{other:?}") }),
        };
        self.to_breakpoint(thread)?;
        let child = Stopped::assume(child as i32);
        match child.wait()? {
            Wait::Event(ptrace::EVENT_STOP, _) => Ok(child.tid()),
            other => Err(Error::Surprise { tid: child.tid(), how: format!("{other:?}") }),
        }
    }

    /// Writes the array for `calls` and aims the thread at it.
    fn load(&self, thread: &Stopped, calls: &[Call]) -> Result<()> {
        let mut array = Vec::with_capacity(calls.len() * ENTRY + 8);
        for call in calls {
            array.extend_from_slice(&call.nr.to_le_bytes());
            call.args.iter().for_each(|word| array.extend_from_slice(&word.to_le_bytes()));
            array.extend_from_slice(&(if call.fatal { -1i64 } else { 0 }).to_le_bytes());
        }
        array.extend_from_slice(&(-1i64).to_le_bytes());
        thread.write(self.data, &array)?;
        let mut regs = thread.registers()?;
        self.aim(&mut regs, self.code, self.data);
        thread.set_registers(&regs)
    }

    fn aim(&self, regs: &mut Registers, rip: u64, rsp: u64) {
        regs.rip = rip;
        regs.rsp = rsp;
        regs.orig_rax = u64::MAX;
    }

    fn to_breakpoint(&self, thread: &Stopped) -> Result<Registers> {
        resume(thread)?;
        match thread.wait()? {
            Wait::Signal(5) => thread.registers(),
            other => Err(Error::Surprise { tid: thread.tid(), how: format!("{other:?}") }),
        }
    }
}

fn resume(thread: &Stopped) -> Result<()> {
    ptrace::cont(thread.tid(), 0).map_err(Error::request("resuming", thread.tid()))
}
