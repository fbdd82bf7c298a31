//! Starting the helper: from a memory file, with one socket and nothing else of ours.

use crate::hosted;
use crate::link::{Link, LinkError};
use crate::meta::HelperProcess;
use crate::network::{Connections, Inheritance};
use abi::network::OwnNetwork;
use abi::wire::{Launch, Reply, Request, Status, User};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use sys::{folder, lifecycle};

/// Bit of CAP_SYS_ADMIN (capabilities(7)).
const CAP_SYS_ADMIN: u64 = 21;

/// The helper's executable.
#[derive(Clone, Copy)]
pub struct Init<'a> {
    bytes: &'a [u8],
    /// The same in a memory file, where several are started.
    prepared: Option<&'a File>,
}

impl<'a> From<&'a [u8]> for Init<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, prepared: None }
    }
}

impl<'a> Init<'a> {
    /// Puts it into a memory file, once for all that are started.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn in_memory(bytes: &[u8]) -> io::Result<File> {
        Ok(folder::executable_in_memory(c"stasis-init", bytes)?)
    }

    /// One that was put into memory.
    #[must_use]
    pub fn prepared(bytes: &'a [u8], file: &'a File) -> Self {
        Self { bytes, prepared: Some(file) }
    }

    /// A build of this library without the helper has none.
    #[must_use]
    pub fn is_missing(self) -> bool {
        self.bytes.is_empty()
    }
}

/// A helper that has been launched: the connection, its answer, and what leads out of a network namespace of its own.
pub struct Begun {
    pub link: Link,
    pub reply: Reply,
    pub descriptors: Vec<OwnedFd>,
    pub connections: Option<Connections>,
}

/// Starts a helper and hands it its first message. `own` is what the network namespace gets that the message asks for:
/// it is put in when the namespace is there and no process of the application is, and opened where the message says what
/// to run. `inherited` is what the application has on the network whose place it takes.
pub fn launch(
    program: Init<'_>,
    launch: Launch,
    descriptors: &[BorrowedFd<'_>],
    own: Option<&OwnNetwork>,
    inherited: Inheritance,
) -> Result<Begun, LinkError> {
    let starts = launch.program.is_some();
    let order = Request::Launch(launch);
    let (mut link, mut reply, mut descriptors) = start(program, "stasis-init", &order, descriptors)?;
    let mut connections = None;
    if let (Reply::NetworkMade, [namespace], Some(own)) = (&reply, descriptors.as_slice(), own) {
        let mut made =
            Connections::make(namespace.as_fd(), own, inherited).map_err(LinkError::Unconnected)?;
        if starts {
            made.open().map_err(LinkError::Unconnected)?;
        }
        connections = Some(made);
        (reply, descriptors) = link.ask(&Request::Connected, &[])?;
    }
    Ok(Begun { link, reply, descriptors, connections })
}

/// Starts a helper under the name `title`, as process lists show it, and hands it its first message.
pub fn start(
    program: Init<'_>,
    title: &str,
    order: &Request,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(Link, Reply, Vec<OwnedFd>), LinkError> {
    let made = if program.prepared.is_none() { Some(Init::in_memory(program.bytes)?) } else { None };
    let memory =
        program.prepared.or(made.as_ref()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let (ours, theirs) = UnixStream::pair()?;
    // The path names the child's own copy of the descriptor, which is closed by the execution itself.
    let mut first = Command::new(format!("/proc/thread-self/fd/{}", memory.as_raw_fd()))
        .arg0(title)
        .env_clear()
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut link = Link::new(ours);
    let answer = link.ask(order, descriptors);
    // The process started here only forks the one that stays.
    first.wait()?;
    answer.map(|(reply, descriptors)| (link, reply, descriptors))
}

/// The user namespace that a capsule of this caller needs: none when it may make the other namespaces anyway.
pub fn user_namespace() -> io::Result<Option<User>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let own = User { uid: lifecycle::effective_uid(), gid: lifecycle::effective_gid() };
    Ok((effective >> CAP_SYS_ADMIN & 1 == 0).then_some(own))
}

/// Whether this caller's capsules need no user namespace.
#[must_use]
pub fn has_privileges() -> bool {
    user_namespace().is_ok_and(|user| user.is_none())
}

/// What a helper says about its application, and both as the host sees them.
pub struct Report {
    pub status: Status,
    pub init: i32,
    pub init_handle: OwnedFd,
    /// Pid on the host and handle of the root process, while it runs.
    pub root: Option<(i32, OwnedFd)>,
}

/// Asks a helper how things are.
pub fn report(link: &mut Link) -> Result<Report, LinkError> {
    let (Reply::Status(status), descriptors) = link.ask(&Request::Status, &[])? else {
        return Err(LinkError::Confused);
    };
    let mut descriptors = descriptors.into_iter();
    let init_handle = descriptors.next().ok_or(LinkError::Confused)?;
    let init = hosted::pid_of(init_handle.as_fd())?;
    // A root process that was reaped in between has no pid any more.
    let root = descriptors.next().and_then(|root| Some((hosted::pid_of(root.as_fd()).ok()?, root)));
    Ok(Report { status, init, init_handle, root })
}

/// The helper as the state folder records it.
pub fn process(init: i32) -> io::Result<HelperProcess> {
    let (start_ticks, _) = hosted::start_and_parent(init)?;
    Ok(HelperProcess { pid: init, start_ticks })
}
