//! The operations on virtual network environments: each hands its request to the crate `network` and shapes the answer.

use crate::capsules::Done;
use abi::request::{InspectEnvironment, MakeEnvironment, RemoveEnvironment};
use abi::{Code, Control, Fault};
use capsule::{environment, kernel_refused};
use network::link::Traffic;
use network::{Conflict, Environment};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How an environment stands on this host.
#[derive(Serialize)]
pub struct Standing {
    /// Whether all of it is there. What is missing is made when the next member comes.
    present: bool,
    bridge: String,
    /// The links of members, by the order of their addresses.
    links: Vec<MemberLink>,
    /// What the rules have stopped, in packets: `spoofed`, `host`, `outside`.
    stopped: BTreeMap<String, u64>,
}

/// The link of one member, counted as the member sees it.
#[derive(Serialize)]
struct MemberLink {
    /// The host's end.
    name: String,
    addresses: Vec<IpAddr>,
    up: bool,
    received_bytes: u64,
    received_packets: u64,
    sent_bytes: u64,
    sent_packets: u64,
}

/// # Errors
/// [`Code::Usage`] when this host reaches one of the ranges otherwise, or has the environment already.
pub fn make(request: MakeEnvironment, _control: &Control) -> Result<Done, Fault> {
    let wanted = environment(&request.environment)?;
    let attempt = format!("make the environment \"{}\"", request.environment.name);
    let refused = |error| kernel_refused(&attempt, error);
    if let Some(conflict) = wanted.conflict().map_err(refused)? {
        return Err(taken(&attempt, &conflict));
    }
    if wanted.inspect().map_err(refused)?.bridge.is_some() {
        return Err(Fault::new(Code::Usage, format!("Could not {attempt}"))
            .because(format!("this host has its bridge {} already", wanted.id.bridge()))
            .hint("Another STASIS_HOME has this environment: remove it there, or choose another name"));
    }
    wanted.ensure().map_err(|error| {
        // Half of it would be in the way of the next try.
        let _ = wanted.remove();
        refused(error)
    })?;
    Ok(Done {})
}

fn taken(attempt: &str, conflict: &Conflict) -> Fault {
    let link = conflict.link.as_ref().map(|link| format!(" by {link}")).unwrap_or_default();
    Fault::new(Code::Usage, format!("Could not {attempt}"))
        .because(format!("this host reaches {} of {}{link}", conflict.route, conflict.subnet))
        .hint("Choose another --subnet")
}

pub fn remove(request: RemoveEnvironment, _control: &Control) -> Result<Done, Fault> {
    let attempt = format!("remove the environment \"{}\"", request.environment.name);
    let removed = environment(&request.environment)?.remove();
    removed.map_err(|error| kernel_refused(&attempt, error)).map(|()| Done {})
}

pub fn inspect(request: InspectEnvironment, _control: &Control) -> Result<Standing, Fault> {
    let attempt = format!("look at the environment \"{}\"", request.environment.name);
    let wanted = environment(&request.environment)?;
    let seen = wanted.inspect().map_err(|error| kernel_refused(&attempt, error))?;
    Ok(Standing {
        present: seen.present,
        bridge: wanted.id.bridge(),
        links: seen.ports.into_iter().map(|(number, port)| member_link(&wanted, number, port)).collect(),
        stopped: seen.stopped.into_iter().map(|count| (count.name, count.packets)).collect(),
    })
}

fn member_link(environment: &Environment, number: u32, port: network::link::Link) -> MemberLink {
    // What the host's end sends, the member receives.
    let Traffic { received_packets, received_bytes, sent_packets, sent_bytes } = port.traffic;
    MemberLink {
        name: port.name,
        addresses: environment.addresses_of(number),
        up: port.up,
        received_bytes: sent_bytes,
        received_packets: sent_packets,
        sent_bytes: received_bytes,
        sent_packets: received_packets,
    }
}
