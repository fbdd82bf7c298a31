//! Templates in memory: starting, finding and ending the helper that holds one, and having it make a clone's processes.

use crate::building::{Blank, Building, blank};
use crate::link::{Link, LinkError, Wait};
use crate::start::require_helper;
use crate::{clock, faults, helper, home, hosted};
use abi::request::Home;
use abi::residence::{Layout, Plan};
use abi::wire::{Birth, Reply, Request, Residence};
use abi::{Code, Control, Fault};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// The kinds of namespaces that a capsule may have for itself: the file's name in `/proc/PID/ns`, and the CLONE_NEW* bit.
const KINDS: [(&str, i32); 7] = [
    ("user", 0x1000_0000),
    ("mnt", 0x0002_0000),
    ("uts", 0x0400_0000),
    ("ipc", 0x0800_0000),
    ("pid", 0x2000_0000),
    ("net", 0x4000_0000),
    ("cgroup", 0x0200_0000),
];

/// What is known about a template in memory, as `RUN/templates/NAME.json` says it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    /// Of the image that the memory was filled from.
    pub identity: String,
    pub pid: i32,
    /// Tells the helper from a later process under the same pid.
    pub start_ticks: u64,
    /// Of memory, in bytes.
    pub bytes: u64,
    /// When it was loaded: ISO 8601, UTC.
    pub loaded: String,
    pub layout: Layout,
}

/// A template in memory, and a connection to its helper.
pub struct Resident {
    pub record: Record,
    link: Link,
}

/// What to load.
pub struct Load<'a> {
    pub name: &'a str,
    pub identity: String,
    pub bytes: u64,
    pub plan: Plan,
    /// With the index that runs of the plan name.
    pub packs: Vec<(u32, &'a File)>,
}

fn folder(home: &Home) -> PathBuf {
    home.run.join("templates")
}

fn socket(name: &str) -> String {
    format!("{name}.sock")
}

fn record(name: &str) -> String {
    format!("{name}.json")
}

/// Starts the helper and waits until it has everything in memory. Nothing is left when this fails or is cancelled.
///
/// # Errors
/// [`Code::Usage`] when a template of that name is in memory already.
pub fn load(home: &Home, load: Load<'_>, init: &[u8], control: &Control) -> Result<Record, Fault> {
    let attempt = format!("load the template \"{}\"", load.name);
    require_helper(init.into(), &attempt)?;
    home::prepare(home)?;
    let files = faults::files(&attempt);
    DirBuilder::new().recursive(true).mode(0o700).create(folder(home)).map_err(&files)?;
    let lock = File::options().write(true).create(true).truncate(false).open(folder(home).join(".lock"));
    let lock = lock.map_err(&files)?;
    sys::folder::lock(lock.as_fd()).map_err(|errno| files(errno.into()))?;
    if find(home, load.name).is_some() {
        return Err(Fault::new(Code::Usage, format!("Could not {attempt}"))
            .because("it is in memory already")
            .hint(format!("\"stasis template unload {}\" takes it out of memory", load.name)));
    }
    let made = Made { folder: folder(home), name: load.name };
    let loaded = start(home, &load, init, control).map_err(|error| match error {
        LinkError::Ended => Fault::new(Code::Other, format!("Could not {attempt}"))
            .because("its helper ended: it was killed, or there was not enough memory"),
        error => faults::about(&attempt)(error),
    })?;
    std::mem::forget(made);
    Ok(loaded)
}

/// Files that a load has made, removed when it fails.
struct Made<'a> {
    folder: PathBuf,
    name: &'a str,
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        for file in [socket(self.name), record(self.name)] {
            let _ = fs::remove_file(self.folder.join(file));
        }
    }
}

fn start(home: &Home, load: &Load<'_>, init: &[u8], control: &Control) -> Result<Record, LinkError> {
    let (run, path) = home::short_path(&folder(home), &socket(load.name))?;
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    let order = Request::Reside(Residence { files: vec![socket(load.name), record(load.name)] });
    let title = format!("stasis-template {}", load.name);
    let (mut link, _, _) = helper::start(init.into(), &title, &order, &[listener.as_fd(), run.as_fd()])?;
    for (index, pack) in &load.packs {
        link.tell(&Request::Keep { name: index.to_string() }, &[pack.as_fd()])?;
    }
    let mut plan = sys::memory::memory_file(c"stasis-plan", 0).map_err(io::Error::from)?;
    plan.write_all(&serde_json::to_vec(&load.plan).map_err(io::Error::other)?)?;
    plan.rewind()?;
    link.send(&Request::Load, &[plan.as_fd()])?;
    let (Reply::Descriptor, handles) = link.receive(Wait::Until(control, None))? else {
        return Err(LinkError::Confused);
    };
    let pid = hosted::pid_of(handles.first().ok_or(LinkError::Confused)?.as_fd())?;
    let (start_ticks, _) = hosted::start_and_parent(pid)?;
    let record = Record {
        name: load.name.to_owned(),
        identity: load.identity.clone(),
        pid,
        start_ticks,
        bytes: load.bytes,
        loaded: clock::now(),
        layout: load.plan.layout.clone(),
    };
    write(home, &record)?;
    link.tell(&Request::Commit, &[])?;
    Ok(record)
}

/// Replaces the record as a whole.
fn write(home: &Home, known: &Record) -> io::Result<()> {
    let path = folder(home).join(record(&known.name));
    let new = path.with_extension("json.new");
    fs::write(&new, serde_json::to_vec(known).map_err(io::Error::other)?)?;
    fs::rename(new, path)
}

/// The template of that name, when it is in memory. What a helper that was killed has left is removed.
#[must_use]
pub fn find(home: &Home, name: &str) -> Option<Resident> {
    let text = fs::read(folder(home).join(record(name))).ok()?;
    let known: Option<Record> = serde_json::from_slice(&text).ok();
    let link = connect(home, name);
    match (known, link) {
        (Some(record), Some(link)) => Some(Resident { record, link }),
        _ => {
            drop(Made { folder: folder(home), name });
            None
        }
    }
}

/// The template in memory that was filled from this very image.
#[must_use]
pub fn holding(home: &Home, identity: &str) -> Option<Resident> {
    names(home)
        .into_iter()
        .filter_map(|name| find(home, &name))
        .find(|found| found.record.identity == identity)
}

fn names(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(folder(home)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned)).collect()
}

fn connect(home: &Home, name: &str) -> Option<Link> {
    let (_folder, path) = home::short_path(&folder(home), &socket(name)).ok()?;
    std::os::unix::net::UnixStream::connect(path).ok().map(Link::new)
}

/// Every template that is in memory, by name.
#[must_use]
pub fn list(home: &Home) -> Vec<Record> {
    let found = names(home).into_iter().filter_map(|name| find(home, &name));
    let mut records: Vec<Record> = found.map(|resident| resident.record).collect();
    records.sort_by(|a, b| a.name.cmp(&b.name));
    records
}

/// Takes a template out of memory. Clones that run keep theirs.
///
/// # Errors
/// [`Code::NoTarget`] when it is not in memory.
pub fn unload(home: &Home, name: &str) -> Result<Record, Fault> {
    let attempt = format!("unload the template \"{name}\"");
    let Some(mut resident) = find(home, name) else {
        return Err(Fault::new(Code::NoTarget, format!("Could not {attempt}")).because("it is not in memory"));
    };
    resident.link.tell(&Request::Unload, &[]).map_err(faults::about(&attempt))?;
    // The stream ends when the helper has removed its files and is gone.
    match resident.link.receive(Wait::Shortly) {
        Err(LinkError::Ended) => Ok(resident.record),
        other => Err(faults::about(&attempt)(other.err().unwrap_or(LinkError::Confused))),
    }
}

impl Resident {
    /// Makes a process of the template's memory in a capsule that is being built, under `pid`. `spare` is one that nobody has
    /// there. The process waits and has to be held by ptrace; `inherited` is its descriptor 3.
    ///
    /// # Errors
    /// When the helper was killed, or the kernel refuses.
    pub fn beget(
        &mut self,
        building: &Building,
        inherited: BorrowedFd<'_>,
        pid: i32,
        spare: i32,
    ) -> Result<Blank, Fault> {
        let attempt = format!("make a process of the template \"{}\"", self.record.name);
        let (namespaces, time) = self.differing(building.init());
        let request = Request::Beget(Birth { set_tid: pid, spare, namespaces, time });
        let answer = self.link.ask(&request, &[building.init_handle().as_fd(), inherited]);
        let made = match answer {
            Ok((Reply::Spawned { pid }, descriptors)) => blank(pid, descriptors),
            Ok(_) => Err(LinkError::Confused),
            Err(error) => Err(error),
        };
        made.map_err(|error| match error {
            LinkError::Ended => Fault::new(Code::RestoreFailed, format!("Could not {attempt}"))
                .because("the helper that holds it has ended")
                .hint(format!("\"stasis template load {}\" starts it again", self.record.name)),
            error => faults::about(&attempt)(error),
        })
    }

    /// The namespaces that a capsule has and this helper is not in, and whether the time namespace is among them.
    fn differing(&self, init: i32) -> (i32, bool) {
        let same = |name: &str| {
            let link = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
            link(self.record.pid) == link(init)
        };
        let bits = KINDS.iter().filter(|(name, _)| !same(name)).fold(0, |bits, (_, bit)| bits | bit);
        (bits, !same("time"))
    }
}
