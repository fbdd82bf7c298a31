//! Removes from the cache what no start has used for a day: other versions, and what an interrupted start left.
//!
//! An older product may be starting at this moment, and what it runs reads its files shortly after; so age decides,
//! and every start renews the age of what it uses (at most once an hour).

use crate::partial::{PREFIX, discard};
use crate::unpack::Unpacked;
use std::fs::{self, File};
use std::io::Result;
use std::path::Path;
use std::time::{Duration, SystemTime};

const UNUSED: Duration = Duration::from_secs(24 * 3600);
const RENEW: Duration = Duration::from_secs(3600);

/// Removes unfinished folders. The caller holds the lock, so nobody is filling them.
///
/// # Errors
/// What the kernel says.
pub fn clear_partial(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Removes other runtimes and programs that are unused. The caller holds the lock. A folder that cannot be removed is
/// left for the next start: it costs room and nothing else.
pub fn forget_unused(folder: &Path, current: &Unpacked) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ours = name.starts_with("runtime-") || name.starts_with("program-");
        let in_use = path == home(&current.executable) || path == current.program;
        if ours && !in_use && age(&path).is_some_and(|age| age > UNUSED) {
            let _ = discard(&path);
        }
    }
}

/// Renews the age of what this start uses. Failing to is harmless: it may be removed and unpacked again.
pub fn mark_used(current: &Unpacked) {
    for path in [home(&current.executable), &current.program] {
        if age(path).is_some_and(|age| age > RENEW) {
            let _ = File::open(path).and_then(|folder| folder.set_modified(SystemTime::now()));
        }
    }
}

/// The runtime's folder.
pub fn home(executable: &Path) -> &Path {
    executable.parent().unwrap_or(executable)
}

fn age(path: &Path) -> Option<Duration> {
    fs::metadata(path).ok()?.modified().ok()?.elapsed().ok()
}
