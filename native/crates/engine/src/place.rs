//! Where an application comes back, and what its clocks show there.

use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::nursery::Cradle;
use crate::sockets::Sockets;
use crate::state::{capsule, host, network};
use ::capsule::{Building, Capsule, ClockOffsets, Init};
use abi::edits::{Edits, Output};
use abi::network::OwnNetwork;
use abi::request::Restore;
use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd};

/// Where the application comes back: in the caller's namespaces, or in a capsule of its own.
pub struct Place {
    pub cradle: Cradle,
    /// What leads to the application's file system.
    pub root: Vec<u8>,
    pub output: Option<OwnedFd>,
    /// What tells a clone that it is one.
    pub generation: Option<String>,
    /// The network namespace that the application comes back in.
    pub sockets: Sockets,
}

impl Place {
    /// `replaces`: the capsule whose place the new one takes.
    pub fn prepare(
        request: &Restore,
        chain: &Chain,
        replaces: Option<Capsule>,
        init: Init<'_>,
    ) -> Result<Self> {
        let output = || "Could not find where the application's output goes".to_owned();
        let Some(saved) = &chain.capsule else {
            enter_time_namespace(chain)?;
            return Ok(Self {
                cradle: Cradle::Caller,
                root: Vec::new(),
                output: None,
                generation: None,
                sockets: Sockets::default(),
            });
        };
        let offsets = clock_offsets(chain)?;
        let new = capsule::New {
            name: request.name.as_deref(),
            clock_offsets: Some(offsets),
            interposition: chain.translation.as_ref().map(|saved| saved.interposition),
            own_shared_memory: chain.posix_memory.is_some(),
            hostname: request.hostname.as_deref(),
            origin: request.origin.as_ref(),
            network: own_network(request, chain),
            replaces,
        };
        let has_network = new.network.is_some();
        let mut building = capsule::build(saved, new, &request.home, init)?;
        building.edit(&request.edits, &saved.lasting)?;
        let sockets = if has_network {
            Sockets::made_by(building.socket_maker(&request.home)?, building.init())?
        } else {
            Sockets::default()
        };
        if let (true, Some(saved)) = (has_network, &chain.network) {
            network::apply(saved, &sockets)?;
        }
        let root = format!("/proc/{}/root", building.init()).into_bytes();
        let log = if request.detach {
            output_of(&request.edits, &building)?
        } else {
            std::io::stdout().as_fd().try_clone_to_owned().explain(output)?
        };
        let generation = building.generation_token();
        let cradle = Cradle::Capsule(Box::new(building));
        Ok(Self { cradle, root, output: Some(log), generation, sockets })
    }
}

/// What the application's own network namespace gets, if it is to have one: what was asked for, else what it had.
fn own_network(request: &Restore, chain: &Chain) -> Option<OwnNetwork> {
    match &request.network {
        Some(network) => network.own().cloned(),
        None => chain.network.as_ref().map(|saved| saved.own.clone()),
    }
}

/// Where the output of an application goes that nobody attends.
fn output_of(edits: &Edits, building: &Building) -> Result<OwnedFd> {
    let open = |options: &mut OpenOptions, path: &str| {
        options
            .open(path)
            .map(OwnedFd::from)
            .explain(|| format!("Could not open \"{path}\" for the application's output"))
    };
    match &edits.output {
        None | Some(Output::Log) => Ok(building.log()?.into()),
        Some(Output::Null) => open(OpenOptions::new().read(true).write(true), "/dev/null"),
        Some(Output::Path(path)) => open(OpenOptions::new().append(true).create(true), path),
    }
}

/// Offsets that let the application's clocks go on from where they were.
fn clock_offsets(chain: &Chain) -> Result<ClockOffsets> {
    let now = host::collect(sys::process::gettid())?;
    let (monotonic, boottime) = host::clock_offsets("self");
    Ok(ClockOffsets {
        monotonic_ns: chain.host.monotonic_ns - (now.monotonic_ns - monotonic),
        boottime_ns: chain.host.boottime_ns - (now.boottime_ns - boottime),
    })
}

/// Clocks that must not jump go on in a time namespace of the application's own. On the same boot they have not
/// jumped, only passed.
fn enter_time_namespace(chain: &Chain) -> Result<()> {
    let what = || "Could not set the application's clocks".to_owned();
    let tid = sys::process::gettid();
    match sys::process::unshare_time() {
        Ok(()) => {}
        Err(_) if host::boot_id() == chain.host.boot_id => return Ok(()),
        Err(errno) => return Err(errno).explain(what),
    }
    let offsets = clock_offsets(chain)?;
    let line = |clock: &str, offset: i64| {
        format!("{clock} {} {}\n", offset.div_euclid(1_000_000_000), offset.rem_euclid(1_000_000_000))
    };
    let text = line("monotonic", offsets.monotonic_ns) + &line("boottime", offsets.boottime_ns);
    std::fs::write(format!("/proc/{tid}/timens_offsets"), text).explain(what)
}
