//! The operations on virtual network environments: each hands its request to the crate `network` and shapes the answer.

use crate::capsules::Done;
use abi::request::{InspectEnvironment, MakeEnvironment, Members, RemoveEnvironment};
use abi::{Code, Control, Fault};
use capsule::{Aid, environment, kernel_refused, key_accounts};
use network::link::Traffic;
use network::nftables::table::Count;
use network::{Conflict, Environment, xfrm};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

const ENCRYPTION: &str = "A kernel with ESP and AES-GCM is needed (CONFIG_XFRM_USER, CONFIG_INET_ESP or for IPv6 CONFIG_INET6_ESP, CONFIG_CRYPTO_GCM, CONFIG_CRYPTO_SEQIV)";

/// How an environment stands on this host.
#[derive(Serialize)]
pub struct Standing {
    /// Whether all of it is there. What is missing is made when the next member comes.
    present: bool,
    bridge: String,
    /// The links of members, by the order of their addresses.
    links: Vec<MemberLink>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<TunnelStanding>,
    /// What the rules have stopped, in packets: `spoofed`, `host`, `outside`, `tunnel`, `clear`.
    stopped: BTreeMap<String, u64>,
}

/// What leads to other hosts, counted as this host sees it.
#[derive(Serialize)]
struct TunnelStanding {
    name: String,
    up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    peers: Vec<IpAddr>,
    mtu: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<EncryptionStanding>,
    received_bytes: u64,
    received_packets: u64,
    sent_bytes: u64,
    sent_packets: u64,
}

/// What is encrypted on the way between hosts.
#[derive(Serialize)]
struct EncryptionStanding {
    /// Seconds since 1970, when the last key of some way will have ended. Nothing where there are none: then nothing is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_until: Option<u64>,
    /// Under the keys that are there.
    received_packets: u64,
    sent_packets: u64,
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

/// Who has addresses in an environment.
#[derive(Serialize)]
pub struct Listing {
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    aid: Aid,
    name: String,
    /// Where it was given one.
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    running: bool,
    started: String,
    addresses: Vec<IpAddr>,
}

/// # Errors
/// [`Code::Usage`] when this host reaches one of the ranges otherwise, or has the environment already and shall not span it;
/// [`Code::HostLacks`] when it cannot encrypt what shall be encrypted.
pub fn make(request: MakeEnvironment, _control: &Control) -> Result<Done, Fault> {
    let wanted = environment(&request.environment)?;
    let attempt = format!("make the environment \"{}\"", request.environment.name);
    let refused = |error| kernel_refused(&attempt, error);
    if let Some(conflict) = wanted.conflict().map_err(refused)? {
        return Err(taken(&attempt, &conflict));
    }
    let there = wanted.inspect().map_err(refused)?.bridge.is_some();
    let tunnel = request.tunnel.map(|it| capsule::tunnel(&request.home, it, &request.environment.name));
    let tunnel = tunnel.transpose()?;
    if let Some(tunnel) = tunnel.as_ref().filter(|tunnel| tunnel.encryption.is_some() && !there) {
        xfrm::probe(tunnel.address.is_ipv6()).map_err(|error| cannot_encrypt(&attempt, error))?;
    }
    let made = match &tunnel {
        Some(tunnel) => wanted.ensure_with(tunnel),
        None if there => return Err(owned_elsewhere(&attempt, &wanted)),
        None => wanted.ensure(),
    };
    made.and_then(|()| wanted.vacate(&request.absent)).map_err(|error| {
        if !there {
            // Half of it would be in the way of the next try.
            let _ = wanted.remove();
        }
        refused(error)
    })?;
    Ok(Done {})
}

fn owned_elsewhere(attempt: &str, wanted: &Environment) -> Fault {
    Fault::new(Code::Usage, format!("Could not {attempt}"))
        .because(format!("this host has its bridge {} already", wanted.id.bridge()))
        .hint("Another STASIS_HOME has this environment: remove it there, or choose another name")
}

fn cannot_encrypt(attempt: &str, error: network::Error) -> Fault {
    let lacking = error.lacks_feature();
    let refused = kernel_refused(attempt, error);
    if lacking { refused.hint(ENCRYPTION) } else { refused }
}

fn taken(attempt: &str, conflict: &Conflict) -> Fault {
    let link = conflict.link.as_ref().map(|link| format!(" by {link}")).unwrap_or_default();
    Fault::new(Code::Usage, format!("Could not {attempt}"))
        .because(format!("this host reaches {} of {}{link}", conflict.route, conflict.subnet))
        .hint("Choose another --subnet")
}

pub fn remove(request: RemoveEnvironment, _control: &Control) -> Result<Done, Fault> {
    let attempt = format!("remove the environment \"{}\"", request.environment.name);
    let gone = environment(&request.environment)?;
    // What stands in the way of that is no reason to keep it: an old packet could be taken for a new one, if it comes back.
    let _ = xfrm::note(&gone.id, &key_accounts(&request.home));
    let removed = gone.remove();
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
        tunnel: seen.tunnel.map(tunnel_standing),
        stopped: sums(seen.stopped),
    })
}

/// By name: two tables count what comes from other hosts.
fn sums(counts: Vec<Count>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for count in counts {
        *sums.entry(count.name).or_default() += count.packets;
    }
    sums
}

fn tunnel_standing(seen: network::tunnel::Standing) -> TunnelStanding {
    let Traffic { received_packets, received_bytes, sent_packets, sent_bytes } = seen.link.traffic;
    TunnelStanding {
        name: seen.link.name,
        up: seen.link.up,
        address: seen.address,
        peers: seen.peers,
        mtu: seen.link.mtu,
        encryption: seen.encryption.map(encryption_standing),
        received_bytes,
        received_packets,
        sent_bytes,
        sent_packets,
    }
}

/// # Errors
/// [`Code::NotPermitted`] for the applications of somebody else.
pub fn members(request: Members, _control: &Control) -> Result<Listing, Fault> {
    capsule::require_access(&request.home)?;
    let members = capsule::members(&request.home, &request.environment).into_iter();
    Ok(Listing {
        members: members
            .map(|capsule::EnvironmentMember { meta, running, addresses }| Member {
                aid: meta.aid,
                name: meta.name,
                hostname: meta.hostname,
                running,
                started: meta.started,
                addresses,
            })
            .collect(),
    })
}

fn encryption_standing(seen: xfrm::Inspection) -> EncryptionStanding {
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    EncryptionStanding {
        keys_until: seen.until.map(since),
        received_packets: seen.received,
        sent_packets: seen.sent,
    }
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
