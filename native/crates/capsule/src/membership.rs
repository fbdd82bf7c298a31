//! Applications as members of virtual network environments.

use crate::meta::{self, Meta};
use abi::network::Link;
use abi::request::Home;
use abi::{Code, Fault};
use network::environment::MTU;
use network::tunnel::Encryption;
use network::xfrm::PERIOD;
use network::{Environment, Member, Tunnel};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use sys::Errno;

const FEATURES: &str = "A kernel with bridges, veth, VXLAN for other hosts and nftables is needed (CONFIG_BRIDGE, CONFIG_VETH, CONFIG_VXLAN, CONFIG_NF_TABLES_BRIDGE, CONFIG_NF_TABLES_INET, CONFIG_NFT_CT, CONFIG_NFT_MASQ)";

/// How long the longest packet of an environment may be, in bytes: IPv6 needs the least (RFC 8200).
const LENGTHS: RangeInclusive<u32> = 1280..=65_535;

/// The environment as the kernel gets to know it.
///
/// # Errors
/// [`Code::Usage`] when it cannot be one.
pub fn environment(described: &abi::network::Environment) -> Result<Environment, Fault> {
    let wrong = |what: &str| {
        Fault::new(Code::Usage, format!("Could not use the environment \"{}\"", described.name))
            .because(format!("{what} cannot be understood"))
    };
    let id = described.id.parse().map_err(|()| wrong(&format!("its id \"{}\"", described.id)))?;
    let range = |text: &String| text.parse().map_err(|()| wrong(&format!("its range \"{text}\"")));
    let subnets = described.subnets.iter().map(range).collect::<Result<_, _>>()?;
    let mtu = described.mtu.unwrap_or(MTU);
    if !LENGTHS.contains(&mtu) {
        return Err(wrong(&format!("packets of {mtu} bytes")));
    }
    if described.apart && described.outside {
        return Err(wrong("a way to the outside that does not lead by this host"));
    }
    Ok(Environment { id, subnets, outside: described.outside, mtu, apart: described.apart })
}

/// The tunnel as the kernel gets to know it.
///
/// # Errors
/// [`Code::Usage`] when hosts cannot talk so.
pub fn tunnel(home: &Home, described: abi::network::Tunnel, environment: &str) -> Result<Tunnel, Fault> {
    let abi::network::Tunnel { address, peers, secret } = described;
    let encryption = secret.map(|secret| encryption(home, &secret, environment)).transpose()?;
    let tunnel = Tunnel { address, peers, encryption };
    if tunnel.is_sound() {
        return Ok(tunnel);
    }
    let peers: Vec<_> = tunnel.peers.iter().map(ToString::to_string).collect();
    Err(Fault::new(Code::Usage, format!("Could not span the environment \"{environment}\""))
        .because(format!("the host {address} cannot talk to {}", peers.join(" and ")))
        .hint("All hosts of an environment have addresses of IPv4, or all of IPv6, and each its own"))
}

fn encryption(home: &Home, secret: &str, environment: &str) -> Result<Encryption, Fault> {
    let secret = secret.parse().map_err(|()| {
        Fault::new(Code::Usage, format!("Could not span the environment \"{environment}\""))
            .because("its secret has not 64 hexadecimal digits")
    })?;
    Ok(Encryption { secret, accounts: key_accounts(home), period: PERIOD })
}

/// Which keys this host has used between hosts: it outlasts environments.
#[must_use]
pub fn key_accounts(home: &Home) -> PathBuf {
    home.data.join("keys")
}

pub fn member(link: &Link) -> Result<Member, Fault> {
    let environment = environment(&link.environment)?;
    Member::of(environment, &link.addresses).ok_or_else(|| {
        let addresses: Vec<_> = link.addresses.iter().map(ToString::to_string).collect();
        Fault::new(Code::Usage, format!("Could not join the environment \"{}\"", link.environment.name))
            .because(format!("it has no member with the addresses {}", addresses.join(" and ")))
    })
}

/// Takes back the rights of an application that is being forgotten, where no other one has them now.
pub fn release(home: &Home, gone: &Meta) {
    let links = gone.network.iter().flat_map(|own| &own.links);
    let others: Vec<Meta> = meta::all(home).into_iter().filter(|meta| meta.aid != gone.aid).collect();
    let taken = |link: &Link| {
        let theirs = others.iter().filter_map(|meta| meta.network.as_ref()).flat_map(|own| &own.links);
        theirs
            .into_iter()
            .any(|other| other.environment.id == link.environment.id && other.addresses == link.addresses)
    };
    for link in links.filter(|link| !taken(link)) {
        // What is left of it does nothing: nobody has the address.
        let _ = member(link).map(|member| member.detach());
    }
}

/// The error for a change of the network that the kernel did not make; `attempt` is what it was for.
pub fn kernel_refused(attempt: &str, error: network::Error) -> Fault {
    let fault = |code| Fault::new(code, format!("Could not {attempt}")).because(&error);
    match error.errno {
        Errno::EPERM | Errno::EACCES => fault(Code::NotPermitted).hint("Environments are made by root"),
        _ if error.lacks_feature() => fault(Code::HostLacks).hint(FEATURES),
        _ => fault(Code::Other),
    }
}
