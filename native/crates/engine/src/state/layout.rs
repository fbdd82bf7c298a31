//! The layout of an executable in memory, as /proc shows it and brk(2) uses it (PR_SET_MM_MAP, kernel 3.18).

use super::memory::LayoutV1;
use crate::program::Program;

const PR_SET_MM: u64 = 35;
const PR_SET_MM_MAP: u64 = 14;
const NO_EXECUTABLE: u32 = u32::MAX;

/// Adds the call that sets the layout, the auxiliary vector and, where permitted, the executable (`exe_fd` in the
/// process). Changing the executable needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN.
pub fn apply(l: &LayoutV1, auxv: &[u8], exe_fd: Option<i32>, program: &mut Program) -> usize {
    let auxv_at = program.data(auxv);
    let words = [
        l.start_code,
        l.end_code,
        l.start_data,
        l.end_data,
        l.start_brk,
        l.brk,
        l.start_stack,
        l.arg_start,
        l.arg_end,
        l.env_start,
        l.env_end,
        auxv_at,
    ];
    let mut map: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    map.extend_from_slice(&(auxv.len() as u32).to_le_bytes());
    map.extend_from_slice(&exe_fd.map_or(NO_EXECUTABLE, |fd| fd as u32).to_le_bytes());
    let at = program.data(&map);
    program.attempt("PR_SET_MM_MAP", libc::SYS_prctl, &[PR_SET_MM, PR_SET_MM_MAP, at, map.len() as u64, 0])
}
