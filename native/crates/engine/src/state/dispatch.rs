//! Threads that have their system calls sent to a signal handler of theirs (`PR_SET_SYSCALL_USER_DISPATCH`, kernel 5.11):
//! emulators of other systems do. A tracer can read and set it from kernel 6.4 on.

use crate::explain::{Explain, Result, refused};
use serde::{Deserialize, Serialize};
use sys::ptrace::{self, SyscallDispatch};
use tracee::Stopped;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatchV1 {
    /// Where the byte is that says whether calls are barred; 0 for always.
    pub selector: u64,
    /// Calls from this range are never barred: address and bytes.
    pub offset: u64,
    pub length: u64,
}

/// None when it is off, and on kernels that do not tell.
pub fn collect(tid: i32) -> Result<Option<DispatchV1>> {
    match ptrace::syscall_dispatch(tid) {
        Ok(found) if found.mode != 0 => {
            Ok(Some(DispatchV1 { selector: found.selector, offset: found.offset, length: found.length }))
        }
        Ok(_) | Err(sys::Errno::EIO | sys::Errno::EINVAL) => Ok(None),
        Err(errno) => Err(errno).explain(|| format!("Could not read the system-call dispatch of {tid}")),
    }
}

/// Refuses a thread in whose name no calls can be made at this moment: they would reach its handler.
pub fn refuse_barred(pid: i32, thread: &Stopped) -> Result<()> {
    let Some(dispatch) = collect(thread.tid())? else { return Ok(()) };
    let mut selector = [1];
    if dispatch.selector != 0 && thread.read(dispatch.selector, &mut selector).is_ok() && selector[0] == 0 {
        return Ok(());
    }
    let what = format!("the system calls of thread {}", thread.tid());
    let why =
        "they go to a handler of its own at this moment (PR_SET_SYSCALL_USER_DISPATCH); try again later";
    Err(refused(pid, &what, why))
}

/// Switches it on, when the thread makes no calls for us any more.
pub fn apply(saved: Option<&DispatchV1>, tid: i32) -> Result<()> {
    let Some(saved) = saved else { return Ok(()) };
    let wanted =
        SyscallDispatch { mode: 1, selector: saved.selector, offset: saved.offset, length: saved.length };
    ptrace::set_syscall_dispatch(tid, wanted)
        .explain(|| format!("Could not restore the system-call dispatch of thread {tid}"))
}
