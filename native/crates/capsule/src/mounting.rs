//! Files and folders that stand at other paths for one application, and what else of its edits outlasts the restore.
//!
//! `DATA/apps/AID/files/N` holds what is the application's alone.

use crate::building::Building;
use crate::link::LinkError;
use abi::edits::{Edits, Lasting, LastingMount, Mount, Port, Source};
use abi::wire::{Binding, Reply, Request, Unbound};
use abi::{Code, Fault};
use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use sys::Errno;

/// Longest file that is copied, in bytes.
pub const LARGEST_COPY: u64 = 16 << 20;

/// The folder in an application's state folder that holds its own files.
const FILES: &str = "files";

impl Building {
    /// Makes the mounts that the snapshot's application had and those of this restore; one of this restore takes the
    /// place of an older one at the same path. Records what must outlast the restore.
    ///
    /// # Errors
    /// [`Code::RestoreFailed`], naming the path.
    pub fn edit(&mut self, edits: &Edits, saved: &Lasting) -> Result<(), Fault> {
        let kept = saved.mounts.iter().filter(|old| !edits.mounts.iter().any(|new| new.target == old.target));
        let mut mounts = Vec::new();
        for old in kept {
            mounts.push(self.make_again(old, mounts.len())?);
        }
        for new in &edits.mounts {
            mounts.push(self.make(new, mounts.len())?);
        }
        // What stands in another comes after it.
        mounts.sort_by_key(|mount| mount.target.len());
        self.bind(&mounts)?;
        let lasting = &mut self.registration.meta.lasting;
        lasting.mounts = mounts;
        lasting.environment.clone_from(&saved.environment);
        let everywhere = edits.environment.iter().filter(|variable| variable.process.is_none());
        lasting.environment.extend(everywhere.map(|one| (one.name.clone(), one.value.clone())));
        lasting.ports.clone_from(&saved.ports);
        Ok(())
    }

    /// Records ports that are others on the host than the application was told once.
    pub fn note_ports(&mut self, ports: Vec<Port>) {
        let known = &mut self.registration.meta.lasting.ports;
        for port in ports {
            // The application of a snapshot may have been moved before: what it was told first counts.
            match known.iter_mut().find(|known| known.to == port.from) {
                Some(known) => known.to = port.to,
                None => known.push(port),
            }
        }
    }

    fn make(&self, mount: &Mount, number: usize) -> Result<LastingMount, Fault> {
        let what = unmounted(&mount.target);
        let now = fs::metadata(self.inside(&mount.target)).map_err(missing(&what))?;
        let source = match &mount.source {
            Source::Path(path) => {
                require_same_kind(&now, path, &what)?;
                path.clone()
            }
            Source::Text(text) => self.write(number, text.as_bytes(), &now, &what)?,
            Source::Empty => self.write(number, &[], &now, &what)?,
            Source::Copy => {
                let contents = read(&self.inside(&mount.target), &now).map_err(missing(&what))?;
                self.write(number, &contents, &now, &what)?
            }
        };
        let empty = mount.source == Source::Empty;
        Ok(LastingMount { target: mount.target.clone(), source, contents: None, empty })
    }

    fn make_again(&self, old: &LastingMount, number: usize) -> Result<LastingMount, Fault> {
        let what = unmounted(&old.target);
        let now = fs::metadata(self.inside(&old.target)).map_err(missing(&what))?;
        let source = match &old.contents {
            Some(contents) => self.write(number, contents, &now, &what)?,
            None if old.empty => self.write(number, &[], &now, &what)?,
            None if !old.source.starts_with('/') => {
                return Err(Fault::new(Code::ImageDamaged, what).because("the snapshot lacks its contents"));
            }
            None => {
                require_same_kind(&now, &old.source, &what)?;
                old.source.clone()
            }
        };
        Ok(LastingMount { source, contents: None, ..old.clone() })
    }

    /// Makes a file of the application's own, with the owner and mode of the one that it stands in for. Returns its name
    /// in the state folder.
    fn write(&self, number: usize, contents: &[u8], like: &Metadata, what: &str) -> Result<String, Fault> {
        if !like.is_file() {
            return Err(
                Fault::new(Code::RestoreFailed, what).because("what stands there is no ordinary file")
            );
        }
        let name = format!("{FILES}/{number}");
        self.write_file(&name, contents, like).map_err(|error| {
            Fault::new(Code::RestoreFailed, what)
                .because(format!("its file in the application's state folder cannot be written: {error}"))
        })?;
        Ok(name)
    }

    fn write_file(&self, name: &str, contents: &[u8], like: &Metadata) -> io::Result<()> {
        let folder = &self.registration.folder;
        DirBuilder::new().recursive(true).mode(0o700).create(folder.join(FILES))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
        file.write_all(contents)?;
        // Without CAP_CHOWN it is ours, as the application is.
        let _ = fchown(&file, Some(like.uid()), Some(like.gid()));
        file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o7777))
    }

    fn bind(&mut self, mounts: &[LastingMount]) -> Result<(), Fault> {
        if mounts.is_empty() {
            return Ok(());
        }
        let folder = self.registration.folder.clone();
        let source = |mount: &LastingMount| folder.join(&mount.source).to_string_lossy().into_owned();
        let bindings: Vec<Binding> = mounts
            .iter()
            .map(|mount| Binding { source: source(mount), target: mount.target.clone(), read_only: false })
            .collect();
        let answer = self.link().and_then(|link| link.ask(&Request::Bind(bindings), &[]));
        match answer {
            Ok((Reply::Bound { failed: None }, _)) => Ok(()),
            Ok((Reply::Bound { failed: Some(Unbound { index, errno }) }, _)) => {
                let target = mounts.get(index).map_or("", |mount| &mount.target);
                Err(Fault::new(Code::RestoreFailed, unmounted(target)).because(Errno(errno)))
            }
            Ok(_) => Err(self.fault(LinkError::Confused)),
            Err(error) => Err(self.fault(error)),
        }
    }

    /// A path of the application as this process reaches it.
    fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }
}

fn unmounted(target: &str) -> String {
    format!("Could not put a file or folder of its own at \"{target}\"")
}

fn missing(what: &str) -> impl Fn(io::Error) -> Fault {
    move |error| {
        Fault::new(Code::RestoreFailed, what)
            .because(format!("what stands there cannot be examined: {error}"))
    }
}

fn require_same_kind(now: &Metadata, source: &str, what: &str) -> Result<(), Fault> {
    let fault = |why: String| Err(Fault::new(Code::RestoreFailed, what).because(why));
    match fs::metadata(source) {
        Err(error) => fault(format!("\"{source}\" cannot be examined: {error}")),
        Ok(source_now) if source_now.is_dir() != now.is_dir() => {
            fault(format!("one of it and \"{source}\" is a folder, and the other is not"))
        }
        Ok(_) => Ok(()),
    }
}

/// The contents of a file that may be copied.
fn read(path: &Path, now: &Metadata) -> io::Result<Vec<u8>> {
    if now.len() > LARGEST_COPY {
        return Err(io::Error::other(format!(
            "it has {} bytes, and at most {LARGEST_COPY} are copied",
            now.len()
        )));
    }
    fs::read(path)
}

/// What lasts of an application's edits, with the contents of its own files: how a snapshot takes it along.
///
/// # Errors
/// When one of those files cannot be read or has grown too long.
pub fn collect(lasting: &Lasting, folder: &Path) -> io::Result<Lasting> {
    let mut all = lasting.clone();
    for mount in &mut all.mounts {
        if mount.source.starts_with('/') || mount.empty {
            continue;
        }
        let path = folder.join(&mount.source);
        mount.contents = Some(read(&path, &fs::metadata(&path)?)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_takes_the_contents_of_own_files_along() {
        let folder = std::env::temp_dir().join(format!("stasis-mounting-{}", std::process::id()));
        fs::create_dir_all(folder.join(FILES)).expect("a folder");
        fs::write(folder.join("files/0"), "port 7\n").expect("a file");
        let mount = |source: &str, empty| LastingMount {
            target: "/etc/app.conf".into(),
            source: source.into(),
            contents: None,
            empty,
        };
        let mounts = vec![mount("files/0", false), mount("files/1", true), mount("/srv/a", false)];
        let lasting = Lasting { mounts, ..Lasting::default() };
        let contents =
            collect(&lasting, &folder).map(|all| all.mounts.into_iter().map(|one| one.contents).collect());
        fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(contents.ok(), Some(vec![Some(b"port 7\n".to_vec()), None, None]));
    }
}
