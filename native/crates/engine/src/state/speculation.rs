//! Which speculation a thread has given up (`PR_SET_SPECULATION_CTRL`, prctl(2)): browsers and sandboxes do.

use crate::procfs::Status;
use crate::program::Program;
use serde::{Deserialize, Serialize};

const PR_SET_SPECULATION_CTRL: u64 = 53;
const STORE_BYPASS: u64 = 0;
const INDIRECT_BRANCH: u64 = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeculationV1 {
    pub store_bypass: LeaveV1,
    pub indirect_branch: LeaveV1,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaveV1 {
    /// As the host has it.
    #[default]
    Untouched,
    /// `PR_SPEC_DISABLE`.
    Disabled,
    /// `PR_SPEC_FORCE_DISABLE`: for good.
    ForceDisabled,
}

/// From the words of /proc/PID/status, which only speak of threads where a thread can choose.
pub fn collect(status: &Status) -> SpeculationV1 {
    let store_bypass = match status.text("Speculation_Store_Bypass") {
        "thread mitigated" => LeaveV1::Disabled,
        "thread force mitigated" => LeaveV1::ForceDisabled,
        _ => LeaveV1::Untouched,
    };
    let indirect_branch = match status.text("SpeculationIndirectBranch") {
        "conditional disabled" => LeaveV1::Disabled,
        "conditional force disabled" => LeaveV1::ForceDisabled,
        _ => LeaveV1::Untouched,
    };
    SpeculationV1 { store_bypass, indirect_branch }
}

/// Adds the calls for the calling thread. A processor that has no such choice needs none.
pub fn apply(saved: &SpeculationV1, program: &mut Program) {
    for (which, leave) in [(STORE_BYPASS, saved.store_bypass), (INDIRECT_BRANCH, saved.indirect_branch)] {
        let value = match leave {
            LeaveV1::Untouched => continue,
            LeaveV1::Disabled => 4,
            LeaveV1::ForceDisabled => 8,
        };
        let args = [PR_SET_SPECULATION_CTRL, which, value, 0, 0];
        program.attempt("PR_SET_SPECULATION_CTRL", libc::SYS_prctl, &args);
    }
}
