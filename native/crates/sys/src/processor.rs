//! What the processor says of itself (CPUID, XGETBV).

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

/// The components of extended state that the kernel has enabled for programs (XCR0), and how many bytes they take in the
/// standard XSAVE format. None where the kernel does not use XSAVE.
#[must_use]
pub fn extended_state() -> Option<(u64, usize)> {
    const OSXSAVE: u32 = 1 << 27;
    const EXTENDED_STATE: u32 = 0xd;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return None;
    }
    // SAFETY: OSXSAVE says that the instruction exists and that programs may use it.
    let components = unsafe { read_components() };
    Some((components, __cpuid_count(EXTENDED_STATE, 0).ebx as usize))
}

/// # Safety
/// The processor has XSAVE and the kernel has enabled it.
#[target_feature(enable = "xsave")]
unsafe fn read_components() -> u64 {
    // SAFETY: as the caller promises; register 0 always exists then.
    unsafe { _xgetbv(0) }
}
