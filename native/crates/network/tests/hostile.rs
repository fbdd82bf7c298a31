//! A member that does what it likes on its own link: everything that is not its own is stopped, and counted.

mod stage;

use network::Environment;
use network::names::{HOST_MAC, HOST_V4, HOST_V6, link_local, member_mac};
use stage::frames::{arp, ethernet, has_mark, icmpv6, ipv4, ipv6, udp};
use stage::{Computer, Wire, environment, on_a_host};
use std::net::{Ipv4Addr, Ipv6Addr};

const OWN: u32 = 1;
const VICTIM: u32 = 2;

fn v4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 10, 2, number)
}

fn v6(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd73, 0x7461, 0x7369, 2, 0, 0, 0, number)
}

fn udp_from(port: u16) -> Vec<u8> {
    let mut datagram = udp();
    datagram[..2].copy_from_slice(&port.to_be_bytes());
    datagram
}

/// The first bytes behind the header become an option of it: a loose source route without places (RFC 791).
fn with_route(mut packet: Vec<u8>) -> Vec<u8> {
    packet[0] += 1;
    packet[20..24].copy_from_slice(&[131, 3, 4, 0]);
    packet
}

/// What it tries, each with a name.
fn tries() -> Vec<(&'static str, Vec<u8>)> {
    let (own, victim) = (member_mac(OWN), member_mac(VICTIM));
    let all = [0xff; 6];
    let (me, you) = (v4(1), v4(2));
    let (me6, you6) = (v6(1), v6(2));
    let local = link_local(own);
    let nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let strange = [2, 1, 2, 3, 4, 5];
    let datagram = |from| ipv4(from, you, 17, &udp());
    let datagram6 = |from| ipv6(from, you6, 17, &udp());
    let elsewhere = ipv4(me, Ipv4Addr::new(10, 10, 3, 1), 17, &udp());
    let behind_fragment = [&[58, 0, 0, 0, 0, 0, 0, 1][..], &icmpv6(134, me6)].concat();
    let behind_options = [&[58, 0, 1, 4, 0, 0, 0, 0][..], &icmpv6(136, you6)].concat();
    vec![
        ("an address of nobody", ethernet(victim, own, 0x0800, &datagram(v4(77)))),
        ("the victim's own address", ethernet(victim, own, 0x0800, &datagram(you))),
        ("the host's address", ethernet(victim, own, 0x0800, &datagram(HOST_V4))),
        ("an address of the outside", ethernet(victim, own, 0x0800, &datagram(Ipv4Addr::new(1, 1, 1, 1)))),
        ("a loopback address", ethernet(victim, own, 0x0800, &datagram(Ipv4Addr::LOCALHOST))),
        ("a link-layer address of nobody", ethernet(victim, strange, 0x0800, &datagram(me))),
        ("the victim's link-layer address", ethernet(victim, victim, 0x0800, &datagram(me))),
        ("the host's link-layer address", ethernet(victim, HOST_MAC, 0x0800, &datagram(me))),
        ("both of another member", ethernet(victim, member_mac(3), 0x0800, &datagram(v4(3)))),
        ("a broadcast from another address", ethernet(all, own, 0x0800, &ipv4(v4(9), v4(255), 17, &udp()))),
        ("an ICMP redirect", ethernet(victim, own, 0x0800, &ipv4(me, you, 1, &[5, 1, 0, 0, 10, 10, 2, 1]))),
        ("the host's address by ARP", ethernet(all, own, 0x0806, &arp(2, own, HOST_V4, you))),
        ("another's address by ARP", ethernet(victim, own, 0x0806, &arp(2, own, v4(3), you))),
        ("an ARP request in another's name", ethernet(victim, own, 0x0806, &arp(1, own, v4(3), you))),
        ("another link-layer address by ARP", ethernet(victim, own, 0x0806, &arp(2, strange, me, you))),
        (
            "ARP about foreign ranges",
            ethernet(all, own, 0x0806, &arp(1, own, me, Ipv4Addr::new(10, 10, 3, 1))),
        ),
        ("a VLAN tag", ethernet(victim, own, 0x8100, &[&[0, 5, 8, 0][..], &datagram(me)].concat())),
        ("a service VLAN tag", ethernet(victim, own, 0x88a8, &[&[0, 5, 8, 0][..], &datagram(me)].concat())),
        ("LLDP", ethernet(victim, own, 0x88cc, &[2, 7, 4])),
        ("an experimental ethertype", ethernet(victim, own, 0x88b5, b"")),
        ("a spanning tree message", ethernet(victim, own, 0x0027, &[0x42, 0x42, 3, 0, 0, 0])),
        ("PPPoE", ethernet(victim, own, 0x8863, &[0x11, 9, 0, 0, 0, 0])),
        ("an IPv6 address of nobody", ethernet(victim, own, 0x86dd, &datagram6(v6(77)))),
        ("the victim's IPv6 address", ethernet(victim, own, 0x86dd, &datagram6(you6))),
        ("the host's IPv6 address", ethernet(victim, own, 0x86dd, &datagram6(HOST_V6))),
        ("another's link-local address", ethernet(victim, own, 0x86dd, &datagram6(link_local(victim)))),
        ("a router advertisement", ethernet(victim, own, 0x86dd, &ipv6(local, nodes, 58, &icmpv6(134, me6)))),
        ("an IPv6 redirect", ethernet(victim, own, 0x86dd, &ipv6(local, you6, 58, &icmpv6(137, me6)))),
        (
            "another's address by advertisement",
            ethernet(victim, own, 0x86dd, &ipv6(me6, you6, 58, &icmpv6(136, v6(3)))),
        ),
        ("the same behind options", ethernet(victim, own, 0x86dd, &ipv6(me6, you6, 0, &behind_options))),
        (
            "a router advertisement as a fragment",
            ethernet(victim, own, 0x86dd, &ipv6(local, nodes, 44, &behind_fragment)),
        ),
        ("a source route", ethernet(victim, own, 0x0800, &with_route(datagram(me)))),
        ("a DHCP offer", ethernet(all, own, 0x0800, &ipv4(me, Ipv4Addr::BROADCAST, 17, &udp_from(67)))),
        ("a DHCPv6 reply", ethernet(victim, own, 0x86dd, &ipv6(me6, you6, 17, &udp_from(547)))),
        ("another environment by way of a member", ethernet(victim, own, 0x0800, &elsewhere)),
        (
            "an IPv6 routing header",
            ethernet(victim, own, 0x86dd, &ipv6(me6, you6, 43, &[17, 0, 0, 0, 0, 0, 0, 0])),
        ),
        ("the nearest bridge", ethernet([1, 0x80, 0xc2, 0, 0, 0x0e], own, 0x0800, &datagram(me))),
        ("its slow protocols", ethernet([1, 0x80, 0xc2, 0, 0, 0x02], own, 0x0800, &datagram(me))),
        ("IPv6 that ends early", ethernet(victim, own, 0x86dd, &[0x60, 0, 0, 0])),
    ]
}

fn count(shop: &Environment, name: &str) -> u64 {
    let stopped = shop.inspect().expect("looked at").stopped;
    stopped.iter().find(|count| count.name == name).expect("the counter").packets
}

#[test]
fn nothing_passes_that_a_member_says_in_anothers_name() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24", "fd73:7461:7369:2::/64"], false);
        let (hostile, victim) = (Computer::new(), Computer::new());
        hostile.attach(&shop, &["10.10.2.1", "fd73:7461:7369:2::1"]).keep();
        victim.attach(&shop, &["10.10.2.2", "fd73:7461:7369:2::2"]).keep();
        let ear = victim.run(Wire::open);
        let mouth = hostile.run(Wire::open);
        let honest = ethernet(member_mac(VICTIM), member_mac(OWN), 0x0800, &ipv4(v4(1), v4(2), 17, &udp()));
        mouth.send(&honest);
        assert!(ear.receive().iter().any(|frame| has_mark(frame)), "what is its own arrives");
        let tries = tries();
        assert!(tries.len() >= 20);
        let mut before = count(&shop, "spoofed");
        for (name, frame) in &tries {
            mouth.send(frame);
            let now = count(&shop, "spoofed");
            assert_eq!(now, before + 1, "{name} is counted");
            before = now;
        }
        let heard: Vec<_> = ear.receive().into_iter().filter(|frame| has_mark(frame)).collect();
        assert!(heard.is_empty(), "{heard:02x?}");
    });
}

#[test]
fn no_member_reaches_an_address_of_the_host() {
    on_a_host(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("a host that forwards");
        let shop = environment("aaaaaa", &["10.10.2.0/24", "fd73:7461:7369:2::/64"], true);
        let bank = environment("bbbbbb", &["10.10.3.0/24"], true);
        bank.ensure().expect("made");
        let world = Computer::new();
        world.connect("192.0.2.9", "192.0.2.1");
        std::thread::spawn(|| {
            let listener = std::net::TcpListener::bind("[::]:22").expect("a port of the host");
            listener.incoming().for_each(drop);
        });
        let hostile = Computer::new();
        hostile.attach(&shop, &["10.10.2.1", "fd73:7461:7369:2::1"]).keep();
        for address in ["169.254.77.1", "192.0.2.1", "fd73:7461:7369:ffff::1"] {
            let before = count(&shop, "host");
            assert_eq!(hostile.hear(address, 22), None, "{address}");
            assert!(count(&shop, "host") > before, "{address} is counted");
        }
        let wire = hostile.run(Wire::open);
        // Straight to the host's link-layer address, for an address behind another bridge and for a loopback one.
        for (to, counter) in [(Ipv4Addr::LOCALHOST, None), (Ipv4Addr::new(169, 254, 77, 1), Some("host"))] {
            let before = counter.map(|name| count(&shop, name));
            let packet = ipv4(v4(1), to, 17, &udp());
            wire.send(&ethernet(HOST_MAC, member_mac(OWN), 0x0800, &packet));
            assert!(counter.map(|name| count(&shop, name)) >= before, "{to}");
        }
    });
}
