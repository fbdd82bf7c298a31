//! Ports of the host that lead to an application: sockets that the helper keeps, so that they end with it.

use crate::capsule::Capsule;
use crate::link::{Link, LinkError};
use crate::membership::kernel_refused;
use abi::network::{OwnNetwork, Protocol, Published};
use abi::wire::Request;
use abi::{Code, Fault};
use network::publishing::{publish, publish_any};
use network::{Member, Taken};
use std::os::fd::{AsFd, OwnedFd};

/// Each with what holds it.
#[derive(Default)]
pub struct Ports(Vec<(Published, OwnedFd)>);

impl Ports {
    /// Lets ports of the host lead to a member, and writes down which were found. What is among the `inherited` is there already.
    ///
    /// # Errors
    /// [`Code::Other`] when one is taken, or the host has no way into the environment.
    pub fn publish(member: &Member, wanted: &mut [Published], inherited: &Self) -> Result<Self, Fault> {
        if let (true, Some(port)) = (member.environment().apart, wanted.first()) {
            return Err(failed(*port).because("the environment is apart from this host"));
        }
        let hold = |port: &mut Published| match inherited.duplicate(*port)? {
            Some(held) => Ok((*port, held)),
            None => obtain(member, port).map(|held| (*port, held)),
        };
        wanted.iter_mut().map(hold).collect::<Result<_, Fault>>().map(Self)
    }

    /// Those that a running application has; and lets the one that takes its place have the same, where it has the same address.
    ///
    /// # Errors
    /// When its helper does not answer.
    pub fn inherit(predecessor: &mut Capsule, successor: &mut OwnNetwork) -> Result<Self, Fault> {
        let Some(own) = predecessor.network().cloned() else { return Ok(Self::default()) };
        let mut ports = Vec::new();
        for link in own.links {
            let same = successor
                .links
                .iter_mut()
                .find(|new| new.environment.id == link.environment.id && new.addresses == link.addresses);
            let Some(same) = same else { continue };
            for port in &link.published {
                ports.extend(predecessor.take(&deposit(*port))?.map(|held| (*port, held)));
            }
            same.published = link.published;
        }
        Ok(Self(ports))
    }

    pub(crate) fn hand_over(&self, helper: &mut Link) -> Result<(), LinkError> {
        self.0.iter().try_for_each(|(port, held)| {
            helper.tell(&Request::Keep { name: deposit(*port) }, &[held.as_fd()])
        })
    }

    fn duplicate(&self, port: Published) -> Result<Option<OwnedFd>, Fault> {
        let held = self.0.iter().find(|(known, _)| *known == port);
        let copy = held.map(|(_, held)| held.try_clone()).transpose();
        copy.map_err(|error| failed(port).because(error))
    }
}

/// The name that the helper keeps it under.
fn deposit(port: Published) -> String {
    format!("{} port {}", port.protocol.name(), port.host)
}

fn obtain(member: &Member, port: &mut Published) -> Result<OwnedFd, Fault> {
    let exact = match port.host {
        0 => None,
        host => Some(publish(member, described(*port, host))),
    };
    match exact {
        Some(Ok(held)) => Ok(held),
        Some(Err(error)) if !(port.auto && error.port_taken().is_some()) => Err(refused(*port, error)),
        _ => {
            let protocol = described(*port, 0).protocol;
            let (host, held) =
                publish_any(member, protocol, port.port).map_err(|error| refused(*port, error))?;
            port.host = host;
            Ok(held)
        }
    }
}

fn described(port: Published, host: u16) -> network::Published {
    let protocol = match port.protocol {
        Protocol::Tcp => network::Protocol::Tcp,
        Protocol::Udp => network::Protocol::Udp,
    };
    network::Published { protocol, host, member: port.port }
}

fn refused(port: Published, error: network::Error) -> Fault {
    let Published { protocol, host, .. } = port;
    let taken = |how: &str| {
        failed(port)
            .because(format!("{} port {host} of this host {how}", protocol.name()))
            .hint("Choose another port of the host, or none: any that is free is taken then")
    };
    match error.port_taken() {
        Some(Taken::Bound) if host != 0 => taken("is taken: a program listens on it"),
        Some(Taken::Published) => taken("leads to another application"),
        _ if error.too_many() => {
            failed(port).because("this host publishes as many ports as the kernel allows")
        }
        _ => kernel_refused(&format!("publish the port {}", port.port), error),
    }
}

fn failed(port: Published) -> Fault {
    Fault::new(Code::Other, format!("Could not publish the port {}", port.port))
}
