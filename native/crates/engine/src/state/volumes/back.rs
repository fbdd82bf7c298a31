//! `--volumes back`: the host's folders become again what was captured. What they held is kept beside them.

use super::{VolumeV1, fault, is_within, place};
use crate::chain::Chain;
use crate::explain::Result;
use ::capsule::{Building, State};
use abi::request::{Home, Restore};
use abi::{Code, Fault};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A folder of the host that was exchanged; exchanged again when this is dropped, unless it is kept.
pub struct PutBack {
    path: PathBuf,
    /// Where what it held is now; none when there was no such folder.
    before: Option<PathBuf>,
    kept: bool,
}

impl PutBack {
    pub fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for PutBack {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let ours = match &self.before {
            Some(before) if sys::trees::exchange(before, &self.path).is_ok() => before,
            // Nobody is left to tell: both folders are there, one under the other's name.
            Some(_) => return,
            None => &self.path,
        };
        let _ = volume::remove(ours);
    }
}

/// Builds every folder beside its place, then lets them change places.
pub fn put_back(
    chain: &Chain,
    request: &Restore,
    building: &Building,
    notes: &mut Vec<String>,
) -> Result<Vec<PutBack>> {
    for volume in &chain.volumes {
        refuse_if_used(volume, &request.home)?;
    }
    let mut built = Vec::with_capacity(chain.volumes.len());
    for (number, volume) in chain.volumes.iter().enumerate() {
        let new = beside(&volume.path, "new", building);
        built.push(Built(new.clone()));
        let failed = |error| fault(&error, "put back", &volume.path);
        volume::copy(&volume.tree, &place(&request.dir, number), &new).map_err(failed)?;
        volume::sync(&new, true).map_err(failed)?;
    }
    let mut back = Vec::with_capacity(chain.volumes.len());
    for (volume, built) in chain.volumes.iter().zip(&built) {
        let done = exchange(volume, &built.0, beside(&volume.path, "before", building));
        back.push(done.map_err(|error| explain(volume, &error))?);
    }
    for put in &back {
        if let Some(before) = &put.before {
            notes.push(format!(
                "\"{}\" was put back; what it held is in \"{}\"",
                put.path.display(),
                before.display()
            ));
        }
    }
    Ok(back)
}

/// A folder that is removed unless it has found its place.
struct Built(PathBuf);

impl Drop for Built {
    fn drop(&mut self) {
        let _ = volume::remove(&self.0);
    }
}

fn beside(path: &str, word: &str, building: &Building) -> PathBuf {
    PathBuf::from(format!("{path}.{word}-{}", building.aid()))
}

fn exchange(volume: &VolumeV1, new: &Path, before: PathBuf) -> io::Result<PutBack> {
    let path = PathBuf::from(&volume.path);
    if fs::symlink_metadata(&path).is_err() {
        fs::rename(new, &path)?;
        return Ok(PutBack { path, before: None, kept: false });
    }
    sys::trees::exchange(new, &path)?;
    // From here on the old folder is under the new one's name, and comes back if this fails.
    let mut put = PutBack { path, before: Some(new.to_path_buf()), kept: false };
    fs::rename(new, &before)?;
    put.before = Some(before);
    Ok(put)
}

fn explain(volume: &VolumeV1, error: &io::Error) -> Fault {
    let fault = Fault::new(Code::RestoreFailed, format!("Could not put back the volume \"{}\"", volume.path))
        .because(error);
    match error.raw_os_error() {
        Some(libc::EBUSY | libc::EXDEV) => fault
            .because("a file system is mounted there, which cannot be exchanged for a folder")
            .hint("--volumes own gives the application a view of what was captured"),
        _ => fault,
    }
}

/// Another application would go on in a folder that is not there any more.
fn refuse_if_used(volume: &VolumeV1, home: &Home) -> Result<()> {
    let overlaps =
        |path: &str| is_within(path.as_bytes(), &volume.path) || is_within(volume.path.as_bytes(), path);
    let applications = ::capsule::list(home).into_iter().filter(|one| one.state == State::Running);
    let mut users = applications
        .filter(|one| one.volumes.iter().any(|used| used.view.is_none() && overlaps(&used.path)))
        .map(|one| format!("the application \"{}\" uses it", one.name));
    let user = users.next().or_else(|| process_within(&volume.path));
    match user {
        None => Ok(()),
        Some(who) => {
            Err(Fault::new(Code::Refused, format!("Could not put back the volume \"{}\"", volume.path))
                .because(who)
                .hint("Stop it first, or let the restored application have a view of its own: --volumes own"))
        }
    }
}

/// A process in this mount namespace that has something in a folder open, or is in it. One that may not be looked at is
/// passed over.
fn process_within(folder: &str) -> Option<String> {
    let namespace = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/mnt")).map(|meta| meta.ino()).ok();
    let ours = namespace("self")?;
    let pids = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let numbers = pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let mut users = numbers.filter(|pid| namespace(pid) == Some(ours) && holds(pid, folder));
    users.next().map(|pid| format!("process {pid} has a file in it open, or is in it"))
}

fn holds(pid: &str, folder: &str) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let is_in =
        |link: &Path| fs::read_link(link).is_ok_and(|to| is_within(to.as_os_str().as_bytes(), folder));
    let top = PathBuf::from(format!("/proc/{pid}"));
    let open = fs::read_dir(top.join("fd")).into_iter().flatten().flatten();
    is_in(&top.join("cwd")) || is_in(&top.join("exe")) || open.into_iter().any(|entry| is_in(&entry.path()))
}
