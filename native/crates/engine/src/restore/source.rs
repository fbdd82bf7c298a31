//! What an image says, read and checked before any process exists.

use super::lives;
use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::housing;
use crate::incumbent::{self, UNHARMED};
use crate::residence;
use crate::state::{host, processor, volumes};
use crate::stub::Hole;
use abi::request::Restore;
use abi::{Code, Control, Fault, Phase, Unit};
use image::SnapshotReader;
use std::path::Path;
use std::sync::Arc;

/// A snapshot that was read and found sound.
#[derive(Clone)]
pub struct Source {
    pub reader: Arc<SnapshotReader>,
    pub chain: Arc<Chain>,
    /// About where it comes back.
    pub notes: Vec<String>,
}

/// Reads and checks the whole image before any process exists.
pub fn check(request: &Restore, control: &Control) -> Result<Source> {
    let replaces = request.replace.is_some();
    let checked = || {
        let what = || format!("Could not read the snapshot {}", request.dir.display());
        let (reader, mut chain) = read(&request.dir)?;
        request.replace.iter().try_for_each(|replace| incumbent::require_same(replace, &chain))?;
        // One in memory was checked when it was loaded.
        let in_memory =
            || ::capsule::resident::holding(&request.home, &residence::identity(&reader)).is_some();
        if !request.checked && !in_memory() {
            check_pages(&reader, request.others_checked, control).explain(what)?;
            volumes::check_for(request, &chain, control)?;
        }
        volumes::check_for(request, &chain, control)?;
        if control.cancelled() {
            return Err(Fault::new(Code::Interrupted, what()).because("it was interrupted"));
        }
        require_host(&chain).map_err(|fault| fault.because(what()))?;
        let notes = housing::assign(&mut chain, request);
        Ok(Source { reader: Arc::new(reader), chain: Arc::new(chain), notes })
    };
    let aftermath = if replaces { UNHARMED } else { "No process was created" };
    checked().map_err(|fault: Fault| fault.aftermath(aftermath))
}

/// Reads everything but page data.
pub fn read(dir: &Path) -> Result<(SnapshotReader, Chain)> {
    let what = || format!("Could not read the snapshot {}", dir.display());
    let mut reader = SnapshotReader::open(dir, None).explain(what)?;
    let chain = Chain::read(&mut reader)?;
    for known in ["label", "summary"] {
        reader.section(known).explain(what)?;
    }
    reader.finish().explain(what)?;
    Ok((reader, chain))
}

fn require_host(chain: &Chain) -> Result<()> {
    require_processor(chain)?;
    let own = host::own_vdso()?;
    if own != chain.host.vdso {
        return Err(Fault::new(Code::HostLacks, "Could not restore the snapshot on this host")
            .because(format!(
                "it was taken on kernel {}, whose vDSO differs from this kernel's",
                chain.host.release
            ))
            .hint("Restore it on a host that runs the same kernel build"));
    }
    Ok(())
}

fn check_pages(reader: &SnapshotReader, only_own: bool, control: &Control) -> image::Result<()> {
    control.phase(Phase::Checking, 0, Unit::Bytes);
    let mut before = 0;
    let mut progress = |done, _| {
        control.advance(done - before);
        before = done;
        !control.cancelled()
    };
    if only_own { reader.verify_own_pack(&mut progress) } else { reader.verify_packs(&mut progress) }
}

fn require_processor(chain: &Chain) -> Result<()> {
    let threads = lives(chain).flat_map(|live| &live.threads);
    processor::require(&chain.host.processor, &mut threads.map(|thread| thread.xstate.as_slice()))
}

pub fn find_hole(chain: &Chain) -> Result<Hole> {
    let occupied: Vec<(u64, u64)> =
        lives(chain).flat_map(|live| live.memory.mappings.iter().map(|map| (map.start, map.end))).collect();
    Hole::find(&occupied)
        .ok_or(sys::Errno(libc::ENOMEM))
        .explain(|| "Could not find room to restore from".to_owned())
}
