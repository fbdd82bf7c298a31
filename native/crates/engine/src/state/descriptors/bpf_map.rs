//! BPF maps that a process keeps for itself (bpf(2)): hash tables and arrays that no program uses. One that a program
//! uses is refused, since programs are not captured.

use super::{DescriptionV1, Found};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::inquiry::half;
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::bpf::{self, MapShape};

/// BPF_MAP_TYPE_HASH, _ARRAY, _LRU_HASH, _LPM_TRIE: plain keys and values that system calls can read and write.
const PLAIN: [u32; 4] = [1, 2, 9, 11];
/// Bytes of contents beyond which a map is refused: they travel in the manifest.
const LARGEST: u64 = 64 << 20;
const BPF_F_RDONLY: u32 = 8;
const BPF_F_WRONLY: u32 = 16;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BpfMapV1 {
    /// The kernel's id: descriptions of one map have the same.
    pub identity: u32,
    pub kind: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
    pub name: ByteBuf,
    pub frozen: bool,
    /// Keys and values in turn. Empty in all descriptions of a map but the first.
    pub contents: ByteBuf,
}

/// Ids of maps that were met before.
#[derive(Default)]
pub struct Collector {
    met: Vec<u32>,
}

pub fn collect(found: &Found, collection: &mut Collection) -> Result<BpfMapV1> {
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    let info = bpf::map_info(found.file.as_fd()).explain(what)?;
    let name = CStr::from_bytes_until_nul(&info[24..40]).unwrap_or(c"").to_bytes().to_vec();
    let mut map = BpfMapV1 {
        kind: half(&info, 0),
        identity: half(&info, 4),
        key_size: half(&info, 8),
        value_size: half(&info, 12),
        max_entries: half(&info, 16),
        flags: half(&info, 20),
        name: ByteBuf::from(name),
        frozen: found.info.number("frozen") == Some(1),
        contents: ByteBuf::new(),
    };
    let described = [40, 64, 68, 72, 76].into_iter().any(|at| half(&info, at) != 0);
    if !PLAIN.contains(&map.kind) || described {
        return found.refuse("it is a BPF map of a kind that stasis does not capture");
    }
    if u64::from(map.max_entries) * u64::from(map.key_size + map.value_size) > LARGEST {
        return found.refuse("it is a BPF map with room for more than 64 MiB");
    }
    if bpf::maps_in_use().explain(what)?.contains(&map.identity) {
        return found.refuse("a BPF program uses this map, and programs live in the kernel");
    }
    if !collection.bpf_maps.met.contains(&map.identity) {
        collection.bpf_maps.met.push(map.identity);
        let reader = bpf::map_by_id(map.identity, BPF_F_RDONLY).explain(what)?;
        map.contents = ByteBuf::from(contents(&map, reader.as_fd()).explain(what)?);
    }
    Ok(map)
}

fn contents(map: &BpfMapV1, reader: BorrowedFd) -> sys::Result<Vec<u8>> {
    let mut contents = Vec::new();
    let mut key = bpf::next_key(reader, None, map.key_size as usize)?;
    while let Some(present) = key {
        match bpf::look_up(reader, &present, map.value_size as usize) {
            Ok(value) => {
                contents.extend_from_slice(&present);
                contents.extend_from_slice(&value);
            }
            // The kernel dropped it (LRU).
            Err(sys::Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        key = bpf::next_key(reader, Some(&present), map.key_size as usize)?;
    }
    Ok(contents)
}

pub fn apply(maps: Vec<(&DescriptionV1, &BpfMapV1)>, rebuild: &mut Rebuild) -> Result<()> {
    let what = || "Could not restore a BPF map".to_owned();
    let mut made: HashMap<u32, OwnedFd> = HashMap::new();
    // Only one description of each map has the contents.
    let mut in_order: Vec<&BpfMapV1> = maps.iter().map(|(_, saved)| *saved).collect();
    in_order.sort_by_key(|saved| std::cmp::Reverse(saved.contents.len()));
    for saved in in_order {
        if let Entry::Vacant(place) = made.entry(saved.identity) {
            place.insert(make(saved).explain(what)?);
        }
    }
    for (description, saved) in maps {
        let map = made[&saved.identity].as_fd();
        let id = half(&bpf::map_info(map).explain(what)?, 4);
        let file = bpf::map_by_id(id, access(description.flags)).explain(what)?;
        rebuild.descriptions.insert(description.id, file);
    }
    Ok(())
}

fn access(flags: i32) -> u32 {
    match flags & libc::O_ACCMODE {
        libc::O_RDONLY => BPF_F_RDONLY,
        libc::O_WRONLY => BPF_F_WRONLY,
        _ => 0,
    }
}

/// A map with the saved contents.
fn make(saved: &BpfMapV1) -> sys::Result<OwnedFd> {
    let shape = MapShape {
        kind: saved.kind,
        key_size: saved.key_size,
        value_size: saved.value_size,
        max_entries: saved.max_entries,
        flags: saved.flags,
    };
    let name = CString::new(saved.name.to_vec()).map_err(|_| sys::Errno::EINVAL)?;
    let map = bpf::create_map(&shape, &name)?;
    let (key, entry) = (saved.key_size as usize, saved.key_size as usize + saved.value_size as usize);
    for pair in saved.contents.chunks_exact(entry.max(1)) {
        bpf::update(map.as_fd(), &pair[..key], &pair[key..])?;
    }
    if saved.frozen {
        bpf::freeze(map.as_fd())?;
    }
    Ok(map)
}
