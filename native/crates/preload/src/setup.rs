//! Finds out, once for a process, by which way its calls go.

use core::ffi::CStr;

use ids::file;

use crate::libc::{Strings, at_fork_in_child, environment, raw};
use crate::mapping::{Path, map_core, map_table, table};
use crate::random;
use crate::way::{self, Way};

const GETPID: u64 = 39;
const PRCTL: u64 = 157;
const PR_GET_SECCOMP: u64 = 21;
const SECCOMP_MODE_FILTER: isize = 2;

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn(i32, Strings, Strings) = construct;

/// musl gives constructors no arguments, so the environment is the C library's own where it has one.
extern "C" fn construct(_count: i32, _arguments: Strings, given: Strings) {
    let kept = environment();
    find(if kept.is_null() { given } else { kept });
    at_fork_in_child(forget_undo);
    random::begin();
}

/// Finds the way and sets it.
#[cold]
pub fn find(environment: Strings) {
    let mapped = map(environment).is_some();
    if !mapped {
        let filtered = raw(PRCTL, [PR_GET_SECCOMP, 0, 0, 0, 0, 0]) == SECCOMP_MODE_FILTER;
        way::set(if filtered { Way::Filter } else { Way::None });
    }
}

fn map(environment: Strings) -> Option<()> {
    let folder = folder(environment)?;
    map_table(&Path::new(folder, file::TABLE)?).then_some(())?;
    let (header, image) = map_core(&Path::new(folder, file::CORE)?)?;
    way::set_core(&header, image);
    Some(())
}

/// The folder of this library, with its last slash, as LD_PRELOAD names it.
fn folder(environment: Strings) -> Option<&'static [u8]> {
    let value = variable(environment, b"LD_PRELOAD=")?;
    value.split(|byte| *byte == b':' || *byte == b' ').find_map(|entry| {
        let folder = entry.strip_suffix(file::LIBRARY.as_bytes())?;
        folder.ends_with(b"/").then_some(folder)
    })
}

fn variable(environment: Strings, name: &[u8]) -> Option<&'static [u8]> {
    let mut at = environment;
    while !at.is_null() {
        // SAFETY: the environment is an array that ends with null (environ(7)).
        let string = unsafe { *at };
        if string.is_null() {
            return None;
        }
        // SAFETY: each of its entries is a string that ends with zero.
        let bytes = unsafe { CStr::from_ptr(string.cast()) }.to_bytes();
        if let Some(value) = bytes.strip_prefix(name) {
            return Some(value);
        }
        // SAFETY: the last entry was not the end.
        at = unsafe { at.add(1) };
    }
    None
}

/// A new process has no SEM_UNDO adjustments, whatever an earlier one of the same id left behind.
extern "C" fn forget_undo() {
    if let Way::Core(_) = way::way()
        && let Some(table) = table()
    {
        table.ledger().clear_process(raw(GETPID, [0; 6]) as u32);
    }
}
