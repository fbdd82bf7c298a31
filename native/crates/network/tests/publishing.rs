//! Ports of a host that lead to members, and what is left when they do no more.

mod stage;

use network::nftables::{Family, table};
use network::publishing::{publish, publish_any};
use network::route::Rtnetlink;
use network::{Environment, Error, Member, Protocol, Published};
use stage::{Computer, environment, hear, on_a_host};
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use sys::Errno;

const WEB: Published = Published { protocol: Protocol::Tcp, host: 18080, member: 80 };

fn member(environment: &Environment, addresses: &[&str]) -> Member {
    let addresses: Vec<_> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    Member::of(environment.clone(), &addresses).expect("a member")
}

fn errno(refused: Result<OwnedFd, Error>) -> Errno {
    refused.expect_err("refused").errno
}

fn is_there(port: &str) -> bool {
    table::exists(Family::Inet, &format!("stasis-{port}")).expect("asked")
}

#[test]
fn a_port_leads_to_its_member_from_the_host_itself() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24", "fd73:7461:7369:2::/64"], false);
        let web = Computer::new();
        let addresses = ["10.10.2.1", "fd73:7461:7369:2::1"];
        web.attach(&shop, &addresses).keep();
        web.serve(80, "web");
        let _held = publish(&member(&shop, &addresses), WEB).expect("published");
        for address in ["169.254.77.1", "127.0.0.1", "127.3.4.5", "fd73:7461:7369:ffff::1"] {
            assert_eq!(hear(address, 18080).as_deref(), Some("web"), "{address}");
        }
        assert_eq!(hear("127.0.0.1", 18081), None);
        let refused = std::net::TcpStream::connect("[::1]:18080").expect_err("the kernel lets none out");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        // Members reach this host no more than before.
        assert_eq!(web.hear("169.254.77.1", 18080), None);
    });
}

#[test]
fn the_outside_reaches_what_is_published_and_nothing_else() {
    on_a_host(|| {
        let world = Computer::new();
        let outside = world.connect("192.0.2.9", "192.0.2.1");
        let wan = outside.link("wan").expect("asked").expect("there").number;
        outside.add_default_route(wan, "192.0.2.1".parse().expect("an address")).expect("a route");
        world.serve(80, "world");
        for (id, range, address, open) in
            [("aaaaaa", "10.10.2.0/24", "10.10.2.1", false), ("bbbbbb", "10.10.3.0/24", "10.10.3.1", true)]
        {
            let shop = environment(id, &[range], open);
            let web = Computer::new();
            web.attach(&shop, &[address]).keep();
            web.serve(80, "web");
            web.serve(81, "private");
            let held = publish(&member(&shop, &[address]), WEB).expect("published");
            assert_eq!(world.hear("192.0.2.1", 18080).as_deref(), Some("web"), "outside {open}");
            assert_eq!(world.hear(address, 80), None, "by its own address");
            assert_eq!(world.hear(address, 81), None);
            assert_eq!(web.hear("192.0.2.9", 80).is_some(), open, "it reaches out as before");
            drop(held);
            assert_eq!(world.hear("192.0.2.1", 18080), None);
        }
    });
}

#[test]
fn datagrams_find_their_way_and_back() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24"], false);
        let web = Computer::new();
        web.attach(&shop, &["10.10.2.1"]).keep();
        let server = web.run(|| UdpSocket::bind("0.0.0.0:53").expect("a port"));
        let port = Published { protocol: Protocol::Udp, host: 18053, member: 53 };
        let _held = publish(&member(&shop, &["10.10.2.1"]), port).expect("published");
        let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
        client.connect("127.0.0.1:18053").expect("connected");
        client.send(b"question").expect("sent");
        let mut text = [0; 16];
        let (length, from) = server.recv_from(&mut text).expect("received");
        assert_eq!((&text[..length], from.ip().to_string().as_str()), (&b"question"[..], "169.254.77.1"));
        server.send_to(b"answer", from).expect("sent");
        let length = client.recv(&mut text).expect("received");
        assert_eq!(&text[..length], b"answer");
    });
}

#[test]
fn a_port_that_is_taken_is_refused_and_any_other_is_found() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24"], false);
        let (web, store) = (Computer::new(), Computer::new());
        web.attach(&shop, &["10.10.2.1"]).keep();
        store.attach(&shop, &["10.10.2.2"]).keep();
        let (web, store) = (member(&shop, &["10.10.2.1"]), member(&shop, &["10.10.2.2"]));
        for address in ["127.0.0.1", "0.0.0.0", "::1"] {
            let listener = std::net::TcpListener::bind((address, 18080)).expect("a port");
            assert_eq!(errno(publish(&web, WEB)), Errno(98), "{address}");
            drop(listener);
        }
        let held = publish(&web, WEB).expect("published");
        assert_eq!(errno(publish(&store, WEB)), Errno::EEXIST);
        let udp = Published { protocol: Protocol::Udp, ..WEB };
        let _other = publish(&store, udp).expect("of another protocol");
        let (first, _one) = publish_any(&web, Protocol::Tcp, 80).expect("published");
        let (second, _two) = publish_any(&store, Protocol::Tcp, 80).expect("published");
        assert_eq!((first, second), (20000, 20001));
        assert!(is_there("tcp-18080"));
        // It goes with the last who has it.
        let duplicate = held.as_fd().try_clone_to_owned().expect("a duplicate");
        drop(held);
        assert_eq!(errno(publish(&store, WEB)), Errno::EEXIST);
        drop(duplicate);
        assert!(!is_there("tcp-18080"));
        publish(&store, WEB).expect("published by another");
    });
}

#[test]
fn a_namespace_without_environment_refuses() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24"], false);
        assert!(Rtnetlink::open().expect("open").link("st-aaaaaa").expect("asked").is_none());
        assert_eq!(errno(publish(&member(&shop, &["10.10.2.1"]), WEB)), Errno::ENOENT);
        assert!(!is_there("tcp-18080"));
    });
}
