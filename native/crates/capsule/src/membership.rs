//! Applications as members of virtual network environments.

use crate::meta::{self, Meta};
use abi::network::Link;
use abi::request::Home;
use abi::{Code, Fault};
use network::{Environment, Member};
use sys::Errno;

const FEATURES: &str = "A kernel with bridges, veth and nftables for both is needed (CONFIG_BRIDGE, CONFIG_VETH, CONFIG_NF_TABLES_BRIDGE, CONFIG_NF_TABLES_INET, CONFIG_NFT_CT, CONFIG_NFT_MASQ)";

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
    Ok(Environment { id, subnets, outside: described.outside })
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
