//! Starting the helper: from a memory file, with one socket and nothing else of ours.

use crate::hosted;
use crate::link::{Link, LinkError};
use crate::meta::HelperProcess;
use abi::wire::{Launch, Reply, Request, Status, User};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use sys::{folder, lifecycle};

/// Bit of CAP_SYS_ADMIN (capabilities(7)).
const CAP_SYS_ADMIN: u64 = 21;

/// Starts a helper and hands it its first message. Returns the connection and the helper's answer.
pub fn launch(
    program: &[u8],
    launch: Launch,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(Link, Reply, Vec<OwnedFd>), LinkError> {
    let memory = folder::executable_in_memory(c"stasis-init", program)?;
    let (ours, theirs) = UnixStream::pair()?;
    // The path names the child's own copy of the descriptor, which is closed by the execution itself.
    let mut first = Command::new(format!("/proc/thread-self/fd/{}", memory.as_raw_fd()))
        .arg0("stasis-init")
        .env_clear()
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut link = Link::new(ours);
    let answer = link.ask(&Request::Launch(launch), descriptors);
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
