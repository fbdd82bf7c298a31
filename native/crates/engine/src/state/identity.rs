//! Files that must be what they were: code and data that processes have mapped privately. Pages that a process never wrote
//! to are not in the snapshot; from another version of the file they would be wrong.

use super::filesystem::FileRefV1;
use super::memory::BackingV1;
use super::process::BodyV1;
use crate::chain::Chain;
use crate::explain::Result;
use abi::{Code, Fault};
use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Compares every such file. `locate` says where a path leads today, none where the user has named a replacement.
pub fn check(chain: &Chain, locate: impl Fn(&[u8]) -> Option<PathBuf>) -> Result<()> {
    let mut seen = HashSet::new();
    for process in &chain.processes {
        let BodyV1::Live(live) = &process.body else { continue };
        let mapped = live.memory.mappings.iter().filter(|mapping| !mapping.shared);
        let files = mapped.filter_map(|mapping| match &mapping.backing {
            BackingV1::File { file, .. } => Some(file),
            _ => None,
        });
        for file in [&live.executable].into_iter().chain(files) {
            let is_regular = file.mode & libc::S_IFMT == libc::S_IFREG;
            if file.ghost.is_some() || !is_regular || !seen.insert(file.path.as_slice()) {
                continue;
            }
            if let Some(path) = locate(&file.path) {
                let who = format!("process {} ({})", process.pid, process.comm);
                compare(file, std::fs::metadata(path), &who)?;
            }
        }
    }
    Ok(())
}

fn compare(saved: &FileRefV1, now: std::io::Result<Metadata>, who: &str) -> Result<()> {
    let name = saved.path().display();
    let why = match now {
        Err(error) => format!("{name} cannot be examined: {error}"),
        Ok(now) => match difference(saved, now.len(), now.mtime() * 1_000_000_000 + now.mtime_nsec()) {
            Some(difference) => format!("{name} has changed since the snapshot was taken: {difference}"),
            None => return Ok(()),
        },
    };
    Err(Fault::new(Code::RestoreFailed, format!("Could not restore {who}"))
        .because(why)
        .hint(format!("Put the old file back, or name a copy of it with --file {name}=COPY")))
}

fn difference(saved: &FileRefV1, size: u64, mtime_ns: i64) -> Option<String> {
    let seconds = |ns: i64| ns as f64 / 1e9;
    if size != saved.size {
        return Some(format!("it had {} bytes, now it has {size}", saved.size));
    }
    let later = mtime_ns - saved.mtime_ns;
    (later != 0).then(|| {
        let direction = if later > 0 { "newer" } else { "older" };
        format!("it is {:.3} s {direction} than the one that was in use", seconds(later.abs()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_bytes::ByteBuf;

    #[test]
    fn a_file_of_the_same_size_and_time_is_the_same() {
        let path = ByteBuf::from(b"/lib/x.so".to_vec());
        let saved =
            FileRefV1 { path, device: 1, inode: 2, mode: 0o100_644, size: 10, mtime_ns: 5, ghost: None };
        assert_eq!(difference(&saved, 10, 5), None);
        assert!(difference(&saved, 11, 5).unwrap().contains("had 10 bytes"));
        assert!(difference(&saved, 10, 2_000_000_005).unwrap().contains("2.000 s newer"));
    }
}
