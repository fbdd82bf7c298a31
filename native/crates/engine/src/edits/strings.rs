//! A process's argument and environment vectors, where execve(2) put them: `argc`, the pointers to the arguments, a null,
//! those to the environment, a null, the auxiliary vector. What they point to need not be where it was at first.

use crate::state::memory::AddressSpaceV1;
use tracee::Stopped;

/// Longest string that execve(2) takes (`MAX_ARG_STRLEN`).
const LONGEST: usize = 128 << 10;
/// Most pointers that are looked at.
const MOST: usize = 1 << 20;
const WORD: u64 = 8;

/// Pointers to strings, and the strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector {
    /// Where the first pointer is.
    pub at: u64,
    pub entries: Vec<Entry>,
    /// How many more pointers there is room for.
    pub spare: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub pointer: u64,
    pub text: Vec<u8>,
}

impl Vector {
    /// The address of the pointer with this index.
    pub fn slot(&self, index: usize) -> u64 {
        self.at + index as u64 * WORD
    }

    /// Whether the strings lie one behind the other from `start` to `end`.
    pub fn fills(&self, start: u64, end: u64) -> bool {
        let behind = self
            .entries
            .iter()
            .try_fold(start, |at, entry| (entry.pointer == at).then_some(at + entry.text.len() as u64 + 1));
        behind == Some(end)
    }
}

/// Arguments and environment of a process; none where the vectors are not what execve(2) made.
pub fn read(thread: &Stopped, memory: &AddressSpaceV1) -> Option<(Vector, Vector)> {
    let start = memory.layout.start_stack;
    let count = usize::try_from(thread.read_u64(start).ok()?).ok().filter(|count| *count < MOST)?;
    let argv = start + WORD;
    let pointers = words(thread, argv, count + 1)?;
    let (last, pointers) = pointers.split_last()?;
    if *last != 0 || pointers.contains(&0) {
        return None;
    }
    let arguments = Vector { at: argv, entries: entries(thread, pointers)?, spare: 0 };
    let environment = read_environment(thread, arguments.slot(count + 1), &memory.auxv)?;
    Some((arguments, environment))
}

fn read_environment(thread: &Stopped, at: u64, auxv: &[u8]) -> Option<Vector> {
    let mut pointers = Vec::new();
    loop {
        match thread.read_u64(at + pointers.len() as u64 * WORD).ok()? {
            0 => break,
            _ if pointers.len() == MOST => return None,
            pointer => pointers.push(pointer),
        }
    }
    // unsetenv(3) moves the rest up and leaves nulls.
    let end = at + pointers.len() as u64 * WORD + WORD;
    let spare = (0..MOST).find_map(|spare| {
        let mut next = [0; 16];
        let place = end + spare as u64 * WORD;
        match thread.read(place, &mut next) {
            Ok(()) if auxv.get(..16) == Some(&next[..]) => Some(spare),
            Ok(()) if next[..8] == [0; 8] => None,
            // Something else: nothing is known to be free.
            _ => Some(0),
        }
    });
    Some(Vector { at, entries: entries(thread, &pointers)?, spare: spare.unwrap_or(0) })
}

fn words(thread: &Stopped, at: u64, count: usize) -> Option<Vec<u64>> {
    let mut bytes = vec![0; count * 8];
    thread.read(at, &mut bytes).ok()?;
    Some(bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default())).collect())
}

fn entries(thread: &Stopped, pointers: &[u64]) -> Option<Vec<Entry>> {
    let entry = |pointer: &u64| Some(Entry { pointer: *pointer, text: string(thread, *pointer)? });
    pointers.iter().map(entry).collect()
}

/// The string at an address, without its NUL.
fn string(thread: &Stopped, at: u64) -> Option<Vec<u8>> {
    const PAGE: u64 = 4096;
    let mut text = Vec::new();
    while text.len() < LONGEST {
        let from = at + text.len() as u64;
        let mut chunk = vec![0; (PAGE - from % PAGE) as usize];
        thread.read(from, &mut chunk).ok()?;
        let end = chunk.iter().position(|byte| *byte == 0);
        text.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
        if end.is_some() {
            return Some(text);
        }
    }
    None
}

/// How long a string at `pointer` may become where it is: `area` is memory that begins at `start` and holds nothing but
/// strings, `others` are all pointers into it.
pub fn room(entry: &Entry, start: u64, area: &[u8], others: &[u64]) -> usize {
    let own = entry.text.len();
    let Some(at) = entry.pointer.checked_sub(start).map(|at| at as usize).filter(|at| *at < area.len())
    else {
        return own;
    };
    let next = others.iter().filter(|other| **other > entry.pointer).min();
    let end = next.map_or(area.len(), |next| ((next - start) as usize).min(area.len()));
    let nuls = area.get(at + own..end).unwrap_or_default().iter().take_while(|byte| **byte == 0).count();
    own + nuls.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pointer: u64, text: &str) -> Entry {
        Entry { pointer, text: text.as_bytes().to_vec() }
    }

    #[test]
    fn a_string_may_grow_over_the_nuls_up_to_the_next_string() {
        let area = b"one\0\0\0two\0";
        let others = [100, 106];
        assert_eq!(room(&entry(100, "one"), 100, area, &others), 5);
        assert_eq!(room(&entry(106, "two"), 100, area, &others), 3);
        assert_eq!(room(&entry(5000, "elsewhere"), 100, area, &others), 9);
    }

    #[test]
    fn strings_that_lie_elsewhere_do_not_fill_their_area() {
        let mut vector = Vector { at: 8, entries: vec![entry(100, "one"), entry(104, "two")], spare: 0 };
        assert!(vector.fills(100, 108) && !vector.fills(100, 109) && !vector.fills(99, 108));
        vector.entries[1].pointer = 7000;
        assert!(!vector.fills(100, 108));
    }
}
