//! Attaching segments where a process had them (shmat(2)): whole, or what it left of them with munmap, mremap or mprotect.

use crate::explain::Result;
use crate::program::Program;
use crate::rebuild::Rebuild;
use crate::state::memory::{BackingV1, MappingV1};
use std::collections::BTreeMap;
use sys::memory::PAGE;
use sys::system_v::Kind;
use tracee::Stopped;

const READ: u64 = 1;
const WRITE: u64 = 2;
const SHM_RDONLY: u64 = 0o10000;

/// Mappings of one attachment: they have the same idea of where the segment begins.
struct Attachment<'a> {
    id: i32,
    base: u64,
    parts: Vec<(&'a MappingV1, u64)>,
}

/// Attaches everything that `mappings` say, in a process that has all its other mappings.
pub fn attach(
    mappings: &[MappingV1],
    thread: &Stopped,
    program: &mut Program,
    rebuild: &Rebuild,
) -> Result<()> {
    for mut attachment in attachments(mappings) {
        let segment = rebuild.image.system_v.segments.iter().find(|segment| segment.id == attachment.id);
        let length = segment.map_or(0, |segment| segment.size.next_multiple_of(segment.huge.max(PAGE)));
        let others =
            mappings.iter().filter(|map| attachment.parts.iter().all(|(part, _)| part.start != map.start));
        let (from, to) = (attachment.base, attachment.base.wrapping_add(length));
        let free = from < to && others.into_iter().all(|map| map.end <= from || map.start >= to);
        attachment.id = rebuild.system_v.current(Kind::Segment, attachment.id);
        if free {
            attachment.in_place(length, program);
        } else {
            attachment.elsewhere(length, thread, program)?;
        }
        program.run(thread)?;
    }
    Ok(())
}

fn attachments(mappings: &[MappingV1]) -> Vec<Attachment<'_>> {
    let mut found: BTreeMap<(i32, u64), Vec<(&MappingV1, u64)>> = BTreeMap::new();
    for mapping in mappings {
        if let BackingV1::SystemV { shmid, offset } = mapping.backing {
            found.entry((shmid, mapping.start.wrapping_sub(offset))).or_default().push((mapping, offset));
        }
    }
    found.into_iter().map(|((id, base), parts)| Attachment { id, base, parts }).collect()
}

impl Attachment<'_> {
    fn flags(&self) -> u64 {
        if self.parts.iter().any(|(part, _)| part.may_write) { 0 } else { SHM_RDONLY }
    }

    fn protect(&self, program: &mut Program) {
        let whole = if self.flags() == 0 { READ | WRITE } else { READ };
        for (part, _) in self.parts.iter().filter(|(part, _)| part.protection != whole) {
            program.call("mprotect", libc::SYS_mprotect, &[part.start, part.length(), part.protection]);
        }
    }

    /// Its own range is free: attach there and cut out what is missing.
    fn in_place(&self, length: u64, program: &mut Program) {
        program.call("shmat", libc::SYS_shmat, &[self.id as u64, self.base, self.flags()]);
        let mut at = self.base;
        let end = self.base + length;
        for (start, stop) in self.parts.iter().map(|(part, _)| (part.start, part.end)).chain([(end, end)]) {
            if start > at {
                program.call("munmap", libc::SYS_munmap, &[at, start - at]);
            }
            at = stop;
        }
        self.protect(program);
    }

    /// Attach anywhere, move the parts to their places and let go of the rest.
    fn elsewhere(&self, length: u64, thread: &Stopped, program: &mut Program) -> Result<()> {
        program.call("shmat", libc::SYS_shmat, &[self.id as u64, 0, self.flags()]);
        let address = program.run(thread)?[0] as u64;
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
        for (part, offset) in &self.parts {
            let size = part.length();
            program.call("mremap", libc::SYS_mremap, &[address + offset, size, size, flags, part.start]);
        }
        program.call("munmap", libc::SYS_munmap, &[address, length]);
        self.protect(program);
        Ok(())
    }
}
