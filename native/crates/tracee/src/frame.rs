//! The frame that `rt_sigreturn` reads: everything of a thread that a signal handler's return puts back.
//!
//! ```text
//! slot + 0    address of the rt_sigreturn instructions (popped by `ret`)
//!      + 8    ucontext: flags, link, stack (24), sigcontext (256), signal mask (8)
//!      + 448  extended state, 64-byte aligned, with its software-reserved words filled in
//! ```
//! Layout: arch/x86/include/uapi/asm/{ucontext,sigcontext}.h; the same since kernel 4.6 (STRICT_RESTORE_SS).

use sys::ptrace::Registers;

const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
const UC_FLAGS: u64 = 7; // FP_XSTATE | SIGCONTEXT_SS | STRICT_RESTORE_SS
const SW_RESERVED: usize = 464;
const XSTATE_OFFSET: usize = 448;

/// A frame ready to be written at the 64-byte aligned address it was made for.
pub struct SignalFrame {
    pub bytes: Vec<u8>,
}

impl SignalFrame {
    /// Bytes that a frame with `xstate_len` bytes of extended state takes.
    #[must_use]
    pub fn size(xstate_len: usize) -> usize {
        XSTATE_OFFSET + xstate_len.next_multiple_of(64) + 64
    }

    /// Builds the frame for address `slot` (64-byte aligned). The alternate stack is left as it is: the frame carries
    /// flags that sigaltstack(2) refuses, which rt_sigreturn ignores.
    #[must_use]
    pub fn new(slot: u64, sigreturn: u64, regs: &Registers, mask: u64, xstate: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(Self::size(xstate.len()));
        let mut word = |value: u64| bytes.extend_from_slice(&value.to_le_bytes());
        word(sigreturn);
        word(UC_FLAGS);
        word(0);
        word(0);
        word(0xff); // ss_flags: invalid on purpose
        word(0);
        for value in [
            regs.r8,
            regs.r9,
            regs.r10,
            regs.r11,
            regs.r12,
            regs.r13,
            regs.r14,
            regs.r15,
            regs.rdi,
            regs.rsi,
            regs.rbp,
            regs.rbx,
            regs.rdx,
            regs.rax,
            regs.rcx,
            regs.rsp,
            regs.rip,
            regs.eflags,
        ] {
            word(value);
        }
        word(regs.cs | regs.ss << 48);
        for _ in 0..4 {
            word(0); // err, trapno, oldmask, cr2
        }
        word(slot + XSTATE_OFFSET as u64);
        for _ in 0..8 {
            word(0);
        }
        word(mask);
        bytes.resize(XSTATE_OFFSET, 0);
        bytes.extend_from_slice(xstate);
        fill_software_reserved(&mut bytes[XSTATE_OFFSET..], xstate.len());
        bytes.extend_from_slice(&FP_XSTATE_MAGIC2.to_le_bytes());
        Self { bytes }
    }
}

fn fill_software_reserved(state: &mut [u8], length: usize) {
    // PTRACE_GETREGSET leaves the mask of enabled features in these very bytes.
    let features = state[SW_RESERVED..SW_RESERVED + 8].to_vec();
    state[SW_RESERVED..SW_RESERVED + 4].copy_from_slice(&FP_XSTATE_MAGIC1.to_le_bytes());
    state[SW_RESERVED + 4..SW_RESERVED + 8].copy_from_slice(&(length as u32 + 4).to_le_bytes());
    state[SW_RESERVED + 8..SW_RESERVED + 16].copy_from_slice(&features);
    state[SW_RESERVED + 16..SW_RESERVED + 20].copy_from_slice(&(length as u32).to_le_bytes());
}

#[cfg(test)]
pub(crate) fn zeroed_registers() -> Registers {
    Registers {
        r15: 0,
        r14: 0,
        r13: 0,
        r12: 0,
        rbp: 0,
        rbx: 0,
        r11: 0,
        r10: 0,
        r9: 0,
        r8: 0,
        rax: 0,
        rcx: 0,
        rdx: 0,
        rsi: 0,
        rdi: 0,
        orig_rax: 0,
        rip: 0,
        cs: 0,
        eflags: 0,
        rsp: 0,
        ss: 0,
        fs_base: 0,
        gs_base: 0,
        ds: 0,
        es: 0,
        fs: 0,
        gs: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_the_kernel_reads_them() {
        let mut regs = zeroed_registers();
        (regs.rsp, regs.rip, regs.cs, regs.ss) = (0x7000, 0x4000, 0x33, 0x2b);
        let frame = SignalFrame::new(0x1000, 0x99, &regs, 0xabcd, &[0u8; 832]);
        let word = |at: usize| u64::from_le_bytes(frame.bytes[at..at + 8].try_into().unwrap());
        assert_eq!(word(0), 0x99);
        assert_eq!(word(8 + 40 + 15 * 8), 0x7000);
        assert_eq!(word(8 + 40 + 16 * 8), 0x4000);
        assert_eq!(word(8 + 40 + 18 * 8), 0x33 | 0x2b << 48);
        assert_eq!(word(8 + 40 + 23 * 8), 0x1000 + 448);
        assert_eq!(word(8 + 40 + 256), 0xabcd);
        assert_eq!(frame.bytes.len(), 448 + 832 + 4);
    }
}
