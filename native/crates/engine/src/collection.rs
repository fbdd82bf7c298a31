//! What accumulates while a chain is being collected: resources that belong to no single process.

use crate::ids::DescriptionId;
use crate::sockets::Sockets;
use crate::state::descriptors::{self, bpf_map, epoll, network, pidfd, pipe, regular, unix};
use crate::state::filesystem::View;
use crate::state::frozen_copy::FrozenCopy;
use crate::state::{ghosts, locks, posix_memory, shared_memory, system_v, terminals, translation};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

#[derive(Default)]
pub struct Collection {
    pub view: View,
    /// The network namespace that the application is in.
    pub sockets: Rc<Sockets>,
    pub shared_memory: shared_memory::Collector,
    pub ghosts: ghosts::Collector,
    /// What is in the application's own `/dev/shm`.
    pub posix_memory: Option<posix_memory::Source>,
    pub locks: locks::Collector,
    pub system_v: system_v::Collector,
    /// Where System V ids are translated.
    pub translation: Option<translation::Source>,
    pub registry: descriptors::Registry,
    pub pipes: pipe::Collector,
    /// Whether memory may be read from copies, so that the application can go on.
    pub copy_on_write: bool,
    /// From how much memory of its own on a process is copied, in KiB.
    pub least_copied: u64,
    /// Copies by the process that they are of.
    pub copies: HashMap<i32, FrozenCopy>,
    pub unix: unix::Collector,
    /// Device and inode of the log of the capsule that the application is in.
    pub log: Option<(u64, u64)>,
    pub epolls: epoll::Collector,
    pub connections: network::connection::Collector,
    pub terminals: terminals::collecting::Collector,
    /// Terminals as the files that they are when they prove to be just devices.
    pub devices: HashMap<DescriptionId, regular::RegularV1>,
    pub bpf_maps: bpf_map::Collector,
    pub pidfds: pidfd::Collector,
    /// Descriptors (process and number) that look close-on-exec and are not.
    pub inheritable: HashSet<(i32, i32)>,
    /// Overlays that the application has for itself. In those, inode numbers are not the same everywhere.
    pub overlays: Vec<String>,
    /// Things that the user should know, though nothing is lost.
    pub notes: Vec<String>,
}

impl Collection {
    /// Do threads have the filter of their capsule?
    pub fn filtered(&self) -> bool {
        self.translation.as_ref().is_some_and(|source| source.interposition.kernel)
    }
}
