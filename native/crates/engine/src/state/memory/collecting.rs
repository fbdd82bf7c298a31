//! What is taken of an address space: everything but the pages.

use super::{AddressSpaceV1, AdviceV1, BackingV1, LayoutV1, MappingV1};
use crate::collection::Collection;
use crate::explain::{Explain, Result, refused};
use crate::inquiry::Inquiry;
use crate::procfs::{Mapping, Stat};
use crate::state::{async_io, filesystem, shared_memory, system_v, translation};
use serde_bytes::ByteBuf;

const KERNEL_MAPPINGS: [&[u8]; 3] = [b"[vdso]", b"[vvar]", b"[vvar_vclock]"];
const PR_GET_THP_DISABLE: u64 = 42;

/// Takes everything but the pages.
pub fn collect(
    pid: i32,
    stat: &Stat,
    maps: &[Mapping],
    inquiry: &mut Inquiry,
    collection: &mut Collection,
) -> Result<AddressSpaceV1> {
    let (area, area_len) = inquiry.visit.area();
    let own = |map: &&Mapping| map.start < area || map.start >= area + area_len;
    let mut mappings = Vec::with_capacity(maps.len());
    for map in maps.iter().filter(own).filter(|map| map.name != b"[vsyscall]") {
        mappings.push(mapping(pid, map, collection)?);
    }
    let auxv = std::fs::read(format!("/proc/{pid}/auxv"))
        .explain(|| format!("Could not read the auxiliary vector of process {pid}"))?;
    Ok(AddressSpaceV1 {
        layout: LayoutV1 {
            start_code: stat.startcode,
            end_code: stat.endcode,
            start_data: stat.start_data,
            end_data: stat.end_data,
            start_brk: stat.start_brk,
            brk: inquiry.number("brk", libc::SYS_brk, &[0])?,
            start_stack: stat.startstack,
            arg_start: stat.arg_start,
            arg_end: stat.arg_end,
            env_start: stat.env_start,
            env_end: stat.env_end,
        },
        auxv: ByteBuf::from(auxv),
        mappings,
        pages: Vec::new(),
        dumpable: inquiry.number("PR_GET_DUMPABLE", libc::SYS_prctl, &[libc::PR_GET_DUMPABLE as u64])?,
        guards: Vec::new(),
        thp_disable: inquiry.number(
            "PR_GET_THP_DISABLE",
            libc::SYS_prctl,
            &[PR_GET_THP_DISABLE, 0, 0, 0, 0],
        )? != 0,
    })
}

fn mapping(pid: i32, map: &Mapping, collection: &mut Collection) -> Result<MappingV1> {
    let name = String::from_utf8_lossy(&map.name).into_owned();
    let refuse = |why| Err(refused(pid, &format!("the mapping at {:#x} ({name})", map.start), why));
    if map.has(b"um") || map.has(b"uw") || map.has(b"ui") {
        return refuse("it is registered with a userfaultfd");
    }
    if map.has(b"ss") {
        return refuse("it is a shadow stack");
    }
    let backing = backing(pid, map, collection)?;
    if !matches!(backing, BackingV1::Kernel(_)) && (map.has(b"pf") || map.has(b"io")) {
        return refuse("it maps a device");
    }
    let bit = |flag: &[u8; 2], value| if map.has(flag) { value } else { 0 };
    Ok(MappingV1 {
        start: map.start,
        end: map.end,
        protection: bit(b"rd", 1) | bit(b"wr", 2) | bit(b"ex", 4),
        shared: map.permissions[3] == b's',
        may_write: map.has(b"mw"),
        backing,
        advice: advice(map),
    })
}

fn advice(map: &Mapping) -> Vec<AdviceV1> {
    let named = [
        (b"gd", AdviceV1::GrowsDown),
        (b"nr", AdviceV1::NoReserve),
        (b"ht", AdviceV1::HugeTlb { page_size: map.page_size }),
        (b"lf", AdviceV1::LockOnFault),
        (b"lo", AdviceV1::Locked),
        (b"dc", AdviceV1::DontFork),
        (b"wf", AdviceV1::WipeOnFork),
        (b"dd", AdviceV1::DontDump),
        (b"mg", AdviceV1::Mergeable),
        (b"hg", AdviceV1::HugePage),
        (b"nh", AdviceV1::NoHugePage),
        (b"sr", AdviceV1::Sequential),
        (b"rr", AdviceV1::Random),
        (b"dp", AdviceV1::Droppable),
        (b"sl", AdviceV1::Sealed),
    ];
    named.into_iter().filter(|(flag, _)| map.has(flag)).map(|(_, advice)| advice).collect()
}

fn backing(pid: i32, map: &Mapping, collection: &mut Collection) -> Result<BackingV1> {
    let name = map.name.as_slice();
    if KERNEL_MAPPINGS.contains(&name) {
        return Ok(BackingV1::Kernel(String::from_utf8_lossy(name).into_owned()));
    }
    // Before the inode is looked at: that of the first segment, id 0, is 0.
    if system_v::is_segment(map) {
        let shmid = collection.system_v.segments.of_mapping(pid, map);
        return Ok(BackingV1::SystemV { shmid, offset: map.offset });
    }
    let shared = map.permissions[3] == b's';
    if map.inode == 0 || (name.starts_with(b"/anon_hugepage") && !shared) || (name == b"/dev/zero" && !shared)
    {
        return Ok(BackingV1::Anonymous);
    }
    if name.starts_with(b"socket:[") {
        return Ok(BackingV1::PacketRing { socket: map.inode, offset: map.offset });
    }
    if name == b"/[aio] (deleted)" {
        return async_io::collect(pid, map).map(|results| BackingV1::AsyncIo { results });
    }
    if name.starts_with(b"/secretmem") {
        return Err(refused(
            pid,
            &format!("the mapping at {:#x}", map.start),
            "it is secret memory (memfd_secret)",
        ));
    }
    if name.starts_with(b"anon_inode:") {
        let what = format!("the mapping at {:#x} ({})", map.start, String::from_utf8_lossy(name));
        return Err(refused(pid, &what, "it belongs to the kernel"));
    }
    if map.device.0 == 0 && shared_memory::is_named_like_one(name) {
        let object = collection.shared_memory.of_mapping(pid, map)?;
        return Ok(BackingV1::Shared { object, offset: map.offset });
    }
    if let Some(own) = collection.translation.as_ref().and_then(|source| of_capsule(map, shared, source)) {
        return Ok(own);
    }
    let file = filesystem::collect_mapped(pid, map, collection)?;
    Ok(BackingV1::File { file, offset: map.offset })
}

/// What a mapping of a file is that the capsule has for itself.
fn of_capsule(map: &Mapping, shared: bool, source: &translation::Source) -> Option<BackingV1> {
    let device = libc::makedev(map.device.0, map.device.1);
    if source.is_table(device, map.inode) {
        return Some(BackingV1::IdTable { offset: map.offset });
    }
    (source.is_own(device) && !shared).then_some(BackingV1::Copied)
}
