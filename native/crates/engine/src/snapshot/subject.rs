//! What a snapshot is of: one application of ours, or process trees.

use crate::collection::Collection;
use crate::explain::Result;
use crate::freeze::{self, FrozenTree};
use crate::meeting::Seat;
use crate::procfs::Status;
use crate::state::capsule::{self, CapsuleV1};
use crate::state::descriptors::network::quiet::{self, Quiet};
use crate::state::filesystem::View;
use crate::state::frozen_copy;
use crate::state::network::{self, NetworkV1};
use crate::state::{posix_memory, translation, volumes};
use ::capsule::ViewKind;
use abi::request::{Snapshot, Target};
use abi::{Code, Control, Fault};
use image::SnapshotWriter;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

/// What a chain consists of.
pub enum Subject {
    Capsule(Box<capsule::Source>),
    Trees(Vec<i32>),
}

impl Subject {
    pub fn find(request: &Snapshot) -> Result<Self> {
        let nothing = || Fault::new(Code::Usage, "Could not take a snapshot").because("no process was named");
        let mut capsules = Vec::new();
        let mut pids = Vec::new();
        for target in &request.target {
            match (capsule::find(&request.home, target)?, target) {
                (Some(source), _) => capsules.push(source),
                (None, Target::Pid(pid)) => pids.push(*pid),
                (None, Target::Aid(_)) => return Err(nothing()),
            }
        }
        let several = capsules.len() > 1 || (!capsules.is_empty() && !pids.is_empty());
        if several {
            return Err(Fault::new(Code::Refused, "Could not take one snapshot of several applications")
                .because("a chain is one application, or process trees that stasis did not start")
                .hint("Take a snapshot of each"));
        }
        match capsules.pop() {
            Some(source) => Ok(Self::Capsule(Box::new(source))),
            None if pids.is_empty() => Err(nothing()),
            None => Ok(Self::Trees(pids)),
        }
    }

    pub fn hold_ids(&mut self) -> Result<Option<translation::Source>> {
        match self {
            Self::Capsule(source) => source.hold_ids(),
            Self::Trees(_) => Ok(None),
        }
    }

    /// What belongs to the application in folders of the host, most of it copied already.
    pub fn volumes(&self, writer: &SnapshotWriter, control: &Control) -> Result<Option<volumes::Collector>> {
        match self {
            Self::Capsule(source) if !source.volumes.is_empty() => {
                volumes::Collector::prepare(source, writer.folder(), control).map(Some)
            }
            _ => Ok(None),
        }
    }

    pub fn release_ids(&mut self) {
        if let Self::Capsule(source) = self {
            source.release_ids();
        }
    }

    /// Stops every thread, except those of processes that are not the application's own; `company` may be in a hurry.
    pub fn freeze(&self, company: Option<&Seat>, except: &[i32]) -> Result<FrozenTree> {
        let patience = company.map_or(freeze::PATIENCE, |seat| seat.patience().min(freeze::PATIENCE));
        match self {
            Self::Capsule(source) => {
                let filtered = source.interposition.is_some_and(|interposition| interposition.kernel);
                FrozenTree::freeze_below(source.init, filtered, patience, except)
            }
            Self::Trees(roots) => FrozenTree::freeze(roots),
        }
    }

    /// Holds back what peers send to it, and waits for what they have sent.
    pub fn hush(&self, tree: &FrozenTree) -> Result<Option<Quiet>> {
        let Self::Capsule(source) = self else { return Ok(None) };
        let pids: Vec<i32> = tree.processes.iter().map(|process| process.pid).collect();
        let quiet = quiet::keep(source, &pids)?;
        quiet.iter().try_for_each(|_| quiet::settle())?;
        Ok(quiet)
    }

    /// Bytes of memory that its processes have in use now, shared ones counted each time.
    pub fn resident(&self) -> u64 {
        let roots = match self {
            Self::Capsule(source) => std::slice::from_ref(&source.init),
            Self::Trees(roots) => roots.as_slice(),
        };
        let all = roots.iter().flat_map(|root| ::capsule::processes_of(*root).into_iter().chain([*root]));
        let of = |pid: i32| Status::read(&pid.to_string()).ok()?.numbers::<u64>("VmRSS").first().copied();
        all.filter_map(of).map(|kib| kib << 10).sum()
    }

    /// What collecting needs to know of it beforehand.
    pub fn collection(&self) -> Collection {
        let mut collection = Collection::default();
        if let Self::Capsule(source) = self {
            collection.view = View::through(source.init);
            collection.sockets = Rc::clone(&source.sockets);
            collection.terminals.helper = Some(source.init);
            collection.terminals.own_devpts = source.device(source.own.terminals, "/dev/pts");
            collection.ghosts.own_memory = source.device(source.own.shared_memory, posix_memory::FOLDER);
            collection.ghosts.volumes = source.volumes.iter().map(|volume| volume.path.clone()).collect();
            let overlays =
                source.volumes.iter().filter(|volume| matches!(volume.view, Some(ViewKind::Overlay { .. })));
            collection.overlays = overlays.map(|volume| volume.path.clone()).collect();
            collection.log = std::fs::metadata(&source.log).ok().map(|meta| (meta.dev(), meta.ino()));
        }
        collection
    }

    /// PID 1 of the capsule, as the host sees it.
    pub fn helper(&self) -> Option<i32> {
        match self {
            Self::Capsule(source) => Some(source.init),
            Self::Trees(_) => None,
        }
    }

    /// The network namespace that it has for itself, if it has one.
    pub fn network(&self) -> Result<Option<NetworkV1>> {
        let Self::Capsule(source) = self else { return Ok(None) };
        let own = source.network.as_ref();
        own.map(|own| network::collect(own, &source.sockets, source.init)).transpose()
    }

    /// Has this host take it for a member on another one. What is left of its links goes with its processes.
    pub fn leave_environments(&self) {
        let Self::Capsule(source) = self else { return };
        for link in source.network.iter().flat_map(|own| &own.links) {
            // What cannot be taken back is when another host owns its address.
            let _ = ::capsule::member(link).map(|member| member.depart());
        }
    }

    /// Waits for the end of a capsule whose processes have been killed.
    pub fn await_end(&mut self) {
        if let Self::Capsule(source) = self {
            source.await_end();
        }
    }

    /// May memory be read from copies? Those end up with the helper of a capsule, or with the host's first process.
    pub fn allows_copies(&self, stop: bool) -> bool {
        const HOSTS_FIRST: i32 = 1;
        match self {
            Self::Capsule(_) => !stop,
            Self::Trees(_) => !stop && frozen_copy::adopter_reaps(HOSTS_FIRST),
        }
    }

    pub fn capsule(&self) -> Option<CapsuleV1> {
        match self {
            Self::Capsule(source) => Some(source.saved.clone()),
            Self::Trees(_) => None,
        }
    }
}
