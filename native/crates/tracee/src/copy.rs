//! A frozen copy of a process's memory: a child that the process does not know of.
//!
//! The visited thread makes a helper that shares its memory (`CLONE_VM`, no exit signal); the helper forks the copy, notes
//! its id and exits; the thread waits for the helper (`__WALL`). The copy is nobody's child any more, so neither
//! wait(2) nor SIGCHLD shows it to the application. It closes every descriptor, so that no peer misses an end of
//! file, leaves the application's session and process group, whose ids it would hold beyond its end until somebody has
//! waited for it, and sleeps until it is killed, or until [`LIFETIME`] is over if whoever should do that is gone. Both run
//! only the code below, on a stack in the work area, with all signals blocked as the visit has them.

use crate::{Error, Result, Stopped, Visit};

/// Seconds after which an orphaned copy ends by itself.
pub const LIFETIME: u64 = 600;

/// Position-independent; entered by the `ret` behind the clone. At rsp: where the copy's id goes; 16 bytes on: how long to
/// sleep.
pub(crate) const CODE: &[u8] = &[
    0xb8, 57, 0, 0, 0, 0x0f, 0x05, // fork
    0x85, 0xc0, // test eax, eax
    0x74, 0x0e, // jz copy
    0x48, 0x89, 0x04, 0x24, // mov [rsp], rax
    0x31, 0xff, // xor edi, edi
    0xb8, 60, 0, 0, 0, 0x0f, 0x05, // exit(0)
    0xf4, // hlt
    // copy:
    0x31, 0xff, // xor edi, edi
    0xbe, 0xff, 0xff, 0xff, 0xff, // mov esi, ~0
    0x31, 0xd2, // xor edx, edx
    0xb8, 0xb4, 0x01, 0, 0, 0x0f, 0x05, // close_range(0, ~0, 0)
    0xb8, 0x70, 0, 0, 0, 0x0f, 0x05, // setsid()
    0x31, 0xff, 0x31, 0xf6, // xor edi, edi; xor esi, esi
    0x48, 0x8d, 0x54, 0x24, 0x10, // lea rdx, [rsp + 16]
    0x45, 0x31, 0xd2, 0x45, 0x31, 0xc0, // xor r10d, r10d; xor r8d, r8d
    0xb8, 0x0f, 0x01, 0, 0, 0x0f, 0x05, // ppoll(NULL, 0, LIFETIME, NULL)
    0x31, 0xff, // xor edi, edi
    0xb8, 231, 0, 0, 0, 0x0f, 0x05, // exit_group(0)
    0xf4, // hlt
];

const SYS_CLONE: u64 = 56;
const SYS_WAIT4: u64 = 61;
const CLONE_VM: u64 = 0x100;
const WALL: u64 = 0x4000_0000;

impl Visit<'_> {
    /// Makes a copy by the main thread. Returns its id in the process's own PID namespace; an error of the kernel
    /// (limits, memory) leaves nothing behind.
    pub fn fork_copy(&mut self, leader: &Stopped) -> Result<i32> {
        let stack = self.scratch() + 32 * 1024;
        let id_at = stack + 8;
        let words = [self.copy_code(), 0, 0, LIFETIME, 0];
        leader.write(stack, &words.map(u64::to_le_bytes).concat())?;
        let helper = self.call(leader, 0, SYS_CLONE, &[CLONE_VM, stack, 0, 0, 0])?;
        let error = |name, value: i64| {
            sys::Errno::from_raw(value).map_err(|errno| Error::Call { name, tid: leader.tid(), errno })
        };
        error("clone", helper)?;
        let waited = self.call(leader, 0, SYS_WAIT4, &[helper as u64, 0, WALL, 0])?;
        error("wait4", waited)?;
        let copy = leader.read_u64(id_at)? as i64;
        error("fork", copy).map(|copy| copy as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::CODE;

    #[test]
    fn the_copy_is_jumped_to_where_it_begins() {
        let jump = 11 + CODE[10] as usize;
        assert_eq!(CODE[9], 0x74);
        assert_eq!(&CODE[jump..jump + 2], &[0x31, 0xff]);
        assert_eq!(CODE[jump - 1], 0xf4);
    }
}
