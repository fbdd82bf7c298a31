//! What comes to a host as from another one, and is not from a member there: it is stopped, and counted.

mod stage;

use network::Environment;
use network::names::{HOST_MAC, HOST_V4, HOST_V6, link_local, member_mac};
use stage::frames::{arp, ethernet, has_mark, icmpv6, ipv4, ipv6, udp};
use stage::hosts::{Host, ear, hosts};
use stage::{environment, on_a_host};
use std::net::{Ipv4Addr, Ipv6Addr};

/// On the host that is tried.
const VICTIM: u32 = 2;
const NEIGHBOUR: u32 = 3;
/// On the other.
const REMOTE: u32 = 7;

const NUMBER: u32 = 0x00aa_aaaa;

fn v4(number: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 10, 2, number as u8)
}

fn v6(number: u32) -> Ipv6Addr {
    Ipv6Addr::new(0xfd73, 0x7461, 0x7369, 2, 0, 0, 0, number as u16)
}

fn arp_from(sender: u32, mac: [u8; 6], from: Ipv4Addr, about: Ipv4Addr) -> Vec<u8> {
    ethernet([0xff; 6], member_mac(sender), 0x0806, &arp(1, mac, from, about))
}

fn datagram(sender: [u8; 6], from: Ipv4Addr) -> Vec<u8> {
    ethernet(member_mac(VICTIM), sender, 0x0800, &ipv4(from, v4(VICTIM), 17, &udp()))
}

fn datagram6(sender: [u8; 6], from: Ipv6Addr) -> Vec<u8> {
    ethernet(member_mac(VICTIM), sender, 0x86dd, &ipv6(from, v6(VICTIM), 17, &udp()))
}

fn discovery(kind: u8, about: Ipv6Addr) -> Vec<u8> {
    let nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    ethernet([0xff; 6], member_mac(REMOTE), 0x86dd, &ipv6(v6(REMOTE), nodes, 58, &icmpv6(kind, about)))
}

/// What a host may not bring, each with a name.
fn tries() -> Vec<(&'static str, Vec<u8>)> {
    let (remote, here) = (member_mac(REMOTE), member_mac(NEIGHBOUR));
    let packet = ipv4(v4(REMOTE), v4(VICTIM), 17, &udp());
    let redirect = ipv4(v4(REMOTE), v4(VICTIM), 1, &[5, 1, 0, 0, 10, 10, 2, 1]);
    vec![
        ("a frame from the host", datagram(HOST_MAC, v4(REMOTE))),
        ("a frame from nobody's link-layer address", datagram([2, 0x73, 0x74, 0x10, 0, 7], v4(REMOTE))),
        ("a frame from a foreign link-layer address", datagram([2, 1, 2, 3, 4, 5], v4(REMOTE))),
        ("a frame from a member that is here", datagram(here, v4(NEIGHBOUR))),
        ("a frame from the victim", datagram(member_mac(VICTIM), v4(REMOTE))),
        ("a frame to the host", ethernet(HOST_MAC, remote, 0x0800, &packet)),
        ("the address of a member that is here", datagram(remote, v4(NEIGHBOUR))),
        ("the host's address", datagram(remote, HOST_V4)),
        ("an address of the outside", datagram(remote, Ipv4Addr::new(192, 0, 2, 1))),
        ("a loopback address", datagram(remote, Ipv4Addr::LOCALHOST)),
        ("an ICMP redirect", ethernet(member_mac(VICTIM), remote, 0x0800, &redirect)),
        ("ARP for the host", arp_from(REMOTE, remote, v4(REMOTE), HOST_V4)),
        ("the host's address by ARP", arp_from(REMOTE, remote, HOST_V4, v4(VICTIM))),
        ("the host's link-layer address by ARP", arp_from(REMOTE, HOST_MAC, v4(REMOTE), v4(VICTIM))),
        ("a member's address by ARP", arp_from(REMOTE, remote, v4(NEIGHBOUR), v4(VICTIM))),
        ("a member's link-layer address by ARP", arp_from(REMOTE, here, v4(REMOTE), v4(VICTIM))),
        ("ARP about foreign ranges", arp_from(REMOTE, remote, v4(REMOTE), Ipv4Addr::new(10, 10, 3, 1))),
        ("a VLAN tag", ethernet(member_mac(VICTIM), remote, 0x8100, &[&[0, 5, 8, 0][..], &packet].concat())),
        ("LLDP", ethernet(member_mac(VICTIM), remote, 0x88cc, &[2, 7, 4])),
        ("the IPv6 address of a member that is here", datagram6(remote, v6(NEIGHBOUR))),
        ("its link-local address", datagram6(remote, link_local(here))),
        ("the host's IPv6 address", datagram6(remote, HOST_V6)),
        ("a foreign link-local address", datagram6(remote, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1))),
        ("a router advertisement", discovery(134, v6(REMOTE))),
        ("an IPv6 redirect", discovery(137, v6(REMOTE))),
        ("solicitation of the host", discovery(135, HOST_V6)),
        ("the host's address by advertisement", discovery(136, HOST_V6)),
        ("a member's address by advertisement", discovery(136, v6(NEIGHBOUR))),
    ]
}

fn shop() -> Environment {
    Environment { mtu: 1430, ..environment("aaaaaa", &["10.10.2.0/24", "fd73:7461:7369:2::/64"], false) }
}

#[test]
fn a_host_brings_frames_of_its_members_and_no_others() {
    on_a_host(|| {
        let shop = shop();
        let [tried, hostile, stranger]: [Host; 3] = hosts(true);
        tried.span(&shop, &[&hostile]);
        let victim = tried.member(&shop, &["10.10.2.2", "fd73:7461:7369:2::2"]);
        let _neighbour = tried.member(&shop, &["10.10.2.3", "fd73:7461:7369:2::3"]);
        // It answers nothing by itself.
        let _port = victim.run(|| std::net::UdpSocket::bind("[::]:9").expect("a port"));
        let heard = ear(&victim);
        let marked = || heard.receive().into_iter().filter(|frame| has_mark(frame)).collect::<Vec<_>>();
        let honest = [
            datagram(member_mac(REMOTE), v4(REMOTE)),
            datagram6(member_mac(REMOTE), v6(REMOTE)),
            arp_from(REMOTE, member_mac(REMOTE), v4(REMOTE), v4(VICTIM)),
            discovery(135, v6(VICTIM)),
            discovery(136, v6(REMOTE)),
        ];
        for frame in &honest {
            hostile.smuggle(NUMBER, &tried, frame);
        }
        assert_eq!(marked().len(), honest.len(), "what is of its members arrives");
        let mut before = tried.stopped(&shop, "tunnel");
        assert_eq!(before, 0);
        for (name, frame) in tries() {
            hostile.smuggle(NUMBER, &tried, &frame);
            let now = tried.stopped(&shop, "tunnel");
            assert_eq!(now, before + 1, "{name} is counted");
            before = now;
        }
        assert_eq!(marked(), Vec::<Vec<u8>>::new());
        // From a host that has no part in it, even what is honest is nothing.
        for frame in &honest {
            stranger.smuggle(NUMBER, &tried, frame);
        }
        assert_eq!(tried.stopped(&shop, "tunnel"), before + honest.len() as u64);
        // Of another environment that this host knows nothing of.
        hostile.smuggle(0x00bb_bbbb, &tried, &honest[0]);
        assert_eq!(marked(), Vec::<Vec<u8>>::new());
        assert_eq!(tried.stopped(&shop, "tunnel"), before + honest.len() as u64);
    });
}

#[test]
fn nothing_of_a_host_itself_goes_to_others() {
    on_a_host(|| {
        let shop = shop();
        let [tried, listening]: [Host; 2] = hosts(true);
        tried.span(&shop, &[&listening]);
        let member = tried.member(&shop, &["10.10.2.2", "fd73:7461:7369:2::2"]);
        // It has a program that listens for the tunnel's packets, and no tunnel.
        let socket = listening.run(|| std::net::UdpSocket::bind((listening.address, 4789)).expect("a port"));
        socket.set_read_timeout(Some(stage::SILENCE)).expect("set");
        let told = || {
            let mut room = [0; 2048];
            std::iter::from_fn(|| socket.recv(&mut room).ok().map(|length| room[8..length].to_vec()))
                .collect::<Vec<_>>()
        };
        let news = told();
        assert!(!news.is_empty(), "where the member is");
        assert!(news.iter().all(|frame| frame[6..12] == member_mac(VICTIM)), "{news:02x?}");
        // The host asks for members that are elsewhere, and members ask for the host.
        tried.run(|| {
            for address in ["10.10.2.7", "fd73:7461:7369:2::7"] {
                assert_eq!(stage::hear(address, 80), None);
            }
        });
        member.serve(80, "here");
        for address in ["10.10.2.2", "fd73:7461:7369:2::2"] {
            assert_eq!(tried.computer.hear(address, 80).as_deref(), Some("here"));
        }
        for address in ["169.254.77.1", "fd73:7461:7369:ffff::1"] {
            assert_eq!(member.hear(address, 80), None);
        }
        assert_eq!(told(), Vec::<Vec<u8>>::new());
    });
}
