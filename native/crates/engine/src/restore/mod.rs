//! Bringing a snapshot back: check, create the processes, rebuild what they share, then each of them, release together.

mod process;
mod source;
pub mod together;

use crate::chain::Chain;
use crate::edits::{self, ports::Ports};
use crate::explain::{Explain, Result};
use crate::family::{self, Family};
use crate::ids::{DescriptionId, OriginalPid};
use crate::incumbent::{Incumbent, UNHARMED};
use crate::meeting::Seat;
use crate::nursery::Nursery;
use crate::place::Place;
use crate::rebuild::{Rebuild, moved};
use crate::residence;
use crate::state::descriptors::external::Streams;
use crate::state::process::{BodyV1, LiveV1};
use crate::state::terminals::MasterV1;
use crate::state::terminals::rebuilding::{Site, Terminals};
use crate::state::{
    cgroups, descriptors, generation, ghosts, identity, locks, names, posix_memory, shared_memory, system_v,
    terminals, translation, volumes,
};
use ::capsule::{Aid, Init};
use abi::request::{Restore, Tcp};
use abi::{Code, Control, Fault, Phase, Unit};
use image::SnapshotReader;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tracee::Stopped;

pub use source::{Source, check, find_hole, read};

#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aid: Option<Aid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub pid: i32,
    /// From the request to the release, in microseconds.
    pub total_us: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

const NOTHING_LEFT: &str = "Nothing was left behind";

pub fn bring_back(request: Restore, init: Init<'_>, control: &Control) -> Result<Report> {
    let start = Instant::now();
    let source = check(&request, control)?;
    let rebuilt = instantiate(request, source, init, control)?;
    Ok(Report { total_us: start.elapsed().as_micros() as u64, ..rebuilt })
}

/// Makes one running application of a snapshot.
pub fn instantiate(request: Restore, source: Source, init: Init<'_>, control: &Control) -> Result<Report> {
    instantiate_with(request, source, init, control, None)
}

/// The same beside others, with whom it waits at the gates of [`together`].
pub fn instantiate_with(
    request: Restore,
    source: Source,
    init: Init<'_>,
    control: &Control,
    company: Option<&Seat>,
) -> Result<Report> {
    let start = Instant::now();
    let replaces = request.replace.is_some();
    let rebuilt = rebuild(request, source, init, control, company).map_err(|mut fault| {
        if !says_more(fault.code, replaces) {
            fault.code = Code::RestoreFailed;
        }
        match fault.aftermath {
            Some(_) if replaces => fault,
            _ => fault.aftermath(if replaces { UNHARMED } else { NOTHING_LEFT }),
        }
    })?;
    Ok(Report { total_us: start.elapsed().as_micros() as u64, ..rebuilt })
}

/// Does a code say more than that the restore failed? One that takes an application's place may fail for what that is.
fn says_more(code: Code, replaces: bool) -> bool {
    match code {
        Code::Interrupted | Code::Internal | Code::RestoreLeft | Code::HostLacks => true,
        Code::NoTarget | Code::Refused | Code::NotPermitted => replaces,
        _ => false,
    }
}

fn rebuild(
    mut request: Restore,
    source: Source,
    init: Init<'_>,
    control: &Control,
    company: Option<&Seat>,
) -> Result<Report> {
    let Source { reader, chain: mut image, mut notes } = source;
    notes.extend(edits::prepare(&mut image, &mut request)?);
    control.phase(Phase::Building, image.processes.len() as u64, Unit::Processes);
    stand_apart()?;
    let replace = request.replace.as_ref();
    let incumbent = replace.map(|replace| Incumbent::hold(replace, &request.home)).transpose()?;
    // Before the nursery, so that a failed restore's groups are empty when this removes them.
    let mut groups = cgroups::Made::default();
    let (mut nursery, mut rebuild) = create_processes(&mut request, &image, reader, incumbent, notes, init)?;
    rebuild_shared(&image, &mut groups, &mut nursery, &mut rebuild)?;
    furnish_all(&image, &nursery, &mut rebuild, control)?;
    edits::arguments::apply(&image, &request.edits, &nursery, &rebuild)?;
    settle(&image, &nursery, &mut rebuild)?;
    let threads = wake_all(&image, &mut nursery, &mut rebuild)?;
    edits::hooks::run(&request.edits.before, &mut nursery, control)?;
    company.map_or(Ok(()), |seat| seat.pass(&together::BUILT))?;
    nursery.open_network()?;
    company.map_or(Ok(()), |seat| seat.pass(&together::LINKED))?;
    descriptors::go_live(&image.descriptions, &mut rebuild)?;
    let report = release(request, &image, nursery, threads, rebuild)?;
    groups.keep();
    Ok(report)
}

/// What this thread opens and where it is concerns nobody else in this command.
fn stand_apart() -> Result<()> {
    let what = || "Could not give the restore its own descriptors".to_owned();
    ::capsule::depart().explain(what)?;
    sys::process::unshare_files().explain(what)
}

/// Every process under its own id, blank; terminals too, since sessions take theirs while they form.
fn create_processes(
    request: &mut Restore,
    image: &Arc<Chain>,
    reader: Arc<SnapshotReader>,
    mut incumbent: Option<Incumbent>,
    mut notes: Vec<String>,
    init: Init<'_>,
) -> Result<(Nursery, Rebuild)> {
    let replaced = incumbent.as_mut().and_then(Incumbent::capsule);
    let mut place = Place::prepare(request, image, replaced, init)?;
    let (views, told) = volumes::apply(image, request, &mut place)?;
    notes.extend(told);
    let names = names::apply(image, &request.home, &mut place)?;
    let first_free = first_free_descriptor(image);
    let mut nursery = Nursery::new(place.cradle, find_hole(image)?, image.host.vdso.clone(), first_free)?;
    nursery.make_of(::capsule::resident::holding(&request.home, &residence::identity(&reader)), image);
    if let Some(folder) = &image.posix_memory {
        posix_memory::apply(folder, &place.root, &|pack| {
            reader.pack_file(pack).map_err(std::io::Error::other)
        })?;
    }
    notes.extend(generation::apply(place.generation.as_deref(), image.posix_memory.is_some(), &place.root)?);
    identity::check(image, |path| {
        let unmoved = moved(path, &request.files).is_none() && !names.are_at(path);
        unmoved.then(|| PathBuf::from(OsStr::from_bytes(&[&place.root, path].concat())))
    })?;
    let site = Site { root: &place.root, attended: request.terminal && !request.detach };
    let mut terminals = Terminals::make(image, &site)?;
    let (pids, aliases) = grow(image, &terminals, &mut nursery)?;
    terminals.add_ready(aliases);
    nursery.name_root(image.capsule.as_ref())?;
    if let Some(master) = terminals.attended(image, MasterV1::Capsule) {
        nursery.keep_terminal(master)?;
    }
    notes.append(&mut terminals.notes);
    let rebuild = Rebuild {
        image: Arc::clone(image),
        reader,
        root: place.root,
        sockets: place.sockets,
        streams: streams(request, &terminals, image, incumbent.as_ref(), place.output.as_ref())?,
        output: place.output,
        moved: edits::by_path(std::mem::take(&mut request.files), &request.edits),
        is_clone: request.origin.is_some(),
        ports: Ports::new(&request.edits.ports),
        pids,
        shared_memory: HashMap::new(),
        ghosts: ghosts::Names::default(),
        system_v: system_v::Made::default(),
        id_table: nursery.id_table()?,
        descriptions: HashMap::new(),
        close_connections: request.tcp == Tcp::Close,
        terminals,
        notes,
        unix: descriptors::unix::Unfinished::default(),
        watched: HashMap::new(),
        views,
        names,
        inherited: HashSet::new(),
        disputed_locks: Vec::new(),
        incumbent,
    };
    Ok((nursery, rebuild))
}

/// What belongs to no single process: control groups, memory, deleted files, IPC, open file descriptions.
fn rebuild_shared(
    image: &Chain,
    groups: &mut cgroups::Made,
    nursery: &mut Nursery,
    rebuild: &mut Rebuild,
) -> Result<()> {
    cgroups::apply(&image.cgroups, groups, nursery, rebuild)?;
    shared_memory::apply(&image.shared_memory, rebuild)?;
    ghosts::apply(&image.ghosts, rebuild)?;
    system_v::apply(&image.system_v, nursery, rebuild)?;
    if let (Some(saved), Some(table)) = (&image.translation, &rebuild.id_table) {
        translation::apply(saved, table, rebuild)?;
    }
    let ended = nursery.spawn_all(descriptors::regular::ended(image))?;
    descriptors::apply(&image.descriptions, nursery, rebuild)?;
    for pid in ended {
        family::end(&Stopped::assume(pid), &nursery.hole.bench(), 0)?;
        nursery.forget(pid);
    }
    Ok(())
}

/// Memory, folders and descriptors for every process.
fn furnish_all(image: &Chain, nursery: &Nursery, rebuild: &mut Rebuild, control: &Control) -> Result<()> {
    control.phase(Phase::LoadingMemory, image.processes.len() as u64, Unit::Processes);
    for process in &image.processes {
        if control.cancelled() {
            let fault = Fault::new(Code::Interrupted, "Could not finish the restore");
            return Err(fault.because("it was interrupted"));
        }
        process::furnish(process, nursery, rebuild)?;
        control.advance(1);
    }
    // Only now: a table may belong to several processes, and the last delivery closes the way to it.
    for process in &image.processes {
        if let BodyV1::Live(live) = &process.body {
            descriptors::install(live, &Stopped::assume(rebuild.pids[&process.pid]), nursery, rebuild)?;
        }
    }
    Ok(())
}

/// What needs every process to have its memory and descriptors.
fn settle(image: &Chain, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    descriptors::settle(&image.descriptions, nursery, rebuild)?;
    shared_memory::seal(&image.shared_memory, rebuild)?;
    system_v::settle(&image.system_v, nursery, rebuild)?;
    image.translation.iter().try_for_each(|saved| translation::settle(saved, nursery, rebuild))?;
    rebuild.ghosts.finish()?;
    if let Some(folder) = &image.posix_memory {
        posix_memory::settle(folder, &rebuild.root)?;
    }
    locks::apply(&image.locks, nursery, rebuild)?;
    descriptors::watch(&image.descriptions, rebuild)
}

/// Leaves every thread one step before its first instruction. Returns all threads.
fn wake_all(image: &Chain, nursery: &mut Nursery, rebuild: &mut Rebuild) -> Result<Vec<i32>> {
    for process in &image.processes {
        process::populate(process, nursery, rebuild)?;
    }
    descriptors::late::apply(image, nursery, rebuild)?;
    let mut threads = Vec::new();
    for process in &image.processes {
        threads.extend(process::wake(process, nursery, rebuild)?);
    }
    descriptors::late::seek(&image.descriptions, rebuild)?;
    cgroups::apply_threads(&image.cgroups, rebuild);
    Ok(threads)
}

/// Lets all go at once. From here the application lives.
fn release(
    request: Restore,
    image: &Chain,
    mut nursery: Nursery,
    threads: Vec<i32>,
    mut rebuild: Rebuild,
) -> Result<Report> {
    let root = rebuild.pids[&image.processes[0].pid];
    let outside = rebuild.terminals.attended(image, MasterV1::Outside);
    let user = outside
        .map(|master| master.try_clone_to_owned())
        .transpose()
        .explain(|| "Could not keep the user's terminal".to_owned())?;
    let unused = rebuild.ports.unused();
    let unused = unused.map(|port| format!("no socket is bound to port {port}, which a rule moves"));
    rebuild.notes.extend(unused);
    nursery.note_ports(&rebuild.ports);
    let threads = threads.into_iter();
    let aid = match rebuild.incumbent.take() {
        Some(incumbent) => nursery.succeed(threads, || {
            incumbent.end();
            descriptors::inherited::settle(&mut rebuild);
            locks::settle(&mut rebuild);
        })?,
        None => nursery.release(threads, !request.detach)?,
    };
    if let Some(master) = user {
        ::capsule::emulate(root, master);
    }
    rebuild.system_v.keep();
    rebuild.views.keep();
    let name = image.capsule.as_ref().map(|capsule| request.name.unwrap_or_else(|| capsule.name.clone()));
    Ok(Report { aid, name, pid: root, total_us: 0, notes: rebuild.notes })
}

/// What stands in for streams that led outside: the user's terminal, the command's own streams, or the log.
fn streams(
    request: &Restore,
    terminals: &Terminals,
    chain: &Chain,
    incumbent: Option<&Incumbent>,
    log: Option<&OwnedFd>,
) -> Result<Streams> {
    let what = || "Could not pass on the standard streams".to_owned();
    let log = || log.map(|log| log.try_clone().map(File::from)).transpose().explain(what);
    match (terminals.outside_slave(chain), incumbent) {
        (Some(slave), _) => Streams::terminal(slave).explain(what),
        (None, Some(incumbent)) => incumbent.streams(log()?),
        (None, None) if request.detach => Streams::detached(log()?),
        (None, None) => Streams::own(),
    }
}

fn lives(chain: &Chain) -> impl Iterator<Item = &LiveV1> {
    chain.processes.iter().filter_map(|process| match &process.body {
        BodyV1::Live(live) => Some(&**live),
        BodyV1::Zombie { .. } => None,
    })
}

fn first_free_descriptor(chain: &Chain) -> i32 {
    let highest = lives(chain).flat_map(|live| live.descriptors.iter().map(|descriptor| descriptor.fd)).max();
    highest.unwrap_or(0).max(15) + 1
}

/// The processes, and the descriptions of /dev/tty that only they could open.
type Grown = (HashMap<OriginalPid, i32>, HashMap<DescriptionId, OwnedFd>);

/// Creates all processes, and ends those that had ended.
fn grow(chain: &Chain, terminals: &Terminals, nursery: &mut Nursery) -> Result<Grown> {
    let bench = nursery.hole.bench();
    let sessions = terminals::rebuilding::Control::new(chain, terminals, &nursery.delivery)?;
    let mut spawn = |pid| nursery.spawn(pid);
    let mut family = Family::new(&chain.processes, &sessions, bench.clone(), &mut spawn);
    let grown = family.grow();
    let pids = std::mem::take(&mut family.pids);
    nursery.adopt(pids.values().copied());
    grown?;
    sessions.settle(&pids, &bench)?;
    let aliases = sessions.open_aliases(&pids, &bench)?;
    for process in &chain.processes {
        if let BodyV1::Zombie { status } = process.body {
            family::end(&Stopped::assume(pids[&process.pid]), &bench, status)?;
            nursery.forget(pids[&process.pid]);
        }
    }
    Ok((pids, aliases))
}
