//! Signal actions of a process and signals that are queued (sigaction(2), rt_sigqueueinfo(2)).

use crate::explain::{Explain, Result};
use crate::inquiry::Inquiry;
use crate::procfs::Status;
use crate::program::Program;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tracee::Stopped;

const SIGTRAP: i32 = 5;

/// `struct sigaction` as rt_sigaction(2) takes it on x86-64.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActionV1 {
    pub signal: i32,
    pub handler: u64,
    pub flags: u64,
    pub restorer: u64,
    pub mask: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SignalsV1 {
    /// Actions that are not the default.
    pub actions: Vec<ActionV1>,
    /// Signals queued for the process as a whole, raw `siginfo_t`, oldest first.
    pub pending: Vec<ByteBuf>,
}

pub fn collect(status: &Status, inquiry: &mut Inquiry) -> Result<SignalsV1> {
    let set = status.hex("SigCgt") | status.hex("SigIgn");
    let mut actions = Vec::new();
    for signal in (1..=64).filter(|signal| set & (1 << (signal - 1)) != 0) {
        let out = inquiry.out();
        let bytes: [u8; 32] =
            inquiry.fetch("rt_sigaction", libc::SYS_rt_sigaction, &[signal as u64, 0, out, 8])?;
        let word = |at| crate::inquiry::word(&bytes, at);
        actions.push(ActionV1 {
            signal,
            handler: word(0),
            flags: word(8),
            restorer: word(16),
            mask: word(24),
        });
    }
    Ok(SignalsV1 { actions, pending: pending(inquiry.thread, true)? })
}

/// The queued signals of a thread, or (`shared`) of its process.
pub fn pending(thread: &Stopped, shared: bool) -> Result<Vec<ByteBuf>> {
    let list = sys::ptrace::pending_signals(thread.tid(), shared)
        .explain(|| format!("Could not read the queued signals of thread {}", thread.tid()))?;
    Ok(list.into_iter().map(|info| ByteBuf::from(info.to_vec())).collect())
}

/// Adds the calls that set the actions. SIGTRAP's comes last and by other means: breakpoints end the programs that run
/// until then.
pub fn apply_actions(saved: &SignalsV1, program: &mut Program) {
    // Children that became zombies during the restore left a SIGCHLD; ignoring it once drops it.
    let ignore = program.data(&encode(&ActionV1 { signal: 17, handler: 1, flags: 0, restorer: 0, mask: 0 }));
    let default = program.data(&[0; 32]);
    program.call("rt_sigaction", libc::SYS_rt_sigaction, &[17, ignore, 0, 8]);
    program.call("rt_sigaction", libc::SYS_rt_sigaction, &[17, default, 0, 8]);
    for action in saved.actions.iter().filter(|action| action.signal != SIGTRAP) {
        let at = program.data(&encode(action));
        program.call("rt_sigaction", libc::SYS_rt_sigaction, &[action.signal as u64, at, 0, 8]);
    }
}

/// The encoded action for SIGTRAP, when it is not the default.
pub fn trap_action(saved: &SignalsV1) -> Option<Vec<u8>> {
    saved.actions.iter().find(|action| action.signal == SIGTRAP).map(encode)
}

fn encode(action: &ActionV1) -> Vec<u8> {
    [action.handler, action.flags, action.restorer, action.mask]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

/// Adds the calls that queue signals again. A kernel `si_code` may only be queued by the thread itself, which is who calls.
pub fn apply_pending(pending: &[ByteBuf], tgid: i32, thread: Option<i32>, program: &mut Program) {
    for info in pending {
        let signal = crate::inquiry::half(info, 0) as u64;
        let at = program.data(info);
        match thread {
            Some(tid) => program.call(
                "rt_tgsigqueueinfo",
                libc::SYS_rt_tgsigqueueinfo,
                &[tgid as u64, tid as u64, signal, at],
            ),
            None => program.call("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo, &[tgid as u64, signal, at]),
        };
    }
}
