//! Where the bytes of something shared are read: from its file or, where the kernel gives that only to the privileged,
//! through the mappings that processes have of it.
//!
//! /proc/PID/map_files takes CAP_CHECKPOINT_RESTORE. What no process maps cannot be seen without it, nor by anybody but
//! a process that makes a mapping grow.

use super::memory::PageRunV1;
use super::pages::{self, StoppedProcess};
use crate::explain::{Explain, Result, refused};
use crate::procfs::Mapping;
use abi::Control;
use image::PackWriter;
use std::fs::File;
use sys::memory::PAGE;

pub enum Contents {
    File(File),
    Mapped(Vec<Window>),
}

/// A mapping of a process that shows part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub pid: i32,
    /// Address in the process.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// Where in the object it begins.
    pub offset: u64,
}

/// What was copied, and how large the object has proved to be.
pub struct Copied {
    pub pages: Vec<PageRunV1>,
    /// Bytes.
    pub size: u64,
}

impl Window {
    /// A private mapping does not show what is in the object.
    pub fn of(pid: i32, map: &Mapping) -> Result<Self> {
        if map.is_shared() {
            return Ok(Self { pid, start: map.start, length: map.end - map.start, offset: map.offset });
        }
        let what = format!("the mapping at {:#x} ({})", map.start, String::from_utf8_lossy(&map.name));
        let why = "its file has no name, and to read it through /proc takes CAP_CHECKPOINT_RESTORE";
        Err(refused(pid, &what, why).hint("Run stasis as root"))
    }

    /// Where in the object it ends.
    pub fn end(&self) -> u64 {
        self.offset + self.length
    }
}

impl Contents {
    /// Adds a way to see the contents. Returns false when there is a better one.
    pub fn enter(&mut self, window: Window) -> bool {
        match self {
            Self::File(_) => false,
            Self::Mapped(windows) => {
                windows.push(window);
                true
            }
        }
    }

    pub fn copy(&self, size: u64, pack: &mut PackWriter, control: &Control) -> Result<Copied> {
        match self {
            Self::File(file) => Ok(Copied { pages: pages::copy_file(file, size, pack, control)?, size }),
            Self::Mapped(windows) => copy_windows(windows, size, pack, control),
        }
    }
}

/// Copies what the windows show, pages of zeros left out. A page that cannot be read lies behind the end.
fn copy_windows(windows: &[Window], size: u64, pack: &mut PackWriter, control: &Control) -> Result<Copied> {
    let mut runs = Vec::new();
    let mut buffer = vec![0u8; pages::CHUNK as usize];
    for part in without_overlap(windows) {
        let source = StoppedProcess::open(part.pid)?;
        let mut done = 0;
        while done < part.length {
            let piece = &mut buffer[..(part.length - done).min(pages::CHUNK) as usize];
            let got = source.read_up_to(part.start + done, piece);
            append_pages(&piece[..got], part.offset + done, &mut runs, pack)?;
            control.advance(got as u64);
            done += got as u64;
            if got < piece.len() {
                return Ok(Copied { pages: runs, size: size.min(part.offset + done) });
            }
        }
    }
    Ok(Copied { pages: runs, size })
}

/// The windows by ascending offset, cut so that none shows what one before it does.
fn without_overlap(windows: &[Window]) -> Vec<Window> {
    let mut sorted = windows.to_vec();
    sorted.sort_by_key(|window| window.offset);
    let mut seen = 0;
    let cut = |window: Window| {
        let skipped = seen.max(window.offset) - window.offset;
        seen = seen.max(window.end());
        (skipped < window.length).then(|| Window {
            start: window.start + skipped,
            length: window.length - skipped,
            offset: window.offset + skipped,
            ..window
        })
    };
    sorted.into_iter().filter_map(cut).collect()
}

fn append_pages(bytes: &[u8], at: u64, runs: &mut Vec<PageRunV1>, pack: &mut PackWriter) -> Result<()> {
    let is_empty = |page: &&[u8]| page.iter().all(|byte| *byte == 0);
    let mut rest = bytes;
    while !rest.is_empty() {
        let empty: usize = rest.chunks(PAGE as usize).take_while(is_empty).map(<[u8]>::len).sum();
        let start = at + (bytes.len() - rest.len() + empty) as u64;
        rest = &rest[empty..];
        let full: usize =
            rest.chunks(PAGE as usize).take_while(|page| !is_empty(page)).map(<[u8]>::len).sum();
        let (data, tail) = rest.split_at(full);
        rest = tail;
        if !data.is_empty() {
            let offset = pack.append(data).explain(|| "Could not write page data".to_owned())?;
            let length = data.len() as u64;
            pages::enter(runs, PageRunV1 { start, length, pack: pack.index(), offset });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_windows_show_is_read_once() {
        let window = |pid, start, length, offset| Window { pid, start, length, offset };
        let windows =
            [window(2, 0x9000, 0x3000, 0x1000), window(1, 0x1000, 0x2000, 0), window(3, 0x5000, 0x1000, 0)];
        let cut = [window(1, 0x1000, 0x2000, 0), window(2, 0xa000, 0x2000, 0x2000)];
        assert_eq!(without_overlap(&windows), cut);
    }
}
