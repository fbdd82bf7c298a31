//! Removing the System V objects of an application that has ended: the kernel keeps them until somebody does.

use ids::{Class, Row, State, Table, Verdict};
use std::sync::atomic::AtomicU32;
use sys::system_v::Kind;

/// `SHM_DEST`: removed, and attached still.
const SHM_DEST: u32 = 0o1000;
const MODE: usize = 20;

/// Removes every object that the table names, and nothing else: an object is known by its id and its key together.
pub fn sweep(words: &[AtomicU32]) {
    let Ok(table) = Table::open(words) else { return };
    for row in Class::ALL.into_iter().flat_map(|class| table.rows(class)) {
        match row.state {
            State::Live | State::Removing => remove(&row),
            State::Creating => remove_unfinished(&row),
            // Gone with the last process that had it attached.
            State::Removed | State::Free => {}
        }
    }
}

/// What became of an object whose maker or remover was killed in between. One that was being made is removed: nobody
/// was told its id.
pub fn judge(row: &Row) -> Verdict {
    match row.state {
        State::Creating => {
            remove_unfinished(row);
            Verdict::Gone
        }
        _ => match status(row) {
            None => Verdict::Gone,
            Some(status) if row.class == Class::Memory && word(&status, MODE) & SHM_DEST != 0 => {
                Verdict::Removed
            }
            Some(_) => Verdict::Live,
        },
    }
}

fn remove_unfinished(row: &Row) {
    let kind = Kind::from(row.class);
    if row.system_key != ids::Key::PRIVATE
        && let Ok(id) = kind.find(row.system_key.0)
    {
        // Somebody else may have removed it just now.
        let _ = kind.remove(id);
    }
}

fn remove(row: &Row) {
    if status(row).is_some_and(|status| word(&status, 0) == row.system_key.0 as u32) {
        let _ = Kind::from(row.class).remove(row.srid.0);
    }
}

fn status(row: &Row) -> Option<Vec<u8>> {
    Kind::from(row.class).status(row.srid.0).ok()
}

fn word(status: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(status[at..at + 4].try_into().expect("four bytes"))
}
