//! Giving an application its id, its name, its folder and its socket, before it exists.

use crate::layers;
use crate::link::Link;
use crate::meta::{self, HelperProcess, Meta, Volume};
use crate::{Aid, clock, faults, home};
use abi::edits::Lasting;
use abi::network::OwnNetwork;
use abi::request::{Home, Origin};
use abi::wire::Translation;
use abi::{Code, Fault};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Longest name.
const NAME_LENGTH: usize = 63;

/// An application that is being made: dropping it before [`keep`](Self::keep) removes every trace.
pub struct Registration {
    pub meta: Meta,
    pub folder: PathBuf,
    pub listener: UnixListener,
    pub state: File,
    pub run: File,
    socket: PathBuf,
    /// The socket's name in the run folder.
    name: String,
    /// The state folder of the running application whose place this takes.
    inherits: Option<PathBuf>,
    kept: bool,
}

/// What is known about an application before it starts.
pub struct Particulars {
    pub name: String,
    pub command: Vec<String>,
    pub hostname: Option<String>,
    pub terminal: bool,
    pub translation: Option<Translation>,
    /// The template that it comes from, for a clone.
    pub origin: Option<Origin>,
    /// What its own network namespace has, if it gets one.
    pub network: Option<OwnNetwork>,
    /// Folders of the host that belong to its state.
    pub volumes: Vec<Volume>,
}

/// Registers an application under a name that no running one has.
pub fn register(home: &Home, particulars: Particulars) -> Result<Registration, Fault> {
    let attempt = format!("run under the name \"{}\"", particulars.name);
    check_name(&particulars.name)?;
    home::prepare(home)?;
    let attempt = faults::files(&attempt);
    // From the look at the names to the socket that makes the new one count as running.
    let _lock = lock(home).map_err(&attempt)?;
    if let Some(other) = running_under(home, &particulars.name) {
        return Err(taken(&particulars.name, &other));
    }
    create(home, particulars).map_err(&attempt)
}

fn check_name(name: &str) -> Result<(), Fault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| plain(byte) || b"_.-".contains(&byte);
    let good = name.bytes().next().is_some_and(plain) && name.bytes().all(inner) && name.len() <= NAME_LENGTH;
    if good {
        return Ok(());
    }
    Err(Fault::new(Code::Usage, format!("Could not use the name \"{name}\""))
        .because("a name has 1 to 63 of a-z 0-9 _ . - and begins with a letter or a digit"))
}

fn taken(name: &str, other: &Aid) -> Fault {
    Fault::new(Code::Usage, format!("Could not run under the name \"{name}\""))
        .because(format!("the application {other} runs under it"))
        .hint("Choose another name, or stop that application first")
}

fn running_under(home: &Home, name: &str) -> Option<Aid> {
    let mut named = meta::named(home, name).into_iter();
    named.find(|meta| Link::connect(home, &meta.aid).is_ok()).map(|meta| meta.aid)
}

/// Until the file is dropped, nobody else registers an application or removes layers.
pub fn lock(home: &Home) -> io::Result<File> {
    lock_apps(&home::apps(home))
}

/// The same, by the folder of all applications.
pub fn lock_apps(apps: &std::path::Path) -> io::Result<File> {
    let file = File::options().write(true).create(true).truncate(false).open(apps.join(".lock"))?;
    sys::folder::lock(file.as_fd())?;
    Ok(file)
}

fn create(home: &Home, particulars: Particulars) -> io::Result<Registration> {
    let aid = Aid::random()?;
    let folder = home::state(home, &aid);
    let place = aid.clone();
    let meta = Meta {
        aid,
        name: particulars.name,
        command: particulars.command,
        started: clock::now(),
        hostname: particulars.hostname,
        terminal: particulars.terminal,
        translation: particulars.translation,
        origin: particulars.origin,
        network: particulars.network,
        volumes: particulars.volumes,
        lasting: Lasting::default(),
        init: None,
    };
    DirBuilder::new().mode(0o700).create(&folder)?;
    Registration::at(home, meta, &place, folder, None)
}

/// Removes what a failed step left.
struct Undo<'a> {
    folder: &'a PathBuf,
    socket: &'a PathBuf,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.socket);
        layers::remove_state(self.folder);
    }
}

impl Registration {
    /// Makes the socket, and writes down who the application is, unless that is written where it inherits. The new `folder` is
    /// removed again on failure.
    pub fn at(
        home: &Home,
        meta: Meta,
        place: &Aid,
        folder: PathBuf,
        inherits: Option<PathBuf>,
    ) -> io::Result<Self> {
        let name = home::socket_name(place);
        let (run, path) = home::short_path(&home.run, &name)?;
        let undo = Undo { folder: &folder, socket: &path };
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        if inherits.is_none() {
            meta.write(&folder)?;
        }
        let state = File::open(&folder)?;
        std::mem::forget(undo);
        Ok(Self { meta, folder, listener, state, run, socket: path, name, inherits, kept: false })
    }

    /// The socket's name in the run folder.
    pub fn socket_name(&self) -> String {
        self.name.clone()
    }

    /// The state folder that the application has in the end.
    pub fn home_folder(&self) -> &Path {
        self.inherits.as_deref().unwrap_or(&self.folder)
    }

    /// What the helper gets first, in the order of [`abi::wire::Launch`].
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.listener.as_fd(), self.state.as_fd(), self.run.as_fd()]
    }

    /// Notes who the helper is.
    pub fn note(&mut self, init: HelperProcess) -> io::Result<()> {
        self.meta.init = Some(init);
        self.meta.write(self.home_folder())
    }

    /// The same for one that takes another's place, in its own folder until it does.
    pub fn note_here(&mut self, init: HelperProcess) -> io::Result<()> {
        self.meta.init = Some(init);
        self.meta.write(&self.folder)
    }

    /// The application lives: its folder stays.
    pub fn keep(mut self) -> Meta {
        self.kept = true;
        if self.inherits.is_some() {
            // Its helper is at home in the other folder now. What stays here is removed by whoever lists applications next.
            let _ = volume::remove(&self.folder);
        }
        self.meta.clone()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.kept {
            drop(Undo { folder: &self.folder, socket: &self.socket });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_are_plain() {
        for good in ["web", "0", "a.b_c-d", &"x".repeat(63)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for wrong in ["", "-web", ".", "Web", "a/b", "a b", &"x".repeat(64)] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }
}
