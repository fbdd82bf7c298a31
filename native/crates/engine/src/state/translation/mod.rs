//! Virtual System V ids: the application's table, made anew at every restore over fresh objects.
//!
//! The objects themselves are in `system_v/`, under the ids that they had in the kernel; the rows here say what the
//! application calls them.

mod threads;

pub use threads::{look_up_anew, put_back};

use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::nursery::Nursery;
use crate::program::Program;
use crate::rebuild::Rebuild;
use abi::{Code, Fault, interposition};
use capsule::Interposition;
use ids::{Adjustment, Change, Class, Key, Row, Srid, State, Table, Vrid};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use sys::shared_words::{SharedWords, Waiting};
use sys::system_v::Kind;
use tracee::Stopped;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TranslationV1 {
    pub interposition: Interposition,
    pub rows: Vec<RowV1>,
    /// The id given out last in each class, in the order of [`Class::ALL`].
    pub last: [i32; 3],
    pub adjustments: Vec<AdjustmentV1>,
    /// See [`Table::generation`].
    #[serde(default)]
    pub generation: u32,
}

/// What the application calls an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RowV1 {
    /// Position in [`Class::ALL`].
    pub class: u32,
    pub virtual_id: i32,
    /// As in the section on System V objects.
    pub id: i32,
    pub key: i32,
    /// Removed, and attached still.
    pub removed: bool,
}

/// What the kernel is to add to a semaphore when a process ends (`SEM_UNDO`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdjustmentV1 {
    pub process: OriginalPid,
    /// The set's virtual id.
    pub set: i32,
    pub number: u16,
    pub value: i16,
}

impl RowV1 {
    pub fn class(&self) -> Option<Class> {
        Class::ALL.get(self.class as usize).copied()
    }

    pub fn kind(&self) -> Option<Kind> {
        self.class().map(Kind::from)
    }
}

impl TranslationV1 {
    /// Objects that the table names: as the kernel knows them.
    pub fn objects(&self) -> HashSet<(Kind, i32)> {
        self.rows.iter().filter_map(|row| Some((row.kind()?, row.id))).collect()
    }

    pub fn names(&self, kind: Kind, id: i32) -> bool {
        self.row(kind, id.into()).is_some()
    }

    /// The row of an object that has this id in the section on System V objects.
    pub fn row(&self, kind: Kind, id: i64) -> Option<&RowV1> {
        self.rows.iter().find(|row| i64::from(row.id) == id && row.kind() == Some(kind))
    }

    /// The saved id of an object, by what the application calls it.
    pub fn id_of(&self, kind: Kind, virtual_id: i32) -> Option<i32> {
        self.rows
            .iter()
            .find(|row| row.virtual_id == virtual_id && row.kind() == Some(kind))
            .map(|row| row.id)
    }
}

/// The table of a running application, and where its processes have it from.
pub struct Source {
    pub interposition: Interposition,
    pub table: File,
    device: u64,
    inode: u64,
}

impl Source {
    pub fn new(interposition: Interposition, table: OwnedFd) -> Result<Self> {
        let table = File::from(table);
        let meta = table.metadata().explain(|| "Could not examine the table of virtual ids".to_owned())?;
        Ok(Self { interposition, device: meta.dev(), inode: meta.ino(), table })
    }

    /// Is a file the table?
    pub fn is_table(&self, device: u64, inode: u64) -> bool {
        self.device == device && self.inode == inode
    }

    /// Is a file one of those that the capsule has for itself?
    pub fn is_own(&self, device: u64) -> bool {
        self.device == device
    }
}

/// Takes the rows. Nobody makes or removes ids meanwhile: the helper holds the table.
pub fn collect(source: &Source) -> Result<TranslationV1> {
    let what = || "Could not read the table of virtual ids".to_owned();
    let words = SharedWords::of_file(&source.table, ids::WORDS).explain(what)?;
    let table = Table::open(&words).map_err(|why| Fault::new(Code::Other, what()).because(why))?;
    if table.ledger().has_lost() {
        return Err(Fault::new(Code::Refused, "Could not capture the semaphores of the application")
            .because("it has more SEM_UNDO adjustments than its table of virtual ids can note")
            .hint(
                "Start it with --ids namespace, or take the snapshot when fewer processes hold semaphores",
            ));
    }
    let rows = Class::ALL.into_iter().flat_map(|class| table.rows(class));
    let rows = rows.filter(|row| row.state.is_translatable()).map(|row| RowV1 {
        class: row.class as u32,
        virtual_id: row.vrid.0,
        id: row.srid.0,
        key: row.key.0,
        removed: row.state == State::Removed,
    });
    let adjustments = table.ledger().iter().map(|adjustment| AdjustmentV1 {
        process: OriginalPid(adjustment.pid as i32),
        set: adjustment.set.0,
        number: adjustment.number,
        value: adjustment.value,
    });
    Ok(TranslationV1 {
        interposition: source.interposition,
        rows: rows.collect(),
        last: Class::ALL.map(|class| table.last(class).0),
        adjustments: adjustments.collect(),
        generation: table.generation(),
    })
}

/// Fills the new capsule's table, once the objects exist.
pub fn apply(saved: &TranslationV1, table: &File, rebuild: &Rebuild) -> Result<()> {
    let what = || "Could not make the table of virtual ids anew".to_owned();
    let words = SharedWords::of_file(table, ids::WORDS).explain(what)?;
    let table = Table::open(&words).map_err(|why| Fault::new(Code::RestoreFailed, what()).because(why))?;
    // Nobody can have begun anything in a new table.
    table.set_generation(if rebuild.is_clone { new_generation(saved.generation)? } else { saved.generation });
    let guard = table.lock(&Waiting, ids::HELPER, |_| ids::Verdict::Gone);
    for row in &saved.rows {
        let (Some(class), Some(kind)) = (row.class(), row.kind()) else { continue };
        // One that somebody removed from outside has no object.
        let Some((id, key)) = rebuild.system_v.translated(kind, row.id) else { continue };
        let placed = guard.place(&Row {
            class,
            vrid: Vrid(row.virtual_id),
            srid: Srid(id),
            key: Key(row.key),
            system_key: Key(key),
            state: if row.removed { State::Removed } else { State::Live },
        });
        if !placed {
            return Err(Fault::new(Code::RestoreFailed, what())
                .because(format!("the id {} cannot be given out twice", row.virtual_id)));
        }
    }
    for (class, last) in Class::ALL.into_iter().zip(saved.last) {
        guard.set_last(class, Vrid(last));
    }
    for adjustment in live_adjustments(saved, rebuild) {
        let Adjustment { pid, set, number, value } = adjustment;
        let full = |why| Fault::new(Code::RestoreFailed, what()).because(why);
        table.ledger().add(pid, set, number, value.into()).map_err(full)?;
    }
    Ok(())
}

/// A number that neither siblings nor forebears have had: programs seed their generators anew when they see another one.
fn new_generation(before: u32) -> Result<u32> {
    let mut bytes = [0; 4];
    let what = || "Could not draw a random number".to_owned();
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).explain(what)?;
    let drawn = u32::from_ne_bytes(bytes);
    Ok(if drawn == 0 || drawn == before { before.wrapping_add(1).max(1) } else { drawn })
}

/// What processes that live have to take back; the kernel has done it for those that ended.
fn live_adjustments(saved: &TranslationV1, rebuild: &Rebuild) -> Vec<Adjustment> {
    let lives = |adjustment: &&AdjustmentV1| rebuild.current(adjustment.process).is_some();
    let noted = |adjustment: &AdjustmentV1| Adjustment {
        pid: adjustment.process.0 as u32,
        set: Vrid(adjustment.set),
        number: adjustment.number,
        value: adjustment.value,
    };
    saved.adjustments.iter().filter(lives).map(noted).collect()
}

/// Has every process operate such that the kernel holds the same adjustments for it, and all values are as before.
pub fn settle(saved: &TranslationV1, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    const SEM_UNDO: i16 = 0x1000;
    let bench = nursery.hole.bench();
    for adjustment in live_adjustments(saved, rebuild) {
        let set = saved.id_of(Kind::Set, adjustment.set.0);
        let set = set.and_then(|id| rebuild.system_v.translated(Kind::Set, id));
        let (Some((set, _)), Some(pid)) = (set, rebuild.current(OriginalPid(adjustment.pid as i32))) else {
            continue;
        };
        let process = Stopped::assume(pid);
        let mut program = Program::new(&bench);
        let mut operate = |change: i32, flags: i16| {
            let change = change as i16;
            let operation =
                [adjustment.number.to_le_bytes(), change.to_le_bytes(), flags.to_le_bytes()].concat();
            let at = program.data(&operation);
            program.call("semop", libc::SYS_semop, &[set as u64, at, 1]);
        };
        let owed = i32::from(adjustment.value);
        // The operation that is to be undone has the other sign; its effect is taken back first or last, so that no
        // value is below 0 in between.
        if owed > 0 {
            operate(owed, 0);
            operate(-owed, SEM_UNDO);
        } else {
            operate(-owed, SEM_UNDO);
            operate(owed, 0);
        }
        program.run(&process)?;
    }
    Ok(())
}

/// The filter that sends calls to the helper, as the kernel shows it.
pub fn own_filter() -> Vec<u8> {
    interposition::bytes(&interposition::filter(ids::CORE..ids::CORE + ids::CORE_BYTES))
}

/// Installs the filter in a process, and has the helper listen. Before the process's threads and its own filters.
pub fn interpose(leader: &Stopped, nursery: &mut Nursery) -> Result<()> {
    const SECCOMP_SET_MODE_FILTER: u64 = 1;
    let what = || format!("Could not see the system calls of process {}", leader.tid());
    let bench = nursery.hole.bench();
    let mut program = Program::new(&bench);
    let filter = own_filter();
    let instructions = program.data(&filter);
    let head = program.data(&[(filter.len() as u64 / 8).to_le_bytes(), instructions.to_le_bytes()].concat());
    let flags = sys::seccomp::NEW_LISTENER | sys::seccomp::WAIT_KILLABLE_RECV;
    let at = program.call("seccomp", libc::SYS_seccomp, &[SECCOMP_SET_MODE_FILTER, flags, head]);
    let fd = program.run(leader)?[at];
    let handle = sys::process::pidfd_open(leader.tid()).explain(what)?;
    let listener = sys::process::pidfd_getfd(&handle, fd as i32).explain(what)?;
    nursery.listen(&listener)?;
    program.call("close", libc::SYS_close, &[fd as u64]);
    program.run(leader).map(drop)
}
