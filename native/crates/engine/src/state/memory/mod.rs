//! The address space of a process: its mappings, their attributes and the pages that are its own.

mod applying;
mod collecting;

use super::filesystem::FileRefV1;
use super::guard_pages::GuardV1;
use super::shared_memory::SharedMemoryId;
use crate::explain::{Explain, Result};
use crate::procfs::{self, Mapping};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

pub use applying::{Target, Waiting, apply};
pub use collecting::collect;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AddressSpaceV1 {
    pub layout: LayoutV1,
    pub auxv: ByteBuf,
    pub mappings: Vec<MappingV1>,
    /// Pages that are this process's own, by ascending address.
    pub pages: Vec<PageRunV1>,
    /// By ascending address.
    #[serde(default)]
    pub guards: Vec<GuardV1>,
    pub dumpable: u64,
    pub thp_disable: bool,
}

/// The fields of `struct prctl_mm_map` (PR_SET_MM(2const)) that describe an executable's layout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutV1 {
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub brk: u64,
    pub start_stack: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MappingV1 {
    pub start: u64,
    pub end: u64,
    /// PROT_READ (1), PROT_WRITE (2), PROT_EXEC (4).
    pub protection: u64,
    pub shared: bool,
    /// Its file was opened for writing (VM_MAYWRITE).
    pub may_write: bool,
    pub backing: BackingV1,
    pub advice: Vec<AdviceV1>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum BackingV1 {
    Anonymous,
    File {
        file: FileRefV1,
        offset: u64,
    },
    /// Memory that lives outside one process: anonymous shared memory or a memory file.
    Shared {
        object: SharedMemoryId,
        offset: u64,
    },
    /// A System V segment, by its id.
    SystemV {
        shmid: i32,
        offset: u64,
    },
    /// A file of the capsule's own, such as the library that translates ids: its contents are in the snapshot, and come
    /// back as anonymous memory.
    Copied,
    /// The table of virtual ids.
    IdTable {
        offset: u64,
    },
    /// The ring of an asynchronous I/O context (io_setup(2)), which has no request in it.
    AsyncIo {
        /// `struct io_event`, oldest first: what was not fetched yet.
        results: ByteBuf,
    },
    /// The rings of a packet socket (packet(7)), by its inode.
    PacketRing {
        socket: u64,
        offset: u64,
    },
    /// `[vdso]`, `[vvar]`, `[vvar_vclock]`: the kernel's own.
    Kernel(String),
}

/// What VmFlags says beyond protection (proc_pid_smaps(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdviceV1 {
    GrowsDown,
    NoReserve,
    HugeTlb { page_size: u64 },
    Locked,
    LockOnFault,
    DontFork,
    WipeOnFork,
    DontDump,
    Mergeable,
    HugePage,
    NoHugePage,
    Sequential,
    Random,
    Droppable,
    Sealed,
}

/// Consecutive pages and where their contents are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PageRunV1 {
    /// Address in the process, or offset in a shared object; bytes, page-aligned.
    pub start: u64,
    pub length: u64,
    pub pack: u32,
    pub offset: u64,
}

impl MappingV1 {
    pub fn has(&self, advice: AdviceV1) -> bool {
        self.advice.contains(&advice)
    }

    pub fn length(&self) -> u64 {
        self.end - self.start
    }

    /// May this mapping hold pages that exist nowhere else?
    pub fn has_own_pages(&self) -> bool {
        !self.shared
            && !self.has(AdviceV1::Droppable)
            && !matches!(self.backing, BackingV1::Kernel(_) | BackingV1::SystemV { .. })
    }
}

/// The address range of the main stack: where the first remote call finds room.
pub fn main_stack(maps: &[Mapping]) -> Option<(u64, u64)> {
    maps.iter()
        .find(|map| map.name == b"[stack]")
        .or_else(|| maps.iter().find(|map| map.has(b"gd")))
        .map(|map| (map.start, map.end))
}

/// Executable ranges of files: where a libc's instructions are. The vDSO is among them.
pub fn code_ranges(maps: &[Mapping]) -> Vec<std::ops::Range<u64>> {
    let is_code = |map: &&Mapping| map.has(b"ex") && map.has(b"rd") && map.name != b"[vsyscall]";
    let mut ranges: Vec<_> = maps.iter().filter(is_code).map(|map| map.start..map.end).collect();
    ranges.sort_by_key(|range| range.end - range.start);
    ranges
}

pub fn read_mappings(pid: i32) -> Result<Vec<Mapping>> {
    procfs::mappings(pid).explain(|| format!("Could not read the mappings of process {pid}"))
}
