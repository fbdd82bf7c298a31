//! Ports that are others on the host's network: listeners, and sockets that are bound and not connected.

use crate::state::descriptors::network::address;
use abi::edits::Port;
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;

/// Where each port of the application is. One that may be any becomes the one that its first socket gets.
#[derive(Debug, Default)]
pub struct Ports {
    wanted: BTreeMap<u16, u16>,
    taken: BTreeMap<u16, u16>,
}

impl Ports {
    pub fn new(ports: &[Port]) -> Self {
        Self { wanted: ports.iter().map(|port| (port.from, port.to)).collect(), taken: BTreeMap::new() }
    }

    /// The address to bind to in the place of `saved`.
    pub fn translate(&self, saved: &ByteBuf) -> Vec<u8> {
        let Some(mut address) = address::parse(saved) else { return saved.to_vec() };
        let port = address.port();
        let Some(to) = self.taken.get(&port).or_else(|| self.wanted.get(&port)) else {
            return saved.to_vec();
        };
        address.set_port(*to);
        address::bytes(address)
    }

    /// A socket that was bound to `saved` is bound to `now`.
    pub fn note(&mut self, saved: &[u8], now: &[u8]) {
        if let (Some(saved), Some(now)) = (address::parse(saved), address::parse(now))
            && self.wanted.contains_key(&saved.port())
        {
            self.taken.insert(saved.port(), now.port());
        }
    }

    /// Those that no socket was bound to.
    pub fn unused(&self) -> impl Iterator<Item = u16> {
        self.wanted.keys().copied().filter(|port| !self.taken.contains_key(port))
    }

    /// What became of those that the application has.
    pub fn taken(&self) -> Vec<Port> {
        self.taken.iter().map(|(from, to)| Port { from: *from, to: *to }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_socket_gets_the_port_that_the_first_got() {
        let address = |text: &str| ByteBuf::from(address::bytes(text.parse().expect("an address")));
        let mut ports = Ports::new(&[Port { from: 80, to: 0 }, Port { from: 81, to: 8081 }]);
        assert_eq!(ports.translate(&address("1.2.3.4:81")), address("1.2.3.4:8081").to_vec());
        assert_eq!(ports.translate(&address("1.2.3.4:82")), address("1.2.3.4:82").to_vec());
        assert_eq!(ports.translate(&address("1.2.3.4:80")), address("1.2.3.4:0").to_vec());
        ports.note(&address("1.2.3.4:80"), &address("1.2.3.4:4444"));
        ports.note(&address("1.2.3.4:82"), &address("1.2.3.4:82"));
        assert_eq!(ports.translate(&address("[::1]:80")), address("[::1]:4444").to_vec());
        assert_eq!(ports.unused().collect::<Vec<_>>(), [81]);
        assert_eq!(ports.taken(), [Port { from: 80, to: 4444 }]);
    }
}
