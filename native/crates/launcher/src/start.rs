//! Becomes Deno: from the cache where that works, else from memory.

use crate::container::{self, Program};
use crate::environment::{Told, environment};
use crate::partial::io_error;
use crate::runtime::RUNTIME;
use crate::source::OwnFile;
use crate::{folder, note, unpack};
use rustix::fs::{MemfdFlags, memfd_create};
use std::env;
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SELF: &str = "/proc/self/exe";
/// The library's name in the program; scripts/build.ts puts it beside the main module.
const LIBRARY: &str = "libstasis_native.so";
/// A cache of Deno's that cannot be created: what runs from memory leaves nothing behind.
const NOWHERE: &str = "/dev/null/deno";

/// Why there is no program running now.
pub struct Failure {
    pub cause: Error,
    pub hint: Option<&'static str>,
}

/// Starts the program. Returns only when that failed.
pub fn start() -> Failure {
    match read_own_program() {
        Err(cause) => Failure { cause, hint: Some("This file is damaged or incomplete: get it again") },
        Ok(program) => Failure { cause: become_deno(&program), hint: None },
    }
}

fn read_own_program() -> Result<Program> {
    if RUNTIME.packed.is_empty() {
        return Err(io_error("this build carries no runtime"));
    }
    let own = OwnFile::open(SELF)?;
    let range = note::find(&own)?.ok_or_else(|| io_error("no program was appended to this file"))?;
    container::read(&own, range)
}

fn become_deno(program: &Program) -> Error {
    let kept = folder::choose(|name| env::var_os(name))
        .and_then(|folder| unpack::keep(&folder, &RUNTIME, program).ok());
    if let Some(kept) = kept {
        let library = kept.program.join(LIBRARY);
        let told = Told { product: &product(), library: &library, state: &kept.state };
        let error = execute(&kept.executable, &kept.program.join(&program.entry), &told);
        if !is_unusable(&error) {
            return error;
        }
    }
    from_memory(program).unwrap_or_else(|error| error)
}

/// The folder is on a file system without execution, or another start pruned it between check and use.
fn is_unusable(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound)
}

/// Runs everything from memory files. The program's own two stay open across the start, since Deno reads them by
/// name; the runtime's does not.
fn from_memory(program: &Program) -> Result<Error> {
    let mut runtime = memory("stasis", MemfdFlags::CLOEXEC)?;
    RUNTIME.unpack(&mut runtime)?;
    let mut entry = PathBuf::from(NOWHERE);
    let mut library = PathBuf::from(NOWHERE);
    let mut open = Vec::new();
    for file in &program.files {
        let mut memory = memory("stasis-program", MemfdFlags::empty())?;
        memory.write_all(program.contents(file))?;
        if file.path == program.entry {
            entry = by_descriptor(&memory);
        } else if file.path == Path::new(LIBRARY) {
            library = by_descriptor(&memory);
        }
        open.push(memory);
    }
    let told = Told { product: &product(), library: &library, state: Path::new(NOWHERE) };
    Ok(execute(&by_descriptor(&runtime), &entry, &told))
}

fn memory(name: &str, flags: MemfdFlags) -> Result<File> {
    Ok(memfd_create(name, flags)?.into())
}

fn by_descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The file that this process was started from; its plain link where that cannot be told.
fn product() -> PathBuf {
    fs::read_link(SELF).unwrap_or_else(|_| PathBuf::from(SELF))
}

fn execute(executable: &Path, entry: &Path, told: &Told<'_>) -> Error {
    Command::new(executable)
        .arg0("stasis")
        .args(["run", "--quiet", "--no-config", "--no-lock", "--no-remote", "--no-npm", "--no-prompt", "-A"])
        .arg(entry)
        .args(env::args_os().skip(1))
        .env_clear()
        .envs(environment(env::vars_os(), told))
        .exec()
}
