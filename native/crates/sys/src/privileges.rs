//! Capabilities that must survive the next execve.

use crate::{Errno, Result};

/// `_LINUX_CAPABILITY_VERSION_3`: 64 capabilities in two halves (capget(2)).
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Makes every permitted capability inheritable and ambient, so that a program started by a user other
/// than 0 still holds them (capabilities(7), "transformation during execve").
pub fn keep_through_exec() -> Result<()> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: both pointers name live locals of the layout that version 3 asks for.
    Errno::check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) })?;
    for half in &mut halves {
        half.inheritable = half.permitted;
    }
    // SAFETY: as above.
    Errno::check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) })?;
    for (index, half) in halves.iter().enumerate() {
        for bit in (0..32).filter(|bit| half.permitted >> bit & 1 == 1) {
            raise_ambient(index as u64 * 32 + bit)?;
        }
    }
    Ok(())
}

fn raise_ambient(capability: u64) -> Result<()> {
    // SAFETY: takes no pointer; the unused arguments must be 0.
    let done = unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, capability, 0u64, 0u64)
    };
    Errno::check(done.into()).map(drop)
}

/// Gives the calling thread, and no other, the effective group `gid`. For a thread that ends soon: glibc, which would tell
/// all threads, is not asked.
pub fn take_group(gid: u32) -> Result<()> {
    // SAFETY: plain numbers; credentials belong to the thread.
    Errno::check(unsafe { libc::syscall(libc::SYS_setresgid, u32::MAX, gid, u32::MAX) }).map(drop)
}
