//! A thread: registers and extended state, mask, per-thread kernel registrations (clone(2), rseq(2), sigaltstack(2)).

use super::credentials::{self, CredentialsV1};
use super::dispatch::{self, DispatchV1};
use super::processor;
use super::scheduling::{self, SchedulingV1};
use super::seccomp::{self, SeccompV1};
use super::signals;
use super::speculation::{self, SpeculationV1};
use super::translation;
use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::inquiry::{Inquiry, half, word};
use crate::procfs::Status;
use crate::program::Program;
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sys::ptrace::Registers;
use tracee::{Interrupted, Stopped, classify};

const PR_GET_TID_ADDRESS: u64 = 40;
const SS_ONSTACK: u32 = 1;
const SS_DISABLE: u32 = 2;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ThreadV1 {
    pub tid: OriginalPid,
    /// `user_regs_struct` in its order, as at the stop.
    pub registers: Vec<u64>,
    /// It waits in a call with a translated id, which is to be looked up anew.
    pub look_up: bool,
    pub xstate: ByteBuf,
    pub signal_mask: u64,
    pub sigaltstack: SigaltstackV1,
    pub clear_child_tid: u64,
    pub robust_list: u64,
    pub rseq: Option<RseqV1>,
    pub comm: ByteBuf,
    pub pdeath_signal: i32,
    pub timer_slack_ns: u64,
    pub credentials: CredentialsV1,
    pub scheduling: SchedulingV1,
    pub seccomp: SeccompV1,
    #[serde(default)]
    pub speculation: SpeculationV1,
    #[serde(default)]
    pub dispatch: Option<DispatchV1>,
    /// Signals queued for this thread alone.
    pub pending: Vec<ByteBuf>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct SigaltstackV1 {
    pub sp: u64,
    pub flags: u32,
    pub size: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RseqV1 {
    pub pointer: u64,
    pub size: u32,
    pub signature: u32,
}

/// Takes what can be read while the thread is merely stopped, then asks it for the rest.
/// `filtered`: it has the filter of its capsule.
pub fn collect(pid: i32, inquiry: &mut Inquiry, filtered: bool) -> Result<ThreadV1> {
    let thread = inquiry.thread;
    let tid = thread.tid();
    let path = format!("{pid}/task/{tid}");
    let what = || format!("Could not read the state of thread {tid}");
    let status = Status::read(&path).explain(what)?;
    let mut registers = thread.registers().explain(what)?;
    let look_up = translation::put_back(thread, &mut registers)?;
    let xstate = thread.xstate().explain(what)?;
    let signal_mask = thread.signal_mask().explain(what)?;
    let pending = signals::pending(thread, false)?;
    let comm = std::fs::read(format!("/proc/{path}/comm")).explain(what)?;
    let timer_slack = std::fs::read_to_string(format!("/proc/{tid}/timerslack_ns")).unwrap_or_default();
    Ok(ThreadV1 {
        tid: OriginalPid(status.innermost("NSpid")),
        registers: to_words(&registers).to_vec(),
        look_up,
        xstate: ByteBuf::from(xstate),
        signal_mask,
        pending,
        comm: ByteBuf::from(comm.strip_suffix(b"\n").unwrap_or(&comm).to_vec()),
        timer_slack_ns: timer_slack.trim().parse().unwrap_or(50_000),
        robust_list: sys::process::robust_list(tid).explain(what)?.0,
        rseq: rseq(tid)?,
        scheduling: scheduling::collect(tid)?,
        seccomp: seccomp::collect(tid, &status, filtered)?,
        speculation: speculation::collect(&status),
        dispatch: dispatch::collect(tid)?,
        sigaltstack: ask_sigaltstack(inquiry)?,
        clear_child_tid: ask_pointer(inquiry, "PR_GET_TID_ADDRESS", PR_GET_TID_ADDRESS)?,
        pdeath_signal: ask_pointer(inquiry, "PR_GET_PDEATHSIG", libc::PR_GET_PDEATHSIG as u64)? as i32,
        credentials: credentials::collect(&status, inquiry)?,
    })
}

fn rseq(tid: i32) -> Result<Option<RseqV1>> {
    match sys::ptrace::rseq_configuration(tid) {
        Ok(found) if found.pointer != 0 => {
            Ok(Some(RseqV1 { pointer: found.pointer, size: found.size, signature: found.signature }))
        }
        // Kernels without rseq, or before 5.13, answer EIO or EINVAL.
        Ok(_) | Err(sys::Errno::EIO | sys::Errno::EINVAL) => Ok(None),
        Err(errno) => Err(errno).explain(|| format!("Could not read the rseq registration of thread {tid}")),
    }
}

fn ask_sigaltstack(inquiry: &mut Inquiry) -> Result<SigaltstackV1> {
    let out = inquiry.out();
    let bytes: [u8; 24] = inquiry.fetch("sigaltstack", libc::SYS_sigaltstack, &[0, out])?;
    Ok(SigaltstackV1 { sp: word(&bytes, 0), flags: half(&bytes, 8), size: word(&bytes, 16) })
}

fn ask_pointer(inquiry: &mut Inquiry, name: &str, option: u64) -> Result<u64> {
    inquiry.put(&[0; 8])?;
    let at = inquiry.visit.scratch();
    inquiry.number(name, libc::SYS_prctl, &[option, at, 0, 0, 0])?;
    inquiry.thread.read_u64(at).explain(|| format!("Could not read what {name} said"))
}

/// Inside a restartable sequence, any stop makes the kernel forget it; the thread is taken to the abort handler
/// instead, as a preemption would. Called at the stop, before anything else runs in the thread.
pub fn abort_restartable_sequence(thread: &Stopped) -> Result<()> {
    let Some(area) = rseq(thread.tid())? else { return Ok(()) };
    let what = || format!("Could not read the restartable sequence of thread {}", thread.tid());
    let descriptor = thread.read_u64(area.pointer + 8).explain(what)?;
    if descriptor == 0 {
        return Ok(());
    }
    let mut bytes = [0u8; 32];
    if thread.read(descriptor, &mut bytes).is_err() {
        return Ok(()); // stale pointer: the kernel ignores it likewise
    }
    let (start, length, abort) = (word(&bytes, 8), word(&bytes, 16), word(&bytes, 24));
    let mut regs = thread.registers().explain(what)?;
    if regs.rip.wrapping_sub(start) < length {
        regs.rip = abort;
        thread.set_registers(&regs).explain(what)?;
    }
    Ok(())
}

/// Adds the calls that a thread makes for itself once its memory is in place. Credentials are last.
pub fn apply(saved: &ThreadV1, current: i32, common_filters: usize, program: &mut Program) -> Result<()> {
    let prctl = |program: &mut Program, name, args: &[u64]| program.call(name, libc::SYS_prctl, args);
    program.attempt("set_tid_address", libc::SYS_set_tid_address, &[saved.clear_child_tid]);
    if saved.robust_list != 0 {
        program.call("set_robust_list", libc::SYS_set_robust_list, &[saved.robust_list, 24]);
    }
    let name = program.string(&saved.comm);
    prctl(program, "PR_SET_NAME", &[libc::PR_SET_NAME as u64, name]);
    prctl(program, "PR_SET_TIMERSLACK", &[libc::PR_SET_TIMERSLACK as u64, saved.timer_slack_ns]);
    apply_sigaltstack(&saved.sigaltstack, program);
    if let Some(rseq) = saved.rseq {
        program.call("rseq", libc::SYS_rseq, &[rseq.pointer, rseq.size.into(), 0, rseq.signature.into()]);
    }
    scheduling::apply(&saved.scheduling, current, program)?;
    speculation::apply(&saved.speculation, program);
    seccomp::apply(&saved.seccomp, common_filters, program);
    credentials::apply(&saved.credentials, current, program)?;
    if saved.pdeath_signal != 0 {
        prctl(program, "PR_SET_PDEATHSIG", &[libc::PR_SET_PDEATHSIG as u64, saved.pdeath_signal as u64]);
    }
    Ok(())
}

fn apply_sigaltstack(saved: &SigaltstackV1, program: &mut Program) {
    if saved.flags & SS_DISABLE == 0 {
        let flags = u64::from(saved.flags & !SS_ONSTACK);
        let bytes = [saved.sp, flags, saved.size].map(u64::to_le_bytes).concat();
        let at = program.data(&bytes);
        program.call("sigaltstack", libc::SYS_sigaltstack, &[at, 0]);
    }
}

/// Puts registers, extended state and mask onto a thread in an event stop, where the kernel's handling of an
/// interrupted system call is still ahead.
pub fn apply_registers(saved: &ThreadV1, thread: &Stopped, rebuild: &Rebuild) -> Result<()> {
    let what = || format!("Could not write the registers of thread {}", thread.tid());
    let mut regs = from_words(&saved.registers).ok_or(sys::Errno::EINVAL).explain(what)?;
    if classify(&regs) == Interrupted::FromBlock {
        // The restart block belongs to the old thread: the call starts again from its arguments.
        regs = tracee::left_to_the_kernel(&regs).unwrap_or(regs);
    }
    if saved.look_up {
        translation::look_up_anew(&mut regs, rebuild);
    }
    thread.set_xstate(&processor::fitted(&saved.xstate)).explain(what)?;
    thread.set_registers(&regs).explain(what)?;
    dispatch::apply(saved.dispatch.as_ref(), thread.tid())?;
    thread.set_signal_mask(saved.signal_mask).explain(what)
}

fn to_words(r: &Registers) -> [u64; 27] {
    [
        r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8, r.rax, r.rcx, r.rdx, r.rsi,
        r.rdi, r.orig_rax, r.rip, r.cs, r.eflags, r.rsp, r.ss, r.fs_base, r.gs_base, r.ds, r.es, r.fs, r.gs,
    ]
}

fn from_words(words: &[u64]) -> Option<Registers> {
    let [
        r15,
        r14,
        r13,
        r12,
        rbp,
        rbx,
        r11,
        r10,
        r9,
        r8,
        rax,
        rcx,
        rdx,
        rsi,
        rdi,
        orig_rax,
        rip,
        cs,
        eflags,
        rsp,
        ss,
        fs_base,
        gs_base,
        ds,
        es,
        fs,
        gs,
    ] = *<&[u64; 27]>::try_from(words).ok()?;
    Some(Registers {
        r15,
        r14,
        r13,
        r12,
        rbp,
        rbx,
        r11,
        r10,
        r9,
        r8,
        rax,
        rcx,
        rdx,
        rsi,
        rdi,
        orig_rax,
        rip,
        cs,
        eflags,
        rsp,
        ss,
        fs_base,
        gs_base,
        ds,
        es,
        fs,
        gs,
    })
}
