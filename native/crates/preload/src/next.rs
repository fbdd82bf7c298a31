//! The functions that ours stand before: found in the objects that the dynamic linker has loaded behind this library, by its
//! own list of them (`struct r_debug`, link.h). No C library is asked: in older ones dlsym(3) is not at hand.

use core::ffi::CStr;
use core::slice;

core::arch::global_asm!(
    ".weak _r_debug",
    ".weak _dl_debug_addr",
    ".hidden stasis_r_debug",
    ".globl stasis_r_debug",
    "stasis_r_debug:", // glibc's list, or null
    "mov rax, [rip + _r_debug@GOTPCREL]",
    "ret",
    ".hidden stasis_dl_debug_addr",
    ".globl stasis_dl_debug_addr",
    "stasis_dl_debug_addr:", // where musl has the address of its list, or null
    "mov rax, [rip + _dl_debug_addr@GOTPCREL]",
    "ret",
    ".hidden _DYNAMIC",
    ".hidden stasis_dynamic",
    ".globl stasis_dynamic",
    "stasis_dynamic:", // this library's own dynamic section
    "lea rax, [rip + _DYNAMIC]",
    "ret",
);

unsafe extern "C" {
    fn stasis_r_debug() -> *const Debug;
    fn stasis_dl_debug_addr() -> *const *const Debug;
    fn stasis_dynamic() -> *const Dynamic;
}

#[repr(C)]
struct Debug {
    version: i32,
    first: *const Object,
}

/// `struct link_map`.
#[repr(C)]
struct Object {
    base: u64,
    name: *const u8,
    dynamic: *const Dynamic,
    next: *const Object,
}

#[repr(C)]
struct Dynamic {
    tag: u64,
    value: u64,
}

/// `Elf64_Sym`.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const STT_FUNC: u8 = 2;

/// The address of the next function of this name; 0 when no object has one.
#[cold]
pub fn find(name: &[u8]) -> usize {
    let mut object = first();
    let mut behind = false;
    // SAFETY: the linker's list, whose entries and dynamic sections stay for as long as their objects are loaded.
    while let Some(here) = unsafe { object.as_ref() } {
        if behind && let Some(address) = find_in(here, name) {
            return address;
        }
        // SAFETY: takes the address of this library's own section.
        behind |= here.dynamic == unsafe { stasis_dynamic() };
        object = here.next;
    }
    0
}

fn first() -> *const Object {
    // SAFETY: null or the linker's own structure.
    let glibc = unsafe { stasis_r_debug().as_ref() };
    // SAFETY: null or where the linker has the structure's address, which may be null.
    let musl = unsafe { stasis_dl_debug_addr().as_ref().and_then(|at| at.as_ref()) };
    glibc.or(musl).map_or(core::ptr::null(), |debug| debug.first)
}

fn find_in(object: &Object, name: &[u8]) -> Option<usize> {
    let names = object.entry(DT_STRTAB)?;
    let symbols = object.entry(DT_SYMTAB)? as *const Symbol;
    let is_it = |index: u32| {
        // SAFETY: the hash table names only symbols that the object has, and those only names that it has.
        let (symbol, text) = unsafe {
            let symbol = &*symbols.add(index as usize);
            (symbol, CStr::from_ptr((names as *const u8).add(symbol.name as usize).cast()))
        };
        let found = symbol.section != 0 && symbol.info & 0xf == STT_FUNC && text.to_bytes() == name;
        found.then(|| (object.base + symbol.value) as usize)
    };
    match object.entry(DT_GNU_HASH) {
        Some(table) => by_gnu_hash(table as *const u32, name, is_it),
        None => by_trying(object.entry(DT_HASH)? as *const u32, is_it),
    }
}

impl Object {
    /// The address that an entry of the dynamic section holds. glibc has made it absolute, musl has not.
    fn entry(&self, tag: u64) -> Option<u64> {
        let mut at = self.dynamic;
        // SAFETY: null, or a dynamic section, which ends with an entry of tag 0.
        while let Some(entry) = unsafe { at.as_ref() } {
            if entry.tag == tag {
                return Some(if entry.value < self.base { entry.value + self.base } else { entry.value });
            }
            if entry.tag == 0 {
                return None;
            }
            // SAFETY: the section goes on until the entry of tag 0.
            at = unsafe { at.add(1) };
        }
        None
    }
}

/// Header of four words (buckets, first symbol, filter's words, shift), filter, buckets, hashes in chains that end with an odd one.
fn by_gnu_hash(table: *const u32, name: &[u8], is_it: impl Fn(u32) -> Option<usize>) -> Option<usize> {
    let hash = name.iter().fold(5381u32, |hash, byte| hash.wrapping_mul(33).wrapping_add((*byte).into()));
    // SAFETY: the linker has used this table; its header says how long its parts are.
    unsafe {
        let [buckets, base, words, _] = *(table as *const [u32; 4]);
        if buckets == 0 {
            return None;
        }
        let heads = slice::from_raw_parts(table.add(4 + words as usize * 2), buckets as usize);
        let hashes = table.add(4 + words as usize * 2 + buckets as usize);
        let mut index = heads[(hash % buckets) as usize];
        while index >= base {
            let known = *hashes.add((index - base) as usize);
            if known | 1 == hash | 1
                && let Some(address) = is_it(index)
            {
                return Some(address);
            }
            if known & 1 == 1 {
                return None;
            }
            index += 1;
        }
    }
    None
}

/// The older table says at least how many symbols there are.
fn by_trying(table: *const u32, is_it: impl Fn(u32) -> Option<usize>) -> Option<usize> {
    // SAFETY: the second word of the table is the number of symbols.
    let count = unsafe { *table.add(1) };
    (1..count).find_map(is_it)
}
