//! Copying the pages of memory into the image: those that must be read while the application stands still, then the rest.

use crate::chain::Chain;
use crate::collection::Collection;
use crate::explain::Result;
use crate::freeze::FrozenTree;
use crate::state::base::{Base, Kept};
use crate::state::frozen_copy::{self, FrozenCopy};
use crate::state::pages::{self, PageSource, StoppedProcess};
use crate::state::posix_memory;
use crate::state::process::{BodyV1, ProcessV1};
use abi::{Control, Phase, Unit};
use image::SnapshotWriter;

/// What is copied when the application runs again: page sources, and whose pages they hold.
pub type Copies = Vec<(FrozenCopy, usize)>;

/// Copies all pages that must be read while the application stands still, and are not in an earlier snapshot, whose pack has that
/// number here; the rest is returned.
pub fn copy_pages(
    tree: &FrozenTree,
    processes: &mut [ProcessV1],
    collection: &mut Collection,
    lent: Option<(&Base, u32)>,
    writer: &mut SnapshotWriter,
    control: &Control,
) -> Result<Copies> {
    let mut jobs = Vec::new();
    let mut copies = Copies::new();
    for (index, (frozen, process)) in tree.processes.iter().zip(processes).enumerate() {
        let BodyV1::Live(live) = &mut process.body else { continue };
        let source = StoppedProcess::open(frozen.pid)?;
        let copy = collection.copies.remove(&frozen.pid);
        let mut plan =
            pages::plan(&source, &live.memory.mappings, |map| copy.is_none() || !frozen_copy::carries(map))?;
        if let Some((kept, pack)) = lent.and_then(|(base, pack)| Some((base.of(frozen.pid)?, pack))) {
            live.memory.pages = plan.leave_out(|ranges| kept.unchanged(&source, ranges, pack))?;
        }
        jobs.push((source, plan, live));
        copies.extend(copy.map(|copy| (copy, index)));
    }
    let memory: u64 = collection.shared_memory.sources.iter().map(|source| source.object.size).sum();
    let objects = memory + collection.posix_memory.as_ref().map_or(0, posix_memory::Source::bytes);
    let planned = jobs.iter().map(|job| job.1.bytes).sum::<u64>();
    control.phase(Phase::WritingMemory, planned + objects, Unit::Bytes);
    let pack = writer.pack();
    for (source, plan, live) in jobs {
        live.memory.pages.extend(pages::collect(&source as &dyn PageSource, &plan, pack, control)?);
        live.memory.pages.sort_by_key(|run| run.start);
        live.memory.guards = plan.guards;
    }
    pages::collect_objects(
        &mut collection.shared_memory.sources,
        &mut collection.ghosts.sources,
        &mut collection.system_v.segments.sources,
        collection.posix_memory.as_mut(),
        pack,
        control,
    )?;
    Ok(copies)
}

/// Copies the pages that frozen copies hold. The application may run.
pub fn copy_frozen(
    copies: &Copies,
    chain: &mut Chain,
    writer: &mut SnapshotWriter,
    control: &Control,
) -> Result<()> {
    for (copy, index) in copies {
        let BodyV1::Live(live) = &mut chain.processes[*index].body else { continue };
        let plan = pages::plan(copy, &live.memory.mappings, frozen_copy::carries)?;
        control.phase(Phase::WritingMemory, plan.bytes, Unit::Bytes);
        live.memory.pages.extend(pages::collect(copy, &plan, writer.pack(), control)?);
        live.memory.pages.sort_by_key(|run| run.start);
        live.memory.guards.extend(plan.guards);
        live.memory.guards.sort_by_key(|guard| guard.start);
    }
    Ok(())
}

/// Nothing is kept: what the application writes costs it a fault for as long as there are copies.
pub fn end(copies: Copies) -> Vec<Kept> {
    drop(copies);
    Vec::new()
}

/// Keeps the copies, with where their pages are now.
pub fn keep(copies: Copies, chain: &Chain) -> Vec<Kept> {
    let pages = |index: usize| match &chain.processes[index].body {
        BodyV1::Live(live) => live.memory.pages.clone(),
        BodyV1::Zombie { .. } => Vec::new(),
    };
    copies.into_iter().map(|(copy, index)| Kept { copy, runs: pages(index) }).collect()
}
