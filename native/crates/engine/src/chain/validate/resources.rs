//! What belongs to the chain as a whole: descriptions, pipes, shared memory, deleted files, the vDSO, the capsule.

use super::memory::check_runs;
use super::{Check, Known, MOST_PIDS, PAGE, TASK_SIZE, check_path, ensure, unique};
use crate::chain::Chain;
use crate::state::descriptors::{KindV1, pipe::PipeV1};
use crate::state::filesystem::FileRefV1;
use crate::state::ghosts::GhostV1;
use crate::state::network::loopback::AddressV1;
use crate::state::shared_memory::SharedMemoryV1;
use std::collections::HashSet;

/// Room that the vDSO's mappings have while a process is built.
const PARK: u64 = 1 << 20;
/// Beyond what a pipe can hold (/proc/sys/fs/pipe-max-size is an int).
const LARGEST_PIPE: u32 = 1 << 31;
/// Longest name of a memory file (memfd_create(2)).
const LONGEST_NAME: usize = 249;

pub fn check(chain: &Chain, known: &Known) -> Check {
    check_vdso(chain)?;
    unique(chain.descriptions.iter().map(|description| description.id.0), "descriptions.id")?;
    unique(chain.pipes.iter().map(|pipe| pipe.id), "pipes.id")?;
    unique(chain.shared_memory.iter().map(|object| object.id.0), "shared_memory.id")?;
    unique(chain.ghosts.iter().map(|ghost| ghost.id), "ghosts.id")?;
    check_descriptions(chain, known)?;
    for (index, pipe) in chain.pipes.iter().enumerate() {
        check_pipe(pipe, known).map_err(|wrong| wrong.of(format!("pipes[{index}]")))?;
    }
    for (index, object) in chain.shared_memory.iter().enumerate() {
        check_object(object, known).map_err(|wrong| wrong.of(format!("shared_memory[{index}]")))?;
    }
    for (index, ghost) in chain.ghosts.iter().enumerate() {
        check_ghost(ghost, known).map_err(|wrong| wrong.of(format!("ghosts[{index}]")))?;
    }
    unique(chain.system_v.segments.iter().map(|segment| segment.id), "system_v.segments.id")?;
    for (index, segment) in chain.system_v.segments.iter().enumerate() {
        let of = |wrong: super::Wrong| wrong.of(format!("system_v.segments[{index}]"));
        ensure(segment.size <= TASK_SIZE, "size", "no segment is that large").map_err(of)?;
        ensure(is_page_size(segment.huge), "huge", "there are no such pages").map_err(of)?;
        check_runs(&segment.pages, segment.size, known).map_err(of)?;
    }
    if let Some(folder) = &chain.posix_memory {
        ensure(chain.capsule.is_some(), "posix_memory", "only a capsule has it")?;
        super::posix_memory::check(folder, known)?;
    }
    if let Some(network) = &chain.network {
        ensure(chain.capsule.is_some(), "network", "only a capsule has it")?;
        let sound = network.loopback.addresses.iter().all(AddressV1::is_sound);
        ensure(sound, "network.loopback", "it has an address that cannot be one")?;
    }
    ensure(chain.volumes.is_empty() || chain.capsule.is_some(), "volumes", "only a capsule has them")?;
    super::volumes::check(&chain.volumes)?;
    let Some(capsule) = &chain.capsule else { return Ok(()) };
    let is_there = |pid| chain.processes.iter().any(|process| process.pid == pid);
    ensure(capsule.root.is_none_or(is_there), "capsule.root", "it is none of the processes")?;
    ensure(capsule.hostname.len() <= 64, "capsule.hostname", "it is longer than 64 bytes")
}

fn check_vdso(chain: &Chain) -> Check {
    let sizes = &chain.host.vdso.sizes;
    let names = ["[vvar]", "[vvar_vclock]", "[vdso]"];
    for (name, size) in sizes {
        ensure(names.contains(&name.as_str()), "host.vdso", "it has a mapping that no kernel has")?;
        ensure(size % PAGE == 0 && *size <= PARK, "host.vdso", format!("{name} has {size} bytes"))?;
    }
    unique(sizes.iter().map(|(name, _)| name.as_str()), "host.vdso")?;
    let sum: u64 = sizes.iter().map(|(_, size)| size).sum();
    ensure(sum <= PARK, "host.vdso", "it is too large")
}

fn check_descriptions(chain: &Chain, known: &Known) -> Check {
    let pipes: HashSet<u32> = chain.pipes.iter().map(|pipe| pipe.id).collect();
    for (index, description) in chain.descriptions.iter().enumerate() {
        let of = |wrong: super::Wrong| wrong.of(format!("descriptions[{index}]"));
        ensure(description.position <= i64::MAX as u64, "position", "it is negative").map_err(of)?;
        match &description.kind {
            KindV1::Pipe(end) => ensure(pipes.contains(&end.pipe), "pipe", "there is no such pipe"),
            KindV1::Regular(regular) => check_file(&regular.file, known),
            _ => Ok(()),
        }
        .map_err(of)?;
        if let Some(owner) = &description.owner {
            let pid = owner.pid.checked_abs().is_some_and(|pid| pid <= MOST_PIDS);
            ensure(pid && (0..=2).contains(&owner.kind), "owner", "there can be none such").map_err(of)?;
            super::check_signal(owner.signal, "owner.signal").map_err(of)?;
        }
    }
    Ok(())
}

pub fn check_file(file: &FileRefV1, known: &Known) -> Check {
    check_path(&file.path, "path")?;
    ensure(file.ghost.is_none_or(|ghost| known.ghosts.contains(&ghost)), "ghost", "there is none such")
}

fn check_pipe(pipe: &PipeV1, known: &Known) -> Check {
    ensure(pipe.capacity <= LARGEST_PIPE, "capacity", "no pipe is that large")?;
    ensure(pipe.queued.len() as u64 <= pipe.capacity.into(), "queued", "it is more than the pipe holds")?;
    let packets: u64 = pipe.packets.iter().map(|&length| u64::from(length)).sum();
    ensure(packets <= pipe.queued.len() as u64, "packets", "they are more than what is queued")?;
    pipe.fifo.as_ref().map_or(Ok(()), |file| check_file(file, known))
}

fn check_object(object: &SharedMemoryV1, known: &Known) -> Check {
    ensure(object.size <= TASK_SIZE, "size", "no memory is that large")?;
    ensure(is_page_size(object.huge), "huge", "there are no such pages")?;
    let named = object.name.as_ref();
    let good = named.is_none_or(|name| name.len() <= LONGEST_NAME && !name.contains(&0));
    ensure(good, "name", "no memory file can have it")?;
    check_runs(&object.pages, object.size, known)
}

/// 0 stands for ordinary pages.
fn is_page_size(huge: u64) -> bool {
    huge == 0 || (huge.is_power_of_two() && huge >= PAGE)
}

fn check_ghost(ghost: &GhostV1, known: &Known) -> Check {
    check_path(&ghost.path, "path")?;
    ensure(ghost.size <= i64::MAX as u64, "size", "no file is that large")?;
    check_runs(&ghost.pages, ghost.size, known)
}
