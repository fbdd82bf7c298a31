//! Which TCP connections go on and which come back closed, one by one.

use crate::chain::Chain;
use crate::explain::Result;
use crate::ids::DescriptionId;
use crate::state::descriptors::KindV1;
use crate::state::descriptors::network::inet::{InetV1, RoleV1};
use crate::state::descriptors::network::{BodyV1, address};
use abi::edits::Connection;
use abi::request::Tcp;
use abi::{Code, Fault};
use serde_bytes::ByteBuf;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// Closes those that a rule says to close; where no rule fits, `otherwise` decides.
pub fn apply(chain: &mut Chain, rules: &[Connection], otherwise: Tcp) -> Result<()> {
    let rules = rules.iter().map(Rule::parse).collect::<Result<Vec<_>>>()?;
    let keeps = |ends: [Option<SocketAddr>; 2]| {
        let rule = rules.iter().find(|rule| ends.iter().flatten().any(|end| rule.fits(*end)));
        rule.map_or(otherwise == Tcp::Keep, |rule| rule.keep)
    };
    let ends: HashMap<DescriptionId, [Option<SocketAddr>; 2]> = chain
        .connections
        .list
        .iter()
        .map(|one| (one.description, [address::parse(&one.local), address::parse(&one.peer)]))
        .collect();
    let mut closed = HashSet::new();
    for description in &mut chain.descriptions {
        let KindV1::Network(socket) = &mut description.kind else { continue };
        let BodyV1::Inet(own) = &mut socket.body else { continue };
        let ends = match own.role {
            RoleV1::Connection => ends.get(&description.id).copied().unwrap_or_default(),
            RoleV1::Connecting => [address::parse(&own.local), address::parse(&own.peer)],
            _ => continue,
        };
        if !keeps(ends) {
            close(own);
            closed.insert(description.id);
        }
    }
    chain.connections.list.retain(|connection| !closed.contains(&connection.description));
    Ok(())
}

fn close(own: &mut InetV1) {
    own.role = RoleV1::Closed { unread: ByteBuf::new(), error: false };
    own.peer = ByteBuf::new();
}

/// `ADDRESS:PORT`, each of which may be `*`.
struct Rule {
    address: Option<IpAddr>,
    port: Option<u16>,
    keep: bool,
}

impl Rule {
    fn parse(wish: &Connection) -> Result<Self> {
        let mistake = || {
            Fault::new(Code::Usage, format!("Could not tell which connections \"{}\" means", wish.end))
                .because("it is no ADDRESS:PORT, with * for any")
        };
        let (address, port) = wish.end.rsplit_once(':').ok_or_else(mistake)?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let address = match address {
            "*" => None,
            address => Some(address.parse::<IpAddr>().map_err(|_| mistake())?.to_canonical()),
        };
        let port = match port {
            "*" => None,
            port => Some(port.parse().map_err(|_| mistake())?),
        };
        Ok(Self { address, port, keep: wish.keep })
    }

    fn fits(&self, end: SocketAddr) -> bool {
        let end = address::on_wire(end);
        self.address.is_none_or(|address| address == end.ip())
            && self.port.is_none_or(|port| port == end.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_mapped_addresses_fit() {
        let fits = |rule: &str, end: &str| {
            let rule = Rule::parse(&Connection { end: rule.to_owned(), keep: true }).expect("a rule");
            rule.fits(end.parse().expect("an address"))
        };
        assert!(
            fits("*:80", "1.2.3.4:80")
                && fits("1.2.3.4:*", "[::ffff:1.2.3.4]:9")
                && fits("[::1]:7", "[::1]:7")
        );
        assert!(!fits("*:80", "1.2.3.4:81") && !fits("1.2.3.5:*", "1.2.3.4:80"));
        assert!(Rule::parse(&Connection { end: "db".to_owned(), keep: true }).is_err());
    }
}
