//! Semaphore sets (semget(2)). What SEM_UNDO would take back at a process's end cannot be read (docs/limits.md).

use super::reach::Reach;
use super::status::{self, PermissionsV1, Wanted};
use super::{Claim, Members, actor};
use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::inquiry::word;
use crate::nursery::Nursery;
use crate::program::Program;
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use sys::system_v::Kind;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SemaphoreSetV1 {
    pub id: i32,
    pub permissions: PermissionsV1,
    /// Some semop(2) was made: programs take this for a sign that the set is initialised (semget(2)).
    pub operated: bool,
    pub semaphores: Vec<SemaphoreV1>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SemaphoreV1 {
    pub value: u16,
    pub touched: bool,
    /// Who operated on it last, when that is of the chain.
    pub last: Option<OriginalPid>,
}

pub fn collect(reach: &mut Reach, members: &Members, claim: &Claim) -> Result<Vec<SemaphoreSetV1>> {
    let mut sets = Vec::new();
    for id in reach.listed("sem")? {
        match collect_one(reach, id, members) {
            Err(_) if !claim.is_all() => {}
            set => sets.extend(set?.filter(|set| claim.takes(Kind::Set, id, is_ours(set)))),
        }
    }
    Ok(sets)
}

fn is_ours(set: &SemaphoreSetV1) -> bool {
    set.semaphores.iter().any(|semaphore| semaphore.last.is_some())
}

fn collect_one(reach: &mut Reach, id: i32, members: &Members) -> Result<Option<SemaphoreSetV1>> {
    let what = || format!("Could not examine semaphore set {id}");
    let status = reach.status(Kind::Set, id)?.explain(what)?;
    let values = reach.semaphore_values(id, word(&status, 80) as usize)?.explain(what)?;
    let mut semaphores = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let pid = reach.semaphore_pid(id, index)?.explain(what)?;
        semaphores.push(SemaphoreV1 { value, touched: pid != 0, last: members.original(pid) });
    }
    let operated = word(&status, 48) != 0;
    Ok(Some(SemaphoreSetV1 { id, permissions: PermissionsV1::parse(&status), operated, semaphores }))
}

pub fn apply(saved: &SemaphoreSetV1, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    let wanted = Wanted {
        kind: Kind::Set,
        id: saved.id,
        permissions: &saved.permissions,
        size: saved.semaphores.len() as u64,
        flags: 0,
    };
    let existed = wanted.make(&actor(None, rebuild), &bench, rebuild)?;
    set_values(saved, existed, nursery, rebuild)
}

/// Sets every value in the process that operated on it last. One that nobody ever touched is left alone.
fn set_values(saved: &SemaphoreSetV1, all: bool, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    const SETVAL: u64 = 16;
    let mut by_actor: BTreeMap<Option<OriginalPid>, Vec<(u64, u64)>> = BTreeMap::new();
    for (index, semaphore) in saved.semaphores.iter().enumerate() {
        if all || semaphore.touched || semaphore.value != 0 {
            by_actor.entry(semaphore.last).or_default().push((index as u64, semaphore.value.into()));
        }
    }
    let bench = nursery.hole.bench();
    let id = rebuild.system_v.current(Kind::Set, saved.id);
    for (last, values) in by_actor {
        let mut program = Program::new(&bench);
        for (index, value) in values {
            program.call("semctl", libc::SYS_semctl, &[id as u64, index, SETVAL, value]);
        }
        program.run(&actor(last, rebuild))?;
    }
    Ok(())
}

pub fn settle(saved: &SemaphoreSetV1, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    let mut program = Program::new(&bench);
    let id = rebuild.system_v.current(Kind::Set, saved.id);
    let touched = saved.semaphores.iter().position(|semaphore| semaphore.touched);
    if saved.operated
        && let Some(number) = touched
    {
        let first = &saved.semaphores[number];
        // Up and down in one operation: nothing changes but sem_otime.
        let (up, down) = if first.value > 0 { (-1i16, 1i16) } else { (1, -1) };
        let operation =
            |change: i16| [(number as u16).to_le_bytes(), change.to_le_bytes(), 0u16.to_le_bytes()].concat();
        let at = program.data(&[operation(up), operation(down)].concat());
        program.call("semop", libc::SYS_semop, &[id as u64, at, 2]);
        program.run(&actor(first.last, rebuild))?;
    }
    status::set(Kind::Set, id, &saved.permissions, &actor(None, rebuild), &mut program, |_| {})
}
