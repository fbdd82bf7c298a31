//! ptrace(2) for tracees that were attached with `PTRACE_SEIZE`, and waiting for them.

use crate::{Errno, Result};
use libc::{c_long, c_void, pid_t};

/// General registers of an x86-64 thread, as `PTRACE_GETREGS` gives them.
pub type Registers = libc::user_regs_struct;

const PTRACE_PEEKSIGINFO: u32 = 0x4209;
const PTRACE_GETSIGMASK: u32 = 0x420a;
const PTRACE_SETSIGMASK: u32 = 0x420b;
const PTRACE_SECCOMP_GET_FILTER: u32 = 0x420c;
const PTRACE_SECCOMP_GET_METADATA: u32 = 0x420d;
const PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG: u32 = 0x4210;
const PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG: u32 = 0x4211;
const PTRACE_GET_RSEQ_CONFIGURATION: u32 = 0x420f;
const PTRACE_PEEKSIGINFO_SHARED: u32 = 1;
const NT_X86_XSTATE: usize = 0x202;

pub const O_TRACESYSGOOD: i32 = libc::PTRACE_O_TRACESYSGOOD;
pub const O_TRACECLONE: i32 = libc::PTRACE_O_TRACECLONE;
pub const O_TRACEFORK: i32 = libc::PTRACE_O_TRACEFORK;
pub const O_TRACEEXEC: i32 = libc::PTRACE_O_TRACEEXEC;
pub const O_SUSPEND_SECCOMP: i32 = libc::PTRACE_O_SUSPEND_SECCOMP;
pub const O_EXITKILL: i32 = libc::PTRACE_O_EXITKILL;
pub const EVENT_CLONE: i32 = libc::PTRACE_EVENT_CLONE;
pub const EVENT_FORK: i32 = libc::PTRACE_EVENT_FORK;
pub const EVENT_EXEC: i32 = libc::PTRACE_EVENT_EXEC;
pub const EVENT_STOP: i32 = 128;

/// How a wait on a tracee ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Exited(i32),
    Killed(i32),
    /// Syscall-entry or syscall-exit stop (`PTRACE_O_TRACESYSGOOD`).
    Syscall,
    /// A ptrace event with its number and the signal that accompanies it.
    Event(i32, i32),
    /// Signal-delivery stop.
    Signal(i32),
}

/// `struct rseq` registration of a thread (`PTRACE_GET_RSEQ_CONFIGURATION`, kernel 5.13).
#[derive(Clone, Copy, Debug, Default)]
pub struct RseqConfiguration {
    pub pointer: u64,
    pub size: u32,
    pub signature: u32,
    pub flags: u32,
}

fn request(nr: u32, pid: pid_t, addr: usize, data: usize) -> Result<u64> {
    // SAFETY: every caller in this file passes, for `addr` and `data`, either plain numbers or pointers to
    // live buffers of the size that the request writes or reads (ptrace(2)).
    Errno::check(unsafe { libc::ptrace(nr, pid, addr as *mut c_void, data as *mut c_void) as c_long })
}

pub fn seize(pid: pid_t, options: i32) -> Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0, options as usize).map(drop)
}

pub fn interrupt(pid: pid_t) -> Result<()> {
    request(libc::PTRACE_INTERRUPT, pid, 0, 0).map(drop)
}

pub fn detach(pid: pid_t, signal: i32) -> Result<()> {
    request(libc::PTRACE_DETACH, pid, 0, signal as usize).map(drop)
}

pub fn cont(pid: pid_t, signal: i32) -> Result<()> {
    request(libc::PTRACE_CONT, pid, 0, signal as usize).map(drop)
}

/// Resumes until the next syscall-entry or syscall-exit stop.
pub fn to_syscall(pid: pid_t) -> Result<()> {
    request(libc::PTRACE_SYSCALL, pid, 0, 0).map(drop)
}

pub fn set_options(pid: pid_t, options: i32) -> Result<()> {
    request(libc::PTRACE_SETOPTIONS, pid, 0, options as usize).map(drop)
}

/// The message of the last event: for `EVENT_CLONE` and `EVENT_FORK` the new thread's id in the tracer's view.
pub fn event_message(pid: pid_t) -> Result<u64> {
    let mut message = 0u64;
    request(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut message as usize)?;
    Ok(message)
}

pub fn registers(pid: pid_t) -> Result<Registers> {
    // SAFETY: user_regs_struct is plain integers; all zeroes is a valid value.
    let mut regs: Registers = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETREGS, pid, 0, &raw mut regs as usize)?;
    Ok(regs)
}

pub fn set_registers(pid: pid_t, regs: &Registers) -> Result<()> {
    request(libc::PTRACE_SETREGS, pid, 0, std::ptr::from_ref(regs) as usize).map(drop)
}

/// The extended state (x87, SSE, AVX, AVX-512, PKRU ...) in the XSAVE format.
pub fn xstate(pid: pid_t) -> Result<Vec<u8>> {
    let mut buffer = vec![0u8; 16384];
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    request(libc::PTRACE_GETREGSET, pid, NT_X86_XSTATE, &raw mut iov as usize)?;
    buffer.truncate(iov.iov_len);
    Ok(buffer)
}

pub fn set_xstate(pid: pid_t, state: &[u8]) -> Result<()> {
    let mut iov = libc::iovec { iov_base: state.as_ptr().cast_mut().cast(), iov_len: state.len() };
    request(libc::PTRACE_SETREGSET, pid, NT_X86_XSTATE, &raw mut iov as usize).map(drop)
}

/// The thread's blocked-signal mask, signal 1 in bit 0.
pub fn signal_mask(pid: pid_t) -> Result<u64> {
    let mut mask = 0u64;
    request(PTRACE_GETSIGMASK, pid, 8, &raw mut mask as usize)?;
    Ok(mask)
}

pub fn set_signal_mask(pid: pid_t, mask: u64) -> Result<()> {
    request(PTRACE_SETSIGMASK, pid, 8, &raw const mask as usize).map(drop)
}

/// The queued signals of the thread, or (`shared`) of its process, oldest first, each as a raw 128-byte `siginfo_t`.
pub fn pending_signals(pid: pid_t, shared: bool) -> Result<Vec<[u8; 128]>> {
    #[repr(C)]
    struct Arguments {
        off: u64,
        flags: u32,
        nr: i32,
    }
    let mut all = Vec::new();
    loop {
        let mut batch = [[0u8; 128]; 32];
        let arguments = Arguments {
            off: all.len() as u64,
            flags: if shared { PTRACE_PEEKSIGINFO_SHARED } else { 0 },
            nr: batch.len() as i32,
        };
        let got =
            request(PTRACE_PEEKSIGINFO, pid, &raw const arguments as usize, batch.as_mut_ptr() as usize)?;
        if got == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&batch[..got as usize]);
    }
}

pub fn rseq_configuration(pid: pid_t) -> Result<RseqConfiguration> {
    #[repr(C)]
    #[derive(Default)]
    struct Raw {
        rseq_abi_pointer: u64,
        rseq_abi_size: u32,
        signature: u32,
        flags: u32,
        pad: u32,
    }
    let mut raw = Raw::default();
    request(PTRACE_GET_RSEQ_CONFIGURATION, pid, std::mem::size_of::<Raw>(), &raw mut raw as usize)?;
    Ok(RseqConfiguration {
        pointer: raw.rseq_abi_pointer,
        size: raw.rseq_abi_size,
        signature: raw.signature,
        flags: raw.flags,
    })
}

/// `struct ptrace_sud_config`: whose system calls go to a handler (prctl(2), PR_SET_SYSCALL_USER_DISPATCH).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SyscallDispatch {
    /// 0 is off, 1 is on.
    pub mode: u64,
    pub selector: u64,
    pub offset: u64,
    pub length: u64,
}

/// `EIO` on kernels before 6.4.
pub fn syscall_dispatch(pid: pid_t) -> Result<SyscallDispatch> {
    let mut found = SyscallDispatch::default();
    let size = std::mem::size_of::<SyscallDispatch>();
    request(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, pid, size, &raw mut found as usize)?;
    Ok(found)
}

pub fn set_syscall_dispatch(pid: pid_t, mut wanted: SyscallDispatch) -> Result<()> {
    let size = std::mem::size_of::<SyscallDispatch>();
    request(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, pid, size, &raw mut wanted as usize).map(drop)
}

/// Waits for a tracee (or a child) of the calling thread to change state. Blocks; restarts on `EINTR`.
pub fn wait(pid: pid_t) -> Result<Wait> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a live integer.
        let got = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if got >= 0 {
            return Ok(decode(status));
        }
        let error = Errno::last();
        if error != Errno::EINTR {
            return Err(error);
        }
    }
}

fn decode(status: i32) -> Wait {
    if libc::WIFEXITED(status) {
        return Wait::Exited(libc::WEXITSTATUS(status));
    }
    if libc::WIFSIGNALED(status) {
        return Wait::Killed(libc::WTERMSIG(status));
    }
    let signal = libc::WSTOPSIG(status);
    match (signal, status >> 16) {
        (signal, 0) if signal == libc::SIGTRAP | 0x80 => Wait::Syscall,
        (signal, 0) => Wait::Signal(signal),
        (signal, event) => Wait::Event(event, signal),
    }
}

/// Waits for the next stop of a tracee. None when it has ended; the report of that is left to whoever reaps.
pub fn next_stop(pid: pid_t) -> Result<Option<Wait>> {
    loop {
        match look(pid, 0) {
            Ok(Some(Wait::Exited(_) | Wait::Killed(_))) => return Ok(None),
            Ok(Some(_)) => return wait(pid).map(Some),
            Ok(None) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// What a wait for the tracee would report now, without taking the report.
fn peek(pid: pid_t) -> Result<Option<Wait>> {
    look(pid, libc::WNOHANG)
}

fn look(pid: pid_t, hang: i32) -> Result<Option<Wait>> {
    // SAFETY: siginfo_t is plain integers; all zeroes is a valid value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let how = libc::WEXITED | libc::WSTOPPED | libc::WNOWAIT | libc::__WALL | hang;
    // SAFETY: `info` is a live siginfo_t.
    let done = unsafe { libc::waitid(libc::P_PID, pid as u32, &raw mut info, how) };
    Errno::check(done.into())?;
    // SAFETY: waitid fills the fields of SIGCHLD, or leaves zeroes.
    let (found, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((found != 0).then(|| match info.si_code {
        libc::CLD_EXITED => Wait::Exited(status),
        libc::CLD_KILLED | libc::CLD_DUMPED => Wait::Killed(status & 0x7f),
        _ => decode(status << 8 | 0x7f),
    }))
}

/// Like [`wait`], but gives up (`EAGAIN`) when nothing happened for `patience`. A thread in uninterruptible sleep
/// cannot stop, and there is no wait with a timeout, so this polls: first hot, then every 100 us. The report of a signal is
/// not taken: the kernel drops a signal whose tracer was told of it and then died, but delivers it otherwise.
pub fn wait_for(pid: pid_t, patience: std::time::Duration) -> Result<Wait> {
    let start = std::time::Instant::now();
    let mut polls = 0u32;
    loop {
        match peek(pid) {
            Ok(Some(Wait::Signal(signal))) => return Ok(Wait::Signal(signal)),
            Ok(Some(_)) => return wait(pid),
            Ok(None) if start.elapsed() > patience => return Err(Errno::EAGAIN),
            Ok(None) if polls < 50 => std::thread::yield_now(),
            Ok(None) => std::thread::sleep(std::time::Duration::from_micros(100)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        polls += 1;
    }
}

/// The `index`th seccomp filter of a thread, oldest first, as `struct sock_filter` bytes; none beyond the last. Needs
/// CAP_SYS_ADMIN.
pub fn seccomp_filter(pid: pid_t, index: usize) -> Result<Option<Vec<u8>>> {
    const INSTRUCTION: usize = 8;
    let length = match request(PTRACE_SECCOMP_GET_FILTER, pid, index, 0) {
        Err(Errno::ENOENT) => return Ok(None),
        length => length? as usize,
    };
    let mut program = vec![0u8; length * INSTRUCTION];
    request(PTRACE_SECCOMP_GET_FILTER, pid, index, program.as_mut_ptr() as usize)?;
    Ok(Some(program))
}

/// The flags with which the `index`th filter was installed (kernel 4.16).
pub fn seccomp_filter_flags(pid: pid_t, index: usize) -> Result<u64> {
    let mut metadata = [index as u64, 0];
    request(
        PTRACE_SECCOMP_GET_METADATA,
        pid,
        std::mem::size_of_val(&metadata),
        metadata.as_mut_ptr() as usize,
    )?;
    Ok(metadata[1])
}
