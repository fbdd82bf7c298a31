//! The first of the helper's two processes: leaves the maker's namespaces and forks PID 1 of the new ones.
//!
//! It ends right after the fork, so PID 1 is nobody's child that the maker would have to wait for.

use crate::link::{Link, at, at_io};
use crate::{resident, warden, world};
use abi::wire::{ClockOffsets, Failure, Launch, Reply, Request, Step, User};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use sys::interfaces;
use sys::lifecycle::{self, Fork};
use sys::namespaces::{Namespaces, unshare};

/// Takes the launch message from standard input and does what it says.
pub fn run() -> io::Result<()> {
    let mut link = Link::new(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?));
    silence()?;
    let (launch, descriptors) = match link.receive()? {
        (Request::Launch(launch), descriptors) => (launch, descriptors),
        (Request::Reside(residence), descriptors) => return resident::begin(link, &residence, descriptors),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    // Before the namespaces are left: it must outlive them.
    let warden = launch.translation.as_ref().map(|_| warden::engage()).transpose();
    let left = warden.map_err(at(Step::Translation)).and_then(|warden| Ok((leave(&launch)?, warden)));
    match left {
        Ok((Fork::Child, warden)) => world::live(link, launch, descriptors, warden),
        Ok((Fork::Parent { .. }, _)) => Ok(()),
        Err(failure) => link.send(&Reply::Failed(failure), &[]),
    }
}

/// Puts `/dev/null` in the place of the three standard streams.
fn silence() -> io::Result<()> {
    let null = fs::File::options().read(true).write(true).open("/dev/null")?;
    Ok(lifecycle::install_stdio([null.as_fd(); 3])?)
}

fn leave(launch: &Launch) -> Result<Fork, Failure> {
    if let Some(user) = launch.user {
        unshare(Namespaces::USER).map_err(at(Step::UserNamespace))?;
        map(user).map_err(at_io(Step::MapUser))?;
    }
    let kinds = Namespaces::PID | Namespaces::MOUNT | Namespaces::UTS;
    // Where ids are translated, the objects themselves are in the caller's namespace.
    let ipc = if launch.translation.is_none() { Namespaces::IPC } else { Namespaces::NONE };
    unshare(kinds | ipc).map_err(at(Step::Namespaces))?;
    if launch.own_network {
        unshare(Namespaces::NETWORK).map_err(at(Step::NetworkNamespace))?;
        interfaces::bring_up("lo").map_err(at(Step::Loopback))?;
    }
    if let Some(offsets) = launch.clock_offsets {
        unshare(Namespaces::TIME).map_err(at(Step::ClockOffsets))?;
        fs::write("/proc/self/timens_offsets", lines(offsets)).map_err(at_io(Step::ClockOffsets))?;
    }
    lifecycle::fork(None).map_err(at(Step::Fork))
}

/// One user and one group, each as itself. An unprivileged group map needs setgroups denied first
/// (user_namespaces(7)).
fn map(user: User) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{0} {0} 1", user.uid))?;
    fs::write("/proc/self/gid_map", format!("{0} {0} 1", user.gid))
}

/// The offsets as time_namespaces(7) wants them: whole seconds, rounded down, and nanoseconds from there.
fn lines(offsets: ClockOffsets) -> String {
    const SECOND: i64 = 1_000_000_000;
    let line =
        |clock: &str, ns: i64| format!("{clock} {} {}\n", ns.div_euclid(SECOND), ns.rem_euclid(SECOND));
    line("monotonic", offsets.monotonic_ns) + &line("boottime", offsets.boottime_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_offsets_keep_their_nanoseconds_positive() {
        let offsets = ClockOffsets { monotonic_ns: -1, boottime_ns: 2_500_000_000 };
        assert_eq!(lines(offsets), "monotonic -1 999999999\nboottime 2 500000000\n");
    }
}
