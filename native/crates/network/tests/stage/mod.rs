//! Computers for a test: network namespaces that it makes, and that go with it.

#![allow(dead_code)] // Each test file uses its part.

use network::environment::MTU;
pub mod encrypted;
pub mod frames;
pub mod hosts;

use network::link::Pair;
use network::route::Rtnetlink;
use network::{Attached, Environment, Member};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;
use sys::namespaces::{self, Namespaces};
use sys::{interfaces, network as sockets};

/// How long something that must not arrive is waited for.
pub const SILENCE: Duration = Duration::from_millis(200);

/// Plays in a network namespace of its own, whose loopback interface is up. A user who may make none skips the test, and says so.
pub fn on_a_host(play: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let played = scope.spawn(|| match namespaces::unshare(Namespaces::NETWORK) {
            Ok(()) => {
                interfaces::bring_up("lo").expect("loopback");
                play();
            }
            Err(errno) => eprintln!("skipped: no network namespace can be made: {errno}"),
        });
        played.join().expect("the play went well");
    });
}

pub fn environment(id: &str, subnets: &[&str], outside: bool) -> Environment {
    let subnets = subnets.iter().map(|text| text.parse().expect("a range")).collect();
    Environment { id: id.parse().expect("an id"), subnets, outside, mtu: MTU, apart: false }
}

/// A network namespace.
pub struct Computer(File);

impl Computer {
    pub fn new() -> Self {
        let make = || {
            namespaces::unshare(Namespaces::NETWORK).expect("a namespace");
            interfaces::bring_up("lo").expect("loopback");
            File::open("/proc/thread-self/ns/net").expect("its file")
        };
        Self(std::thread::scope(|scope| scope.spawn(make).join().expect("made")))
    }

    pub fn attach(&self, environment: &Environment, addresses: &[&str]) -> Attached {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        let member = Member::of(environment.clone(), &addresses).expect("a member");
        let attached = member.attach(self.0.as_fd(), "eth0").expect("attached");
        attached.open().expect("open");
        attached
    }

    /// Does something there.
    pub fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            namespaces::enter_network(self.0.as_fd()).expect("entered");
            what()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().expect("done"))
    }

    /// Answers one connection after another with `word`, for as long as the process lives.
    pub fn serve(&self, port: u16, word: &'static str) {
        let listener = self.run(|| TcpListener::bind(("::", port)).expect("a free port"));
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let _ = connection.write_all(word.as_bytes());
            }
        });
    }

    /// What is heard at an address, from here; `None` where nobody answers in time.
    pub fn hear(&self, address: &str, port: u16) -> Option<String> {
        self.run(|| hear(address, port))
    }

    /// Connects this computer with the host of the test by a pair of links: `here` is its address, `there` the host's.
    pub fn connect(&self, here: &str, there: &str) -> Rtnetlink {
        let host = Rtnetlink::open().expect("a conversation");
        host.add_bridge("uplink", [2, 0, 0, 0, 0, 1]).expect("a bridge");
        let bridge = host.link("uplink").expect("asked").expect("there").number;
        let pair = Pair {
            name: "uplink-port",
            bridge,
            there: self.0.as_fd(),
            name_there: "wan",
            mac_there: [2, 0, 0, 0, 0, 2],
            mtu: MTU,
        };
        host.add_pair(&pair).expect("a pair");
        for name in ["uplink", "uplink-port"] {
            host.switch_on(host.link(name).expect("asked").expect("there").number).expect("on");
        }
        host.add_address(bridge, there.parse().expect("an address"), 24).expect("an address");
        let outside = Rtnetlink::open_in(self.0.as_fd()).expect("a conversation");
        let link = outside.link("wan").expect("asked").expect("there").number;
        outside.switch_on(link).expect("on");
        outside.add_address(link, here.parse().expect("an address"), 24).expect("an address");
        outside
    }

    pub fn handle(&self) -> &File {
        &self.0
    }
}

pub fn hear(address: &str, port: u16) -> Option<String> {
    let address = SocketAddr::new(address.parse().expect("an address"), port);
    let mut connection = TcpStream::connect_timeout(&address, 3 * SILENCE).ok()?;
    let mut word = String::new();
    connection.set_read_timeout(Some(10 * SILENCE)).expect("set");
    connection.read_to_string(&mut word).ok()?;
    Some(word)
}

/// A raw socket on a link of the calling thread's namespace, for all frames.
pub struct Wire(std::os::fd::OwnedFd);

impl Wire {
    pub fn open() -> Self {
        Self::on("eth0")
    }

    pub fn on(link: &str) -> Self {
        const ALL: u16 = 3;
        let link = Rtnetlink::open().expect("a conversation").link(link).expect("asked").expect("there");
        let protocol = i32::from(ALL.to_be());
        let socket = sockets::socket(libc::AF_PACKET, libc::SOCK_RAW, protocol).expect("a raw socket");
        let mut address = (libc::AF_PACKET as u16).to_ne_bytes().to_vec();
        address.extend(ALL.to_be_bytes());
        address.extend(link.number.to_ne_bytes());
        address.extend([0; 12]);
        sockets::bind(socket.as_fd(), &address).expect("bound");
        Self(socket)
    }

    pub fn send(&self, frame: &[u8]) {
        sockets::send_to(self.0.as_fd(), frame, &[]).expect("sent");
    }

    /// Every frame that arrives until it has been silent for a while.
    pub fn receive(&self) -> Vec<Vec<u8>> {
        let timeout = libc::timeval { tv_sec: 0, tv_usec: SILENCE.subsec_micros().into() };
        let bytes: Vec<u8> = [timeout.tv_sec.to_ne_bytes(), timeout.tv_usec.to_ne_bytes()].concat();
        sys::socket_options::set_option(self.0.as_fd(), libc::SOL_SOCKET, libc::SO_RCVTIMEO, &bytes)
            .expect("set");
        std::iter::from_fn(|| sockets::receive(self.0.as_fd(), 2048).ok()).collect()
    }
}
