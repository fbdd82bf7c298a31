//! What all System V objects have in common: key, owner, permissions; and how one gets a certain id.

use super::Made;
use crate::explain::{Explain, Result};
use crate::inquiry::{half, word};
use crate::program::Program;
use crate::rebuild::Rebuild;
use abi::{Code, Fault};
use serde::{Deserialize, Serialize};
use sys::system_v::Kind;
use tracee::{Bench, Stopped};

/// `struct ipc64_perm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionsV1 {
    pub key: i32,
    pub uid: u32,
    pub gid: u32,
    pub cuid: u32,
    pub cgid: u32,
    pub mode: u32,
}

impl PermissionsV1 {
    /// From the beginning of a status structure.
    pub fn parse(status: &[u8]) -> Self {
        Self {
            key: half(status, 0) as i32,
            uid: half(status, 4),
            gid: half(status, 8),
            cuid: half(status, 12),
            cgid: half(status, 16),
            mode: half(status, 20),
        }
    }

    /// Writes owner and mode into a status structure, for `IPC_SET`.
    fn write(&self, status: &mut [u8]) {
        status[4..8].copy_from_slice(&self.uid.to_le_bytes());
        status[8..12].copy_from_slice(&self.gid.to_le_bytes());
        status[20..24].copy_from_slice(&(self.mode & 0o777).to_le_bytes());
    }
}

/// A signed half word, such as a pid.
pub fn signed(status: &[u8], at: usize) -> i32 {
    half(status, at) as i32
}

/// Bytes of a segment, semaphores of a set; 0 for a queue, which has no fixed size.
fn size(kind: Kind, status: &[u8]) -> u64 {
    match kind {
        Kind::Segment => word(status, 48),
        Kind::Set => word(status, 80),
        Kind::Queue => 0,
    }
}

fn name(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Segment => ("shared memory segment", "shm"),
        Kind::Set => ("semaphore set", "sem"),
        Kind::Queue => ("message queue", "msg"),
    }
}

/// An object as it is to be made.
pub struct Wanted<'a> {
    pub kind: Kind,
    pub id: i32,
    pub permissions: &'a PermissionsV1,
    /// As [`size`] counts.
    pub size: u64,
    /// Besides IPC_CREAT, IPC_EXCL and permissions.
    pub flags: i32,
}

impl Wanted<'_> {
    fn fault(&self) -> Fault {
        let (kind, _) = name(self.kind);
        Fault::new(Code::RestoreFailed, format!("Could not restore {kind} {}", self.id))
    }

    /// Makes the object under its id, in the process `actor`. True when it was there already.
    pub fn make(&self, actor: &Stopped, bench: &Bench, rebuild: &mut Rebuild) -> Result<bool> {
        let mut program = Program::new(bench);
        let translation = rebuild.image.translation.as_ref();
        if translation.is_some_and(|translation| translation.names(self.kind, self.id)) {
            return self.make_anew(actor, &mut program, rebuild).map(|()| false);
        }
        if self.exists(actor, &mut program)? {
            return Ok(true);
        }
        self.choose_id(actor, &mut program)?;
        let id = self.get(self.permissions.key, actor, &mut program)?.map_err(|errno| match errno {
            sys::Errno::EEXIST => self
                .fault()
                .because(format!("another one with key {:#x} exists", self.permissions.key))
                .hint("Remove that one (ipcrm), or restore into an IPC namespace of its own"),
            errno => self.fault().because(errno),
        })?;
        remember(&mut rebuild.system_v, actor, self.kind, id);
        if id == self.id {
            return Ok(false);
        }
        Err(self.fault().because(format!("the kernel gave it the id {id}")))
    }

    /// Makes an object whose id is translated: any id will do, and a key that nobody has.
    fn make_anew(&self, actor: &Stopped, program: &mut Program, rebuild: &mut Rebuild) -> Result<()> {
        const ATTEMPTS: usize = 64;
        for _ in 0..ATTEMPTS {
            let key = random_key()?;
            match self.get(key, actor, program)? {
                Ok(id) => {
                    remember(&mut rebuild.system_v, actor, self.kind, id);
                    rebuild.system_v.translated.insert((self.kind, self.id), (id, key));
                    return Ok(());
                }
                Err(sys::Errno::EEXIST) => {}
                Err(errno) => return Err(self.fault().because(errno)),
            }
        }
        Err(self.fault().because("no free key was found"))
    }

    /// Asks the kernel for a new object. Returns its id.
    fn get(&self, key: i32, actor: &Stopped, program: &mut Program) -> Result<sys::Result<i32>> {
        let flags = (libc::IPC_CREAT | libc::IPC_EXCL | 0o600 | self.flags) as u64;
        let key = key as u64;
        match self.kind {
            Kind::Segment => program.attempt("shmget", libc::SYS_shmget, &[key, self.size, flags]),
            Kind::Set => program.attempt("semget", libc::SYS_semget, &[key, self.size, flags]),
            Kind::Queue => program.attempt("msgget", libc::SYS_msgget, &[key, flags]),
        };
        Ok(sys::Errno::from_raw(program.run(actor)?[0]).map(|id| id as i32))
    }

    fn exists(&self, actor: &Stopped, program: &mut Program) -> Result<bool> {
        let Some(status) = status(self.kind, self.id, actor, program)? else { return Ok(false) };
        let there = PermissionsV1::parse(&status);
        // One that was removed but is attached still has lost its key.
        if there.key != self.permissions.key || size(self.kind, &status) != self.size {
            return Err(self
                .fault()
                .because("one with this id but of another key or size exists")
                .hint("Remove that one (ipcrm), or restore into an IPC namespace of its own"));
        }
        Ok(true)
    }

    /// Tells the kernel which id the next object gets (/proc/sys/kernel/shm_next_id and its like).
    fn choose_id(&self, actor: &Stopped, program: &mut Program) -> Result<()> {
        let path = format!("/proc/sys/kernel/{}_next_id", name(self.kind).1);
        let at = program.string(path.as_bytes());
        let open = [libc::AT_FDCWD as u64, at, libc::O_WRONLY as u64];
        program.attempt("openat", libc::SYS_openat, &open);
        let what = |errno: sys::Errno| {
            let fault = self.fault().because(format!("{path}: {errno}"));
            fault.hint("Choosing the ids of System V objects needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN")
        };
        let fd = sys::Errno::from_raw(program.run(actor)?[0]).map_err(what)?;
        let text = self.id.to_string();
        let at = program.data(text.as_bytes());
        program.attempt("write", libc::SYS_write, &[fd, at, text.len() as u64]);
        program.call("close", libc::SYS_close, &[fd]);
        sys::Errno::from_raw(program.run(actor)?[0]).map_err(what).map(drop)
    }
}

/// Any key but IPC_PRIVATE.
fn random_key() -> Result<i32> {
    let what = || "Could not choose a key".to_owned();
    let mut random = std::fs::File::open("/dev/urandom").explain(what)?;
    let mut bytes = [0; 4];
    std::io::Read::read_exact(&mut random, &mut bytes).explain(what)?;
    Ok(i32::from_le_bytes(bytes) | 1)
}

/// Objects of our own IPC namespace outlast a failed restore, so they are remembered; others go with their namespace.
fn remember(made: &mut Made, actor: &Stopped, kind: Kind, id: i32) {
    let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/ipc")).ok();
    if link("thread-self") == link(&actor.tid().to_string()) {
        made.objects.push((kind, id));
    }
}

/// `IPC_STAT` in a process that is being restored; none when there is no such object.
pub fn status(kind: Kind, id: i32, actor: &Stopped, program: &mut Program) -> Result<Option<Vec<u8>>> {
    let at = program.data(&vec![0; kind.status_size()]);
    control(program, kind, id, libc::IPC_STAT, at, true);
    let result = program.run(actor)?[0];
    match sys::Errno::from_raw(result) {
        Ok(_) => program.fetch(actor, at, kind.status_size()).map(Some),
        Err(sys::Errno::EINVAL | sys::Errno(libc::EIDRM)) => Ok(None),
        Err(errno) => Err(errno).explain(|| format!("Could not examine {} {id}", name(kind).0)),
    }
}

/// Adds the call that controls an object.
pub fn control(program: &mut Program, kind: Kind, id: i32, command: i32, argument: u64, optional: bool) {
    let (id, command) = (id as u64, command as u64);
    let args = if kind == Kind::Set { vec![id, 0, command, argument] } else { vec![id, command, argument] };
    if optional {
        program.attempt("IPC control", kind.control(), &args);
    } else {
        program.call("IPC control", kind.control(), &args);
    }
}

/// Sets owner and permissions (`IPC_SET`), with other fields of the structure as `amend` leaves them.
pub fn set(
    kind: Kind,
    id: i32,
    permissions: &PermissionsV1,
    actor: &Stopped,
    program: &mut Program,
    amend: impl FnOnce(&mut [u8]),
) -> Result<()> {
    let Some(mut bytes) = status(kind, id, actor, program)? else { return Ok(()) };
    let before = bytes.clone();
    permissions.write(&mut bytes);
    amend(&mut bytes);
    if (before[4..12] == bytes[4..12])
        && half(&before, 20) & 0o777 == half(&bytes, 20)
        && before[24..] == bytes[24..]
    {
        return Ok(());
    }
    let at = program.data(&bytes);
    control(program, kind, id, libc::IPC_SET, at, false);
    program.run(actor).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_come_from_the_front_of_a_status() {
        let fields = [-7i32 as u32, 1, 2, 3, 4, 0o2644];
        let mut status: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        status.resize(112, 0);
        let permissions = PermissionsV1::parse(&status);
        assert_eq!((permissions.key, permissions.uid, permissions.mode), (-7, 1, 0o2644));
        permissions.write(&mut status);
        assert_eq!(half(&status, 20), 0o644);
    }
}
