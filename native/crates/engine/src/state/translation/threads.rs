//! Threads that a snapshot finds in the core: between looking an id up and using it, or waiting in the call. The id that
//! they hold is the kernel's of today.

use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use ids::core_header::{Header, MAX_SECTIONS};
use sys::ptrace::Registers;
use sys::system_v::Kind;
use tracee::{Interrupted, Stopped, classify};

const HEADER: usize = size_of::<Header>() + MAX_SECTIONS * size_of::<ids::core_header::Section>();

/// Puts a thread that has looked its id up, and has not made its call, back to where it looks. True for one whose call
/// was interrupted: when it is made again, its id must be looked up anew.
pub fn put_back(thread: &Stopped, regs: &mut Registers) -> Result<bool> {
    if !(ids::CORE..ids::CORE + ids::CORE_BYTES).contains(&regs.rip) {
        return Ok(false);
    }
    let mut bytes = [0; HEADER];
    thread
        .read(ids::CORE, &mut bytes)
        .explain(|| format!("Could not see where thread {} is", thread.tid()))?;
    // An application may have something of its own there.
    let Some(header) = Header::read(&bytes) else { return Ok(false) };
    let section = header.sections(&bytes).find(|section| (section.start..=section.end).contains(&regs.rip));
    match section {
        Some(section) if regs.rip < section.end => {
            regs.rip = section.start;
            regs.orig_rax = u64::MAX;
            Ok(false)
        }
        Some(_) => Ok(classify(regs) != Interrupted::No),
        None => Ok(false),
    }
}

/// Gives the registers of an interrupted call the id that the object has now. The virtual one is in r9.
pub fn look_up_anew(regs: &mut Registers, rebuild: &Rebuild) {
    let kind = match regs.orig_rax as i64 {
        libc::SYS_shmat | libc::SYS_shmctl => Kind::Segment,
        libc::SYS_msgsnd | libc::SYS_msgrcv | libc::SYS_msgctl => Kind::Queue,
        _ => Kind::Set,
    };
    let saved = rebuild.image.translation.as_ref().and_then(|saved| saved.id_of(kind, regs.r9 as i32));
    let current = saved.and_then(|id| rebuild.system_v.translated(kind, id));
    // Without an object the kernel says EINVAL, as to any id that names none.
    regs.rdi = current.map_or(u64::MAX, |(id, _)| id as u64);
}
