//! Instructions that are already in a process and that make a system call safe to inject: `syscall; ret`, and the
//! `rt_sigreturn` trampoline. Every libc, and the Go runtime, has both.

use std::ops::Range;

/// `syscall; ret`
const SYSCALL_RET: &[u8] = &[0x0f, 0x05, 0xc3];
/// `mov $15, %rax; syscall` and `mov $15, %eax; syscall`
const SIGRETURN: [&[u8]; 2] =
    [&[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05], &[0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05]];

/// Addresses of the two instruction sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gadgets {
    pub syscall_ret: u64,
    pub sigreturn: u64,
}

impl Gadgets {
    /// The code that [`Visit`](crate::Visit) puts on its own page, and where the two sequences are in it.
    pub(crate) const CODE: &'static [u8] = &[0x0f, 0x05, 0xc3, 0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05, 0xcc];

    pub(crate) fn on_page(page: u64) -> Self {
        Self { syscall_ret: page, sigreturn: page + 3 }
    }
}

/// Looks for both sequences in executable ranges; `read` fills a buffer from an address and says whether it could.
pub fn find_gadgets(ranges: &[Range<u64>], mut read: impl FnMut(u64, &mut [u8]) -> bool) -> Option<Gadgets> {
    let (mut syscall_ret, mut sigreturn) = (None, None);
    for range in ranges {
        let mut code = vec![0u8; (range.end - range.start).min(64 << 20) as usize];
        if !read(range.start, &mut code) {
            continue;
        }
        let find = |needle: &[u8]| memchr::memmem::find(&code, needle).map(|at| range.start + at as u64);
        syscall_ret = syscall_ret.or_else(|| find(SYSCALL_RET));
        sigreturn = sigreturn.or_else(|| SIGRETURN.iter().find_map(|needle| find(needle)));
        if let (Some(syscall_ret), Some(sigreturn)) = (syscall_ret, sigreturn) {
            return Some(Gadgets { syscall_ret, sigreturn });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_found_across_ranges() {
        let memory = [vec![0x90u8; 32], [&[0x90; 5], SYSCALL_RET, SIGRETURN[0]].concat()];
        let ranges = [0..32u64, 100..100 + memory[1].len() as u64];
        let found = find_gadgets(&ranges, |at, buffer| {
            buffer.copy_from_slice(if at == 0 { &memory[0] } else { &memory[1] });
            true
        });
        assert_eq!(found, Some(Gadgets { syscall_ret: 105, sigreturn: 108 }));
    }
}
