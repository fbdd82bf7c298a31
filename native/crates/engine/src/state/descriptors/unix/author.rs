//! Calls whose caller the kernel remembers: `SO_PEERCRED` names whoever called socketpair(2), connect(2) or listen(2),
//! so a blank process with the right id makes them, under the right effective ids.

use super::CredentialsV1;
use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::nursery::Nursery;
use crate::procfs::Status;
use crate::program::Program;
use crate::rebuild::Rebuild;
use crate::state::credentials;
use crate::state::process::BodyV1;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use sys::{process, unix_sockets};
use tracee::{Bench, Stopped};

/// Leaves an id as it is (setresuid(2)).
const KEEP: u64 = u32::MAX as u64;

pub struct Author<'n> {
    nursery: &'n Nursery,
    thread: Stopped,
    bench: Bench,
    /// Effective user and group to act under, when not this command's.
    ids: Option<(u32, u32)>,
}

/// What connect(2) is to reach: a node, or an abstract name.
pub enum Goal<'a> {
    Node(BorrowedFd<'a>),
    Abstract(&'a [u8]),
}

impl<'n> Author<'n> {
    /// The process that did it, else the one that has the socket open, else any.
    pub fn of(
        credentials: Option<CredentialsV1>,
        holder: OriginalPid,
        nursery: &'n Nursery,
        rebuild: &Rebuild,
    ) -> Result<Self> {
        let pid = credentials
            .map(|who| who.pid)
            .into_iter()
            .chain([holder])
            .chain(rebuild.image.processes.iter().map(|process| process.pid))
            .find(|pid| is_live(&rebuild.image, *pid))
            .and_then(|pid| rebuild.current(pid))
            .ok_or(sys::Errno::ESRCH)
            .explain(|| "Could not find a process to make sockets in".to_owned())?;
        // Only root may take other ids, and give them back.
        let ids = credentials
            .map(|who| (who.uid, who.gid))
            .filter(|&(uid, gid)| process::geteuid() == 0 && (uid, gid) != (0, 0));
        Ok(Self { nursery, thread: Stopped::assume(pid), bench: nursery.hole.bench(), ids })
    }

    /// Runs `calls`, between changing the effective ids and putting them back.
    fn act(&self, calls: impl FnOnce(&mut Program) -> usize) -> Result<i64> {
        let mut program = Program::new(&self.bench);
        if let Some((uid, gid)) = self.ids {
            program.call("setresgid", libc::SYS_setresgid, &[KEEP, gid.into(), KEEP]);
            program.call("setresuid", libc::SYS_setresuid, &[KEEP, uid.into(), KEEP]);
            // The ids are for whoever asks later; that the calls were permitted once is known.
            let status = Status::read(&self.thread.tid().to_string())
                .explain(|| format!("Could not read the credentials of process {}", self.thread.tid()))?;
            let permitted = status.hex("CapPrm");
            credentials::capset(&mut program, permitted, permitted, status.hex("CapInh"));
        }
        let wanted = calls(&mut program);
        if self.ids.is_some() {
            program.call("setresuid", libc::SYS_setresuid, &[KEEP, 0, KEEP]);
            program.call("setresgid", libc::SYS_setresgid, &[KEEP, 0, KEEP]);
            // Changing ids has made it untouchable for others.
            program.call("PR_SET_DUMPABLE", libc::SYS_prctl, &[libc::PR_SET_DUMPABLE as u64, 1]);
        }
        Ok(program.run(&self.thread)?[wanted])
    }

    fn close(&self, fds: &[RawFd]) -> Result<()> {
        let mut program = Program::new(&self.bench);
        for &fd in fds {
            program.call("close", libc::SYS_close, &[fd as u64]);
        }
        program.run(&self.thread).map(drop)
    }

    /// Lends descriptors of this command to the process for the time of `task`.
    fn lend<T>(&self, fds: &[RawFd], task: impl FnOnce(&[RawFd]) -> Result<T>) -> Result<T> {
        let lent = self.nursery.delivery.send(&self.thread, &self.bench, fds)?;
        let result = task(&lent)?;
        self.close(&lent)?;
        Ok(result)
    }

    pub fn pair(&self, kind: i32) -> Result<(OwnedFd, OwnedFd)> {
        let what = || format!("Could not make a socket pair in process {}", self.thread.tid());
        let kind = (kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64;
        let mut at = 0;
        self.act(|program| {
            at = program.data(&[0; 8]);
            program.call("socketpair", libc::SYS_socketpair, &[libc::AF_UNIX as u64, kind, 0, at])
        })?;
        let mut bytes = [0u8; 8];
        self.thread.read(at, &mut bytes).explain(what)?;
        let number = |at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let pidfd = process::pidfd_open(self.thread.tid()).explain(what)?;
        let take = |fd| process::pidfd_getfd(&pidfd, fd).explain(what);
        let pair = (take(number(0))?, take(number(4))?);
        self.close(&[number(0), number(4)])?;
        Ok(pair)
    }

    pub fn listen(&self, socket: &OwnedFd, backlog: u32) -> Result<()> {
        self.lend(&[socket.as_raw_fd()], |lent| {
            let args = [lent[0] as u64, backlog.into()];
            self.act(|program| program.call("listen", libc::SYS_listen, &args)).map(drop)
        })
    }

    pub fn connect(&self, socket: &OwnedFd, goal: &Goal) -> Result<()> {
        let mut fds = vec![socket.as_raw_fd()];
        if let Goal::Node(node) = goal {
            fds.push(node.as_raw_fd());
        }
        self.lend(&fds, |lent| {
            let name = match goal {
                Goal::Abstract(name) => name.to_vec(),
                Goal::Node(_) => format!("/proc/self/fd/{}", lent[1]).into_bytes(),
            };
            let address = unix_sockets::address(&name).explain(|| "Could not connect a socket".to_owned())?;
            self.act(|program| {
                let at = program.data(&address);
                program.call("connect", libc::SYS_connect, &[lent[0] as u64, at, address.len() as u64])
            })
            .map(drop)
        })
    }

    /// Binds to exactly these bytes, from `directory` and under `root`, as the process sees them.
    pub fn bind(&self, socket: &OwnedFd, name: &[u8], directory: &[u8], root: Option<&[u8]>) -> Result<()> {
        let address = unix_sockets::address(name).explain(|| "Could not bind a socket".to_owned())?;
        let old_root = root.map(|_| self.open_root()).transpose()?;
        self.lend(&[socket.as_raw_fd()], |lent| {
            self.act(|program| {
                if let Some(root) = root {
                    let root = program.string(root);
                    program.call("chroot", libc::SYS_chroot, &[root]);
                }
                let directory = program.string(directory);
                program.call("chdir", libc::SYS_chdir, &[directory]);
                let at = program.data(&address);
                let wanted =
                    program.call("bind", libc::SYS_bind, &[lent[0] as u64, at, address.len() as u64]);
                if let Some(old) = old_root {
                    let here = program.string(b".");
                    program.call("fchdir", libc::SYS_fchdir, &[old]);
                    program.call("chroot", libc::SYS_chroot, &[here]);
                    program.call("close", libc::SYS_close, &[old]);
                }
                wanted
            })
            .map(drop)
        })
    }

    fn open_root(&self) -> Result<u64> {
        let mut program = Program::new(&self.bench);
        let root = program.string(b"/");
        let flags = (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64;
        program.call("openat", libc::SYS_openat, &[libc::AT_FDCWD as u64, root, flags, 0]);
        Ok(program.run(&self.thread)?[0] as u64)
    }
}

fn is_live(image: &Chain, pid: OriginalPid) -> bool {
    image.processes.iter().any(|process| process.pid == pid && matches!(process.body, BodyV1::Live(_)))
}
