//! Hosts for a test: network namespaces on one underlay, a bridge in the namespace of the test.

use super::{Computer, Wire};
use network::carrier::{PATIENCE, await_running};
use network::environment::MTU;
use network::link::Pair;
use network::messages::Conversation;
use network::names::Mac;
use network::nftables::{Family, table};
use network::route::Rtnetlink;
use network::{Environment, Tunnel};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Instant;

/// One host, as the others reach it.
pub struct Host {
    pub computer: Computer,
    pub address: IpAddr,
}

/// Makes hosts 1, 2, ... that reach each other by IPv4, or by IPv6.
pub fn hosts<const N: usize>(v4: bool) -> [Host; N] {
    let here = Rtnetlink::open().expect("a conversation");
    here.add_bridge("underlay", [2, 0, 0, 0, 0, 0xff]).expect("a bridge");
    let bridge = here.number_of("underlay").expect("there");
    here.switch_on(bridge).expect("on");
    std::array::from_fn(|index| {
        let number = u8::try_from(index + 1).expect("a small number");
        let computer = Computer::new();
        let name = format!("host{number}");
        here.add_pair(&Pair {
            name: &name,
            bridge,
            there: computer.handle().as_fd(),
            name_there: "wan",
            mac_there: [2, 0, 0, 0, 0, number],
            mtu: MTU,
        })
        .expect("a pair");
        here.switch_on(here.number_of(&name).expect("there")).expect("on");
        let there = Rtnetlink::open_in(computer.handle().as_fd()).expect("a conversation");
        let link = there.number_of("wan").expect("there");
        there.switch_on(link).expect("on");
        let (text, length) =
            if v4 { (format!("192.0.2.{number}"), 24) } else { (format!("2001:db8::{number}"), 64) };
        let address = text.parse().expect("an address");
        there.add_address(link, address, length).expect("an address");
        // What is sent before the kernel has noticed that both ends are on is lost.
        let here_too = || Conversation::open(libc::NETLINK_ROUTE);
        let in_there = || Conversation::open_in(computer.handle().as_fd(), libc::NETLINK_ROUTE);
        await_running(&there, "wan", PATIENCE, in_there).expect("carried");
        for name in [&name, "underlay"] {
            await_running(&here, name, PATIENCE, here_too).expect("carried");
        }
        Host { computer, address }
    })
}

impl Host {
    /// Makes the environment span this host and those.
    pub fn span(&self, environment: &Environment, peers: &[&Host]) {
        let peers = peers.iter().map(|peer| peer.address).collect();
        let tunnel = Tunnel { address: self.address, peers, encryption: None };
        self.run(|| environment.ensure_with(&tunnel)).expect("spanned");
    }

    /// A new member on this host.
    pub fn member(&self, environment: &Environment, addresses: &[&str]) -> Computer {
        let computer = Computer::new();
        self.run(|| computer.attach(environment, addresses).keep());
        computer
    }

    pub fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        self.computer.run(what)
    }

    /// What the rules of an environment have stopped here.
    pub fn stopped(&self, environment: &Environment, name: &str) -> u64 {
        let seen = self.run(|| environment.inspect()).expect("looked at");
        seen.stopped.iter().filter(|count| count.name == name).map(|count| count.packets).sum()
    }

    /// Waits until this host has learned that a member is on another one.
    pub fn learn(&self, environment: &Environment, member: Mac, on: &Host) {
        let limit = Instant::now() + PATIENCE;
        self.run(|| {
            let links = Rtnetlink::open().expect("a conversation");
            let tunnel = links.number_of(&environment.id.tunnel()).expect("there");
            let knows = || {
                let known = links.flooded(tunnel).expect("asked");
                known.iter().any(|known| known.mac == member && known.to == on.address)
            };
            while !knows() {
                assert!(Instant::now() < limit, "nobody has told");
                std::thread::yield_now();
            }
        });
    }

    /// Everything of environments that there is here.
    pub fn left(&self, environment: &Environment) -> Vec<String> {
        self.run(|| {
            let links = Rtnetlink::open().expect("a conversation").links().expect("links");
            let ours = |name: &String| name.starts_with("st-") || name.starts_with("stx-");
            let mut left: Vec<String> = links.into_iter().map(|link| link.name).filter(ours).collect();
            for name in [environment.id.table(), environment.id.tunnel_table()] {
                for family in [Family::Bridge, Family::Inet] {
                    if table::exists(family, &name).expect("asked") {
                        left.push(format!("{family:?} {name}"));
                    }
                }
            }
            left
        })
    }

    /// Sends what a link of that environment would bring from another host: a frame in a packet of VXLAN.
    pub fn smuggle(&self, number: u32, to: &Host, frame: &[u8]) {
        let header = [&[8, 0, 0, 0][..], &(number << 8).to_be_bytes(), frame].concat();
        self.run(|| {
            let socket = std::net::UdpSocket::bind((self.address, 0)).expect("a port");
            socket.send_to(&header, (to.address, 4789)).expect("sent");
        });
    }
}

/// Hears everything that reaches a member.
pub fn ear(member: &Computer) -> Wire {
    member.run(Wire::open)
}
