//! Questions and orders about interfaces, addresses, routes and rules (rtnetlink(7)).

use crate::explain::{Explain, Result};
use crate::sockets::Sockets;
use crate::state::descriptors::network::messages::{
    Conversation, NLM_F_ACK, NLM_F_REQUEST, attribute, attributes, message, word,
};

const NETLINK_ROUTE: i32 = 0;
const NEWLINK: u16 = 16;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const GETROUTE: u16 = 26;
const GETRULE: u16 = 34;
const NLM_F_CREATE: u16 = 0x400;
/// `struct ifinfomsg`, `struct ifaddrmsg`, `struct rtmsg` and `struct fib_rule_hdr`.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// An interface of a network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    pub up: bool,
    pub mtu: u32,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// AF_INET, AF_INET6.
    pub family: u8,
    pub prefix: u8,
    /// RT_SCOPE_HOST and so on.
    pub scope: u8,
    pub bytes: Vec<u8>,
}

/// A conversation about the routing of one network namespace.
pub struct Router(Conversation);

impl Router {
    pub fn open(sockets: &Sockets) -> Result<Self> {
        let socket = sockets.netlink(NETLINK_ROUTE);
        socket
            .map(|socket| Self(socket.into()))
            .explain(|| "Could not ask about the application's network namespace".to_owned())
    }

    pub fn interfaces(&self) -> Result<Vec<Interface>> {
        let bodies = self.dump(GETLINK, &[0; LINK_HEADER], "interfaces")?;
        Ok(bodies.iter().map(|body| parse_interface(body)).collect())
    }

    /// The addresses of one interface.
    pub fn addresses(&self, index: u32) -> Result<Vec<Address>> {
        let bodies = self.dump(GETADDR, &[0; ADDRESS_HEADER], "addresses")?;
        let own = bodies.iter().filter(|body| word(body, 4) == index);
        Ok(own.filter_map(|body| parse_address(body)).collect())
    }

    /// Routes that somebody has made, rather than the kernel by itself: the interface that each leads to, 0 for none.
    pub fn made_routes(&self) -> Result<Vec<u32>> {
        const OUTPUT: u16 = 4;
        const BY_KERNEL: u8 = 2;
        const CLONED: u32 = 0x200;
        let bodies = self.dump(GETROUTE, &[0; ROUTE_HEADER], "routes")?;
        let made = bodies.iter().filter(|body| {
            let protocol = body.get(5).copied().unwrap_or(0);
            protocol != BY_KERNEL && word(body, 8) & CLONED == 0
        });
        Ok(made.map(|body| number(body, OUTPUT)).collect())
    }

    /// The priorities of the rules that decide which table of routes is looked at. A kernel that knows one table only
    /// has no rules.
    pub fn rules(&self) -> Vec<u32> {
        const PRIORITY: u16 = 6;
        let bodies = self.dump(GETRULE, &[0; ROUTE_HEADER], "routing rules").unwrap_or_default();
        bodies.iter().map(|body| number(body, PRIORITY)).collect()
    }

    /// Switches an interface on or off, and sets how long its packets may be.
    pub fn set_interface(&self, wanted: &Interface) -> sys::Result<()> {
        const MTU: u16 = 4;
        let up = libc::IFF_UP as u32;
        let mut body = vec![0; 4];
        body.extend(wanted.index.to_ne_bytes());
        body.extend(if wanted.up { up } else { 0 }.to_ne_bytes());
        body.extend(up.to_ne_bytes());
        body.extend(attribute(MTU, &wanted.mtu.to_ne_bytes()));
        self.order(NEWLINK, 0, &body)
    }

    pub fn add_address(&self, index: u32, address: &Address) -> sys::Result<()> {
        self.order(NEWADDR, NLM_F_CREATE, &address.body(index))
    }

    pub fn remove_address(&self, index: u32, address: &Address) -> sys::Result<()> {
        self.order(DELADDR, 0, &address.body(index))
    }

    fn dump(&self, kind: u16, body: &[u8], what: &str) -> Result<Vec<Vec<u8>>> {
        let what = || format!("Could not list the {what} of the application's network namespace");
        self.0.dump(kind, body).explain(what)
    }

    fn order(&self, kind: u16, flags: u16, body: &[u8]) -> sys::Result<()> {
        self.0.ask(&message(kind, NLM_F_REQUEST | NLM_F_ACK | flags, 1, body))
    }
}

/// The number that an attribute of a route or a rule holds; 0 where there is none.
fn number(body: &[u8], wanted: u16) -> u32 {
    let list = attributes(body.get(ROUTE_HEADER..).unwrap_or_default());
    list.iter().find(|(kind, _)| *kind == wanted).map_or(0, |(_, value)| word(value, 0))
}

fn parse_interface(body: &[u8]) -> Interface {
    const NAME: u16 = 3;
    const MTU: u16 = 4;
    let mut interface = Interface {
        index: word(body, 4),
        name: String::new(),
        up: word(body, 8) & libc::IFF_UP as u32 != 0,
        mtu: 0,
    };
    for (kind, value) in attributes(body.get(LINK_HEADER..).unwrap_or_default()) {
        match kind {
            NAME => {
                interface.name = String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into();
            }
            MTU => interface.mtu = word(value, 0),
            _ => {}
        }
    }
    interface
}

fn parse_address(body: &[u8]) -> Option<Address> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let list = attributes(body.get(ADDRESS_HEADER..)?);
    let of = |wanted| list.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value.to_vec());
    let bytes = of(LOCAL).or_else(|| of(ADDRESS))?;
    Some(Address { family: body[0], prefix: body[1], scope: body[3], bytes })
}

impl Address {
    fn body(&self, index: u32) -> Vec<u8> {
        const ADDRESS: u16 = 1;
        const LOCAL: u16 = 2;
        // Else an IPv6 address cannot be bound to before the kernel has seen that nobody else has it.
        const NO_DUPLICATE_DETECTION: u8 = 0x02;
        let flags = if i32::from(self.family) == libc::AF_INET6 { NO_DUPLICATE_DETECTION } else { 0 };
        let mut body = vec![self.family, self.prefix, flags, self.scope];
        body.extend(index.to_ne_bytes());
        body.extend(attribute(LOCAL, &self.bytes));
        body.extend(attribute(ADDRESS, &self.bytes));
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_namespace_has_a_loopback_interface() {
        let router = Router::open(&Sockets::default()).expect("a socket");
        let interfaces = router.interfaces().expect("a list");
        let loopback = interfaces.iter().find(|interface| interface.name == "lo").expect("it is there");
        let addresses = router.addresses(loopback.index).expect("a list");
        let first = addresses.iter().any(|address| address.bytes == [127, 0, 0, 1] && address.prefix == 8);
        assert_eq!(first, loopback.up, "{addresses:?}");
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let address = Address { family: 2, prefix: 8, scope: 254, bytes: vec![127, 0, 0, 1] };
        assert_eq!(parse_address(&address.body(1)), Some(address.clone()));
    }
}
