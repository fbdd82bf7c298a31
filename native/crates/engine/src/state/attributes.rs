//! What a process has asked of the kernel once and for all: barriers, locks on memory to come, refusal of new code, NUMA
//! policy, machine checks (membarrier(2), mlockall(2), prctl(2), set_mempolicy(2)).
//!
//! Some of it belongs to single threads. The main thread is asked, and all threads get what it had: they inherit it when
//! they are made, and a question to each of many threads would prolong the pause.

use crate::explain::{Explain, Result};
use crate::inquiry::{Inquiry, half, word};
use crate::procfs::{self, Status};
use crate::program::Program;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

const PR_MCE_KILL: u64 = 33;
const PR_MCE_KILL_GET: u64 = 34;
const PR_MCE_KILL_SET: u64 = 1;
const MCE_KILL_DEFAULT: u64 = 2;
const PR_SET_MDWE: u64 = 65;
const PR_GET_MDWE: u64 = 66;
const PR_SET_MEMORY_MERGE: u64 = 67;
const PR_GET_MEMORY_MERGE: u64 = 68;
const MEMBARRIER_GET_REGISTRATIONS: u64 = 1 << 9;
/// What MEMBARRIER_GET_REGISTRATIONS may tell: each bit is the command that registers.
const REGISTERING: [u64; 4] = [1 << 2, 1 << 4, 1 << 6, 1 << 8];
/// Bits of a node mask: more than any kernel has nodes. The kernel wants their number plus one.
const NODES: u64 = 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributesV1 {
    /// Registrations for membarrier(2); none when the kernel does not tell (before 6.3).
    pub barriers: Option<u64>,
    /// `PR_SET_MDWE`.
    pub refuses_code: u64,
    /// `PR_SET_MEMORY_MERGE`.
    pub merges: bool,
    /// mlockall(2) with MCL_FUTURE; true: with MCL_ONFAULT, too.
    pub locks_future: Option<bool>,
    /// `PR_MCE_KILL_GET`, when it is not the default.
    pub machine_checks: Option<u64>,
    pub nodes: Option<NodesV1>,
}

/// The NUMA policy of threads (set_mempolicy(2)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesV1 {
    /// MPOL_PREFERRED and so on, with its flags.
    pub policy: u32,
    pub mask: ByteBuf,
}

/// Asks the main thread. `before` is the process's status before the visit.
pub fn collect(pid: i32, before: &Status, inquiry: &mut Inquiry) -> Result<AttributesV1> {
    let barriers = inquiry.raw("membarrier", libc::SYS_membarrier, &[MEMBARRIER_GET_REGISTRATIONS, 0, 0])?;
    let mut option = |name, option| inquiry.raw(name, libc::SYS_prctl, &[option, 0, 0, 0, 0]);
    // Kernels that do not know the options answer EINVAL.
    let refuses_code = option("PR_GET_MDWE", PR_GET_MDWE)?.max(0) as u64;
    let merges = option("PR_GET_MEMORY_MERGE", PR_GET_MEMORY_MERGE)? > 0;
    let machine_checks = option("PR_MCE_KILL_GET", PR_MCE_KILL_GET)?;
    Ok(AttributesV1 {
        barriers: (barriers >= 0).then_some(barriers as u64),
        refuses_code,
        merges,
        locks_future: locks_future(pid, before, inquiry.visit.area().0)?,
        machine_checks: u64::try_from(machine_checks).ok().filter(|policy| *policy != MCE_KILL_DEFAULT),
        nodes: nodes(inquiry)?,
    })
}

/// The kernel does not tell, but the work area was mapped meanwhile, and is locked if all new memory is.
fn locks_future(pid: i32, before: &Status, area: u64) -> Result<Option<bool>> {
    let what = || format!("Could not read what memory of process {pid} is locked");
    let locked = |status: &Status| status.numbers::<u64>("VmLck").first().copied().unwrap_or(0);
    if locked(&Status::read(&pid.to_string()).explain(what)?) <= locked(before) {
        return Ok(None);
    }
    let maps = procfs::mappings(pid).explain(what)?;
    let map = maps.iter().find(|map| map.start == area && map.has(b"lo"));
    Ok(map.map(|map| map.has(b"lf")))
}

fn nodes(inquiry: &mut Inquiry) -> Result<Option<NodesV1>> {
    const POLICY: usize = 8;
    let out = inquiry.out();
    let args = [out, out + POLICY as u64, NODES + 1, 0, 0];
    // ENOSYS without NUMA.
    if inquiry.raw("get_mempolicy", libc::SYS_get_mempolicy, &args)? < 0 {
        return Ok(None);
    }
    let mut bytes = [0u8; POLICY + NODES as usize / 8];
    inquiry.thread.read(out, &mut bytes).explain(|| "Could not read a NUMA policy".to_owned())?;
    let (policy, mask) = (half(&bytes, 0), ByteBuf::from(bytes[POLICY..].to_vec()));
    Ok((policy != 0).then_some(NodesV1 { policy, mask }))
}

/// Adds the calls for the process, made by its only thread when nothing more will be mapped: a registration takes long
/// once there are more.
pub fn apply(saved: &AttributesV1, program: &mut Program) {
    // Where it is not known, the process is registered for everything, which does no harm.
    let registered = saved.barriers.unwrap_or(u64::MAX);
    for command in REGISTERING.into_iter().filter(|command| registered & command != 0) {
        program.attempt("membarrier", libc::SYS_membarrier, &[command, 0, 0]);
    }
    if saved.merges {
        program.attempt("PR_SET_MEMORY_MERGE", libc::SYS_prctl, &[PR_SET_MEMORY_MERGE, 1, 0, 0, 0]);
    }
    if saved.refuses_code != 0 {
        program.call("PR_SET_MDWE", libc::SYS_prctl, &[PR_SET_MDWE, saved.refuses_code, 0, 0, 0]);
    }
    if let Some(on_fault) = saved.locks_future {
        let flags = libc::MCL_FUTURE | if on_fault { libc::MCL_ONFAULT } else { 0 };
        program.call("mlockall", libc::SYS_mlockall, &[flags as u64]);
    }
}

/// Adds the calls that each thread makes, before it gives up its privileges.
pub fn apply_thread(saved: &AttributesV1, program: &mut Program) {
    if let Some(policy) = saved.machine_checks {
        program.call("PR_MCE_KILL", libc::SYS_prctl, &[PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0]);
    }
    if let Some(nodes) = &saved.nodes {
        let empty = (0..nodes.mask.len()).step_by(8).all(|at| word(&nodes.mask, at) == 0);
        let mask = if empty { 0 } else { program.data(&nodes.mask) };
        let bits = if empty { 0 } else { NODES + 1 };
        // A host without these nodes does as it likes.
        program.attempt("set_mempolicy", libc::SYS_set_mempolicy, &[nodes.policy.into(), mask, bits]);
    }
}
