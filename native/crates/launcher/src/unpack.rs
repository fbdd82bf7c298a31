//! Keeps the runtime and the program in the cache folder.
//!
//! ```text
//! lock                          held while anything is written or removed
//! runtime-<sha256>/stasis       Deno; so named because the kernel shows that name for the running command
//! runtime-<sha256>/deno/        Deno's own cache (compiled code)
//! program-<sha256>/...          the files of the program
//! ```
//! A start that finds both in place takes no lock. Of several first starts one unpacks and the others wait.

use crate::container::Program;
use crate::partial::Partial;
use crate::prune;
use crate::runtime::Runtime;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where the two lie.
pub struct Unpacked {
    pub executable: PathBuf,
    /// `DENO_DIR`.
    pub state: PathBuf,
    pub program: PathBuf,
}

impl Unpacked {
    fn inside(folder: &Path, runtime: &Runtime, program: &Program) -> Self {
        let home = folder.join(format!("runtime-{}", runtime.sha256));
        Self {
            executable: home.join("stasis"),
            state: home.join("deno"),
            program: folder.join(format!("program-{}", program.id)),
        }
    }

    /// Whether everything is there in its full length. Contents were checked when they were written.
    fn is_complete(&self, runtime: &Runtime, program: &Program) -> bool {
        has_length(&self.executable, runtime.bytes)
            && program
                .files
                .iter()
                .all(|file| has_length(&self.program.join(&file.path), program.contents(file).len() as u64))
    }
}

/// Sees to it that both are in the folder, and marks them as used.
///
/// # Errors
/// What the kernel says (a read-only or full file system); `InvalidData` for a damaged runtime.
pub fn keep(folder: &Path, runtime: &Runtime, program: &Program) -> Result<Unpacked> {
    let unpacked = Unpacked::inside(folder, runtime, program);
    if !unpacked.is_complete(runtime, program) {
        let _lock = lock(folder)?;
        if !unpacked.is_complete(runtime, program) {
            prune::clear_partial(folder)?;
            write_missing(folder, &unpacked, runtime, program)?;
        }
        prune::forget_unused(folder, &unpacked);
    }
    prune::mark_used(&unpacked);
    Ok(unpacked)
}

fn write_missing(folder: &Path, unpacked: &Unpacked, runtime: &Runtime, program: &Program) -> Result<()> {
    if !has_length(&unpacked.executable, runtime.bytes) {
        let partial = Partial::create(folder)?;
        partial.file(Path::new("stasis"), 0o700, |file| runtime.unpack(file))?;
        partial.finish(prune::home(&unpacked.executable))?;
    }
    let partial = Partial::create(folder)?;
    for file in &program.files {
        partial.file(&file.path, 0o600, |out| out.write_all(program.contents(file)))?;
    }
    partial.finish(&unpacked.program)
}

/// The exclusive lock of the folder; the kernel drops it with the descriptor, however this process ends.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn has_length(path: &Path, length: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == length)
}

#[cfg(test)]
mod tests;
