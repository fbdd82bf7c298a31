//! Images are hostile input: what a snapshot says is held against itself and against what a process can be, before
//! anything is made of it. Checksums only tell that nothing changed by accident.

mod memory;
mod posix_memory;
mod process;
mod resources;
mod volumes;

use crate::chain::Chain;
use crate::explain::Result;
use crate::ids::DescriptionId;
use crate::state::shared_memory::SharedMemoryId;
use crate::state::volumes::VolumeV1;
use abi::{Code, Fault};
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::hash::Hash;
use std::ops::Range;

/// First address that user space cannot have, with four levels of page tables.
const TASK_SIZE: u64 = 0x7fff_ffff_f000;
const PAGE: u64 = 4096;
/// PID_MAX_LIMIT of the kernel.
const MOST_PIDS: i32 = 4 << 20;
/// Bytes of a path, its end included (PATH_MAX).
const PATH_LIMIT: usize = 4096;

/// Where page data lies in the packs of a snapshot: the extent of the pack of a number, if there is one.
pub type Extents<'a> = dyn Fn(u32) -> Option<Range<u64>> + 'a;

/// Checks everything that a restore will rely on.
///
/// # Errors
/// [`Code::ImageDamaged`] with the field that cannot be right.
pub fn validate(chain: &Chain, extents: &Extents) -> Result<()> {
    let known = Known {
        vdso: chain.host.vdso.sizes.iter().map(|(name, size)| (name.as_str(), *size)).collect(),
        descriptions: chain.descriptions.iter().map(|description| description.id).collect(),
        shared_memory: chain.shared_memory.iter().map(|object| object.id).collect(),
        ghosts: chain.ghosts.iter().map(|ghost| ghost.id).collect(),
        extents,
    };
    resources::check(chain, &known)?;
    process::check_tree(chain)?;
    for (index, process) in chain.processes.iter().enumerate() {
        process::check(process, &known).map_err(|wrong| wrong.of(format!("processes[{index}]")))?;
    }
    Ok(())
}

/// The same for volumes of which nothing else is wanted.
pub fn validate_volumes(captured: &[VolumeV1]) -> Result<()> {
    Ok(volumes::check(captured)?)
}

/// What may be referred to.
struct Known<'a> {
    vdso: HashMap<&'a str, u64>,
    descriptions: HashSet<DescriptionId>,
    shared_memory: HashSet<SharedMemoryId>,
    ghosts: HashSet<u32>,
    extents: &'a Extents<'a>,
}

/// A field that cannot be right, and why.
#[derive(Debug)]
struct Wrong {
    field: String,
    why: String,
}

type Check<T = ()> = std::result::Result<T, Wrong>;

impl Wrong {
    fn new(field: impl Display, why: impl Display) -> Self {
        Self { field: field.to_string(), why: why.to_string() }
    }

    /// Puts the name of what the field belongs to before it.
    fn of(self, owner: impl Display) -> Self {
        Self { field: format!("{owner}.{}", self.field), why: self.why }
    }
}

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Self {
        Fault::new(Code::ImageDamaged, "Could not use the snapshot")
            .because(format!("{}: {}", wrong.field, wrong.why))
    }
}

fn ensure(condition: bool, field: impl Display, why: impl Display) -> Check {
    if condition { Ok(()) } else { Err(Wrong::new(field, why)) }
}

fn unique<T: Eq + Hash + Copy + Display>(ids: impl Iterator<Item = T>, field: &str) -> Check {
    let mut seen = HashSet::new();
    for id in ids {
        ensure(seen.insert(id), field, format!("{id} is there twice"))?;
    }
    Ok(())
}

/// A path that the kernel would take.
fn check_path(path: &[u8], field: impl Display) -> Check {
    let good = !path.is_empty() && path.len() < PATH_LIMIT && !path.contains(&0);
    ensure(good, field, "it is no path")
}

fn check_signal(signal: i32, field: impl Display) -> Check {
    ensure((0..=64).contains(&signal), field, format!("there is no signal {signal}"))
}

#[cfg(test)]
mod tests;
