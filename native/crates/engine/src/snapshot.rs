//! Taking a snapshot: stop, collect, copy, let go.

mod copying;
pub mod departing;
mod sealing;
mod subject;
mod terms;
pub mod together;

use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::freeze::FrozenTree;
use crate::meeting::{Gate, Seat};
use crate::state::base::{Base, Kept};
use crate::state::descriptors::network::connection;
use crate::state::descriptors::network::quiet::Quiet;
use crate::state::frozen_copy;
use crate::state::namespaces;
use crate::state::pages;
use crate::state::process;
use crate::state::{cgroups, descriptors, host, posix_memory, posix_queues, system_v, translation};
use abi::request::{Snapshot, Tcp};
use abi::{Code, Control, Fault, Phase, Unit};
use copying::{Copies, copy_frozen, copy_pages};
use image::SnapshotWriter;
use sealing::{finish_volumes, flush_and_seal, threads};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use subject::Subject;
use terms::{Means, Terms};

#[derive(Debug, Serialize)]
pub struct Report {
    pub dir: PathBuf,
    pub processes: usize,
    pub threads: usize,
    pub bytes: u64,
    /// How long the application stood still, in microseconds.
    pub pause_us: u64,
    pub total_us: u64,
    pub notes: Vec<String>,
}

const UNHARMED: &str = "The application runs on unharmed, and no snapshot was kept";
const ENDED: &str = "The application, or a process of it, ended by itself; no snapshot was kept";

/// Takes a snapshot of one application, or of process trees.
pub fn take(request: Snapshot, control: &Control) -> Result<Report> {
    take_on(request, control, Terms::default()).map(|(report, _)| report)
}

/// The same on terms, with what may be kept of the application's memory.
pub fn take_on(request: Snapshot, control: &Control, terms: Terms<'_>) -> Result<(Report, Vec<Kept>)> {
    let Terms { company, base, lasting } = terms;
    let start = Instant::now();
    let mut subject = Subject::find(&request).map_err(|fault| fault.aftermath("No process was touched"))?;
    tidy_store(&request);
    let mut writer = SnapshotWriter::create(&request.out)
        .explain(|| format!("Could not create the snapshot {}", request.out.display()))
        .map_err(|fault| fault.aftermath("The application was not touched"))?;
    // Before the application stands still.
    let buffers = subject.resident().div_ceil(pages::CHUNK);
    writer.pack().prepare(buffers as usize, pages::CHUNK as usize);
    let lent = base
        .map(|base| base.lend(&mut writer).map(|pack| (base, pack)))
        .transpose()
        .map_err(|fault| fault.aftermath("The application was not touched, and no snapshot was kept"))?;
    let volumes = subject
        .volumes(&writer, control)
        .and_then(|volumes| pass(company, &together::PREPARED, control).map(|()| volumes))
        .map_err(|fault| fault.aftermath("The application was not touched, and no snapshot was kept"))?;
    let translation = subject.hold_ids().map_err(|fault| fault.aftermath(UNHARMED))?;
    let stopped = Instant::now();
    control.phase(Phase::Stopping, 0, Unit::None);
    let copies = base.map(Base::copies).unwrap_or_default();
    let tree = subject.freeze(company, &copies).map_err(|fault| match fault.code {
        Code::NoTarget => fault.aftermath("No snapshot was kept"),
        _ => fault.aftermath(UNHARMED),
    })?;
    let quiet =
        hold_still(&subject, &tree, &request, control, company).map_err(|fault| fault.aftermath(UNHARMED))?;
    let means = Means { volumes: volumes.as_ref(), lent, lasting };
    let outcome = capture(&subject, &tree, translation, &request, &means, &mut writer, control)
        .and_then(|captured| pass(company, &together::COLLECTED, control).map(|()| captured));
    let Captured { mut chain, copies, mut connections, mut notes } =
        outcome.map_err(|fault| failed_with(fault, &tree))?;
    let (pause, bytes, kept) = if request.stop {
        // The image must be safe on disk before the only other copy of it ends.
        let bytes = finish_volumes(volumes.as_ref(), &mut chain, control)
            .and_then(|()| flush_and_seal(writer, &chain, &request.label, control))
            .and_then(|bytes| pass(company, &together::SAVED, control).map(|()| bytes))
            .map_err(|fault| fault.aftermath(UNHARMED))?;
        connections.silence();
        if let Some(base) = base {
            base.end();
            // It is on another host as soon as it has ended here.
            subject.leave_environments();
        }
        tree.kill()?;
        connections.stay_silent(&mut notes);
        let pause = stopped.elapsed();
        subject.await_end();
        (pause, bytes, Vec::new())
    } else {
        // Our duplicates would keep the application's own close(2) from peers.
        drop(connections);
        drop(quiet);
        drop(tree);
        subject.release_ids();
        let pause = stopped.elapsed();
        let copied = copy_frozen(&copies, &mut chain, &mut writer, control);
        let kept = if lasting { copying::keep(copies, &chain) } else { copying::end(copies) };
        let bytes = copied
            .and_then(|()| finish_volumes(volumes.as_ref(), &mut chain, control))
            .and_then(|()| flush_and_seal(writer, &chain, &request.label, control))
            .and_then(|bytes| pass(company, &together::SAVED, control).map(|()| bytes));
        (pause, bytes.map_err(|fault| fault.aftermath(UNHARMED))?, kept)
    };
    let place = request.place.as_ref().unwrap_or(&request.out);
    volumes.iter().for_each(|volumes| volumes.remember(place));
    Ok((report(request.out, &chain, bytes, pause, start.elapsed(), notes), kept))
}

/// Waits for the others, if there are any. What that time is spent with is shown meanwhile.
fn pass(company: Option<&Seat>, gate: &Gate, control: &Control) -> Result<()> {
    let Some(seat) = company else { return Ok(()) };
    control.phase(Phase::Meeting, 0, Unit::None);
    seat.pass(gate)
}

/// Nothing of an application that is captured with others is read before all of them stand still, and nothing can reach them.
fn hold_still(
    subject: &Subject,
    tree: &FrozenTree,
    request: &Snapshot,
    control: &Control,
    company: Option<&Seat>,
) -> Result<Option<Quiet>> {
    if company.is_none() {
        return Ok(None);
    }
    let quiet = if request.tcp == Tcp::Close { None } else { subject.hush(tree)? };
    pass(company, &together::FROZEN, control)?;
    Ok(quiet)
}

/// Removes what snapshots left in the store whose command was killed. That this fails is no reason to take none.
fn tidy_store(request: &Snapshot) {
    let store = request.home.data.join("snapshots");
    if request.out.parent() == Some(&store) {
        let _ = image::remove_abandoned(&store);
    }
}

/// A failure that came of a process that was killed meanwhile is explained by that.
fn failed_with(fault: Fault, tree: &FrozenTree) -> Fault {
    match tree.ended() {
        // On its way out: its memory is gone already, its entry in /proc is not.
        None if fault.code == Code::NoTarget => fault.because("the process ended meanwhile").aftermath(ENDED),
        None => fault.aftermath(UNHARMED),
        Some(pid) => Fault::new(Code::NoTarget, "Could not finish the snapshot")
            .because(format!("process {pid} ended meanwhile"))
            .aftermath(ENDED),
    }
}

fn report(
    dir: PathBuf,
    chain: &Chain,
    bytes: u64,
    pause: Duration,
    total: Duration,
    notes: Vec<String>,
) -> Report {
    Report {
        dir,
        processes: chain.processes.len(),
        threads: threads(chain),
        bytes,
        pause_us: pause.as_micros() as u64,
        total_us: total.as_micros() as u64,
        notes,
    }
}

/// What a pause has yielded.
struct Captured {
    chain: Chain,
    copies: Copies,
    /// Live connections, which need care when the processes end.
    connections: connection::Collector,
    notes: Vec<String>,
}

/// Collects everything of the frozen tree: state first, so that a refusal comes before pages are copied.
fn capture(
    subject: &Subject,
    tree: &FrozenTree,
    translation: Option<translation::Source>,
    request: &Snapshot,
    means: &Means,
    writer: &mut SnapshotWriter,
    control: &Control,
) -> Result<Captured> {
    control.phase(Phase::Collecting, tree.processes.len() as u64, Unit::Processes);
    if tree.processes.is_empty() {
        return Err(Fault::new(Code::NoTarget, "Could not take a snapshot").because("no process is left"));
    }
    namespaces::check(tree, subject.helper())?;
    let network = subject.network()?;
    let mut collection = subject.collection();
    collection.copy_on_write = subject.allows_copies(request.stop);
    collection.least_copied = if means.lasting { 0 } else { frozen_copy::WORTHWHILE };
    collection.connections.close = request.tcp == Tcp::Close;
    collection.connections.stop = request.stop;
    let ids = translation.as_ref().map(translation::collect).transpose()?;
    collection.translation = translation;
    let mut processes = Vec::with_capacity(tree.processes.len());
    for frozen in &tree.processes {
        processes.push(process::collect(frozen, tree, &mut collection)?);
        control.advance(1);
    }
    system_v::collect(tree, ids.as_ref(), &mut collection.system_v)?;
    if let Subject::Capsule(source) = subject {
        posix_queues::require_none(tree, source.queues.as_ref())?;
        if source.own.shared_memory {
            collection.posix_memory = Some(posix_memory::collect(tree, source.init)?);
        }
    }
    collection.connections.collect(&collection.sockets, &mut collection.notes)?;
    descriptors::finish(tree, &processes, &mut collection)?;
    descriptors::complete(&processes, &mut collection)?;
    let volumes = means.volumes.map_or(Ok(Vec::new()), |volumes| volumes.collect(tree, control))?;
    let host = host::collect(tree.processes[0].pid)?;
    let copies = copy_pages(tree, &mut processes, &mut collection, means.lent, writer, control)?;
    let chain = Chain {
        host,
        capsule: subject.capsule(),
        processes,
        descriptions: collection.registry.descriptions,
        pipes: collection.pipes.pipes,
        connections: collection.connections.connections.clone(),
        terminals: collection.terminals.terminals,
        sessions: collection.terminals.sessions,
        unix_sockets: collection.unix.sockets,
        shared_memory: collection.shared_memory.sources.into_iter().map(|source| source.object).collect(),
        ghosts: collection.ghosts.sources.into_iter().map(|source| source.ghost).collect(),
        system_v: collection.system_v.finish(),
        translation: ids,
        posix_memory: collection.posix_memory.map(posix_memory::Source::finish),
        network,
        locks: collection.locks.finish(tree),
        cgroups: cgroups::collect(tree, &mut collection.notes)?,
        volumes,
    };
    Ok(Captured { chain, copies, connections: collection.connections, notes: collection.notes })
}
