//! Keeping packets from applications that are captured at one moment. Two that talk by TCP are read one after the other: were
//! one to receive and acknowledge a byte after it was read and before the other is, no image would have that byte.

use super::diagnosis;
use super::lock::{Lock, What};
use crate::explain::{Explain, Result};
use crate::procfs;
use crate::sockets::Sockets;
use crate::state::capsule::Source;
use abi::{Code, Fault};
use std::collections::HashSet;

/// Nothing that peers send reaches the application; it is sent again later. Dropping this ends it, and so does the end of
/// this process.
pub struct Quiet {
    _lock: Lock,
}

/// Holds back the packets that would reach the connections of an application, all of whose processes stand still. None where
/// there are no such.
///
/// # Errors
/// When the kernel has no packet filter (nftables), or one before Linux 5.12.
pub fn keep(source: &Source, pids: &[i32]) -> Result<Option<Quiet>> {
    let what = match &source.network {
        Some(own) if own.links.is_empty() => return Ok(None),
        Some(_) => What::AllFromOutside,
        None => What::Flows(flows(pids, &source.sockets)?),
    };
    if matches!(&what, What::Flows(flows) if flows.is_empty()) {
        return Ok(None);
    }
    let name = format!("stasis-quiet-{}", source.saved.aid);
    match Lock::take_for_now(name, &what, &source.sockets) {
        Ok(lock) => Ok(Some(Quiet { _lock: lock })),
        Err(errno) => Err(cannot(&source.saved.name, errno)),
    }
}

fn cannot(name: &str, errno: sys::Errno) -> Fault {
    Fault::new(Code::HostLacks, format!("Could not hold back what is sent to \"{name}\""))
        .because(errno)
        .hint("It takes CAP_NET_ADMIN, and nftables of Linux 5.12 or later; --tcp close does without")
}

/// The connections of processes in a namespace that they share with others, as their peers' packets show them.
fn flows(pids: &[i32], sockets: &Sockets) -> Result<Vec<(std::net::SocketAddr, std::net::SocketAddr)>> {
    let own: HashSet<u32> = pids.iter().flat_map(|pid| sockets_of(*pid)).collect();
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let all = diagnosis::connections(sockets).explain(|| "Could not list TCP connections".to_owned())?;
    let ours = all.into_iter().filter(|connection| own.contains(&connection.inode));
    Ok(ours.map(|connection| (connection.peer, connection.local)).collect())
}

/// Inodes of the sockets that a process has descriptors of.
fn sockets_of(pid: i32) -> Vec<u32> {
    let folder = format!("/proc/{pid}/fd");
    let numbers = procfs::numbers_in(&folder).unwrap_or_default();
    let links = numbers.into_iter().filter_map(|fd| std::fs::read_link(format!("{folder}/{fd}")).ok());
    links
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

/// Waits until every packet that was let pass before has reached its socket. The kernel hands a packet on within one section that
/// readers of its rules hold (RCU), so those end before this returns.
///
/// # Errors
/// When the kernel cannot be asked to wait for them.
pub fn settle() -> Result<()> {
    sys::network::await_packets().explain(|| "Could not wait for packets that are on their way".to_owned())
}
