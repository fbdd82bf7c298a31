//! What members of environments can do, and what is left of them.

mod stage;

use network::nftables::{Family, table};
use network::route::Rtnetlink;
use network::{Environment, Member};
use stage::{Computer, environment, hear, on_a_host};
use std::os::fd::AsFd;

fn left_on_host(environment: &Environment) -> Vec<String> {
    let links = Rtnetlink::open().expect("a conversation").links().expect("links");
    let mut left: Vec<String> =
        links.into_iter().map(|link| link.name).filter(|name| name.starts_with("st-")).collect();
    for family in [Family::Bridge, Family::Inet] {
        if table::exists(family, &environment.id.table()).expect("asked") {
            left.push(format!("{family:?} {}", environment.id.table()));
        }
    }
    left
}

#[test]
fn members_talk_and_the_host_reaches_each_on_the_same_port() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24", "fd73:7461:7369:2::/64"], false);
        let (web, store) = (Computer::new(), Computer::new());
        web.attach(&shop, &["10.10.2.1", "fd73:7461:7369:2::1"]).keep();
        store.attach(&shop, &["fd73:7461:7369:2::7", "10.10.2.7"]).keep();
        web.serve(80, "web");
        store.serve(80, "store");
        for address in ["10.10.2.7", "fd73:7461:7369:2::7"] {
            assert_eq!(web.hear(address, 80).as_deref(), Some("store"), "{address} from a member");
            assert_eq!(hear(address, 80).as_deref(), Some("store"), "{address} from the host");
        }
        assert_eq!(store.hear("10.10.2.1", 80).as_deref(), Some("web"));
        assert_eq!(hear("10.10.2.1", 80).as_deref(), Some("web"));
        let seen = shop.inspect().expect("looked at");
        assert!(seen.present);
        assert_eq!(seen.ports.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 7]);
        assert!(seen.traffic().received_packets > 10, "{seen:?}");
        assert!(seen.stopped.iter().all(|count| count.packets == 0), "{:?}", seen.stopped);
    });
}

#[test]
fn members_of_different_environments_do_not_reach_each_other() {
    on_a_host(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("a host that forwards");
        let shop = environment("aaaaaa", &["10.10.2.0/24"], true);
        let bank = environment("bbbbbb", &["10.10.3.0/24"], true);
        let (customer, safe) = (Computer::new(), Computer::new());
        customer.attach(&shop, &["10.10.2.1"]).keep();
        safe.attach(&bank, &["10.10.3.1"]).keep();
        safe.serve(80, "safe");
        assert_eq!(customer.hear("10.10.3.1", 80), None);
        assert_eq!(hear("10.10.3.1", 80).as_deref(), Some("safe"));
        // The rules of either are asked first.
        let stopped = [shop, bank].map(|one| one.inspect().expect("looked at").stopped).concat();
        assert!(stopped.iter().any(|count| count.name == "outside" && count.packets > 0), "{stopped:?}");
    });
}

#[test]
fn an_environment_of_one_address_has_one_member() {
    on_a_host(|| {
        let alone = environment("cccccc", &["10.10.0.1/32"], false);
        let computer = Computer::new();
        computer.attach(&alone, &["10.10.0.1"]).keep();
        computer.serve(8080, "alone");
        assert_eq!(hear("10.10.0.1", 8080).as_deref(), Some("alone"));
        let other = "10.10.0.2".parse().expect("an address");
        assert_eq!(Member::of(alone, &[other]), None);
    });
}

#[test]
fn members_reach_the_outside_by_the_hosts_address_where_that_is_allowed() {
    on_a_host(|| {
        let world = Computer::new();
        world.connect("192.0.2.9", "192.0.2.1");
        world.serve(80, "world");
        let open = environment("aaaaaa", &["10.10.2.0/24"], true);
        let closed = environment("bbbbbb", &["10.10.3.0/24"], false);
        let (traveller, prisoner) = (Computer::new(), Computer::new());
        traveller.attach(&open, &["10.10.2.1"]).keep();
        prisoner.attach(&closed, &["10.10.3.1"]).keep();
        assert_eq!(traveller.hear("192.0.2.9", 80).as_deref(), Some("world"));
        assert_eq!(prisoner.hear("192.0.2.9", 80), None);
        // And nobody out there reaches members, though this host forwards now.
        traveller.serve(80, "traveller");
        let outside = Rtnetlink::open_in(world.handle().as_fd()).expect("a conversation");
        let wan = outside.link("wan").expect("asked").expect("there").number;
        outside.add_default_route(wan, "192.0.2.1".parse().expect("an address")).expect("a route");
        assert_eq!(world.hear("10.10.2.1", 80), None);
        let stopped = open.inspect().expect("looked at").stopped;
        assert!(stopped.iter().any(|count| count.name == "outside" && count.packets > 0), "{stopped:?}");
    });
}

#[test]
fn nothing_is_left_of_an_environment_that_is_removed() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24", "fd73:7461:7369:2::/64"], false);
        let computer = Computer::new();
        computer.attach(&shop, &["10.10.2.1", "fd73:7461:7369:2::1"]).keep();
        assert_eq!(left_on_host(&shop).len(), 4, "a bridge, a port, two tables");
        shop.remove().expect("removed");
        assert_eq!(left_on_host(&shop), Vec::<String>::new());
        shop.remove().expect("nothing to remove");
        assert!(!shop.inspect().expect("looked at").present);
    });
}

#[test]
fn a_member_that_comes_to_nothing_is_taken_out_again() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24"], false);
        drop(Computer::new().attach(&shop, &["10.10.2.1"]));
        assert!(shop.inspect().expect("looked at").ports.is_empty());
    });
}

#[test]
fn an_address_is_free_for_the_next_as_soon_as_its_member_has_ended() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24"], false);
        for word in ["one", "two", "three"] {
            let computer = Computer::new();
            computer.attach(&shop, &["10.10.2.1"]).keep();
            let listener = computer.run(|| std::net::TcpListener::bind("0.0.0.0:80").expect("a port"));
            std::thread::spawn(move || {
                use std::io::Write;
                listener.accept().expect("a caller").0.write_all(word.as_bytes())
            });
            assert_eq!(hear("10.10.2.1", 80).as_deref(), Some(word));
        }
    });
}

#[test]
fn rules_that_were_flushed_come_back_with_the_rights_of_members_that_are_there() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24"], false);
        let (web, store) = (Computer::new(), Computer::new());
        web.attach(&shop, &["10.10.2.1"]).keep();
        web.serve(80, "web");
        let mut batch = network::nftables::Batch::new();
        for family in [Family::Bridge, Family::Inet] {
            table::Table { batch: &mut batch, family, name: &shop.id.table() }.delete();
        }
        batch.commit(|| "flush".to_owned()).expect("flushed");
        store.attach(&shop, &["10.10.2.2"]).keep();
        assert_eq!(store.hear("10.10.2.1", 80).as_deref(), Some("web"));
    });
}

#[test]
fn many_members_are_attached_at_once() {
    on_a_host(|| {
        let shop = environment("aaaaaa", &["10.10.2.0/24"], false);
        let computers: Vec<Computer> = (0..24).map(|_| Computer::new()).collect();
        std::thread::scope(|scope| {
            for (number, computer) in (1..).zip(&computers) {
                let shop = &shop;
                scope.spawn(move || computer.attach(shop, &[&format!("10.10.2.{number}")]).keep());
            }
        });
        computers[0].serve(80, "first");
        assert_eq!(computers[23].hear("10.10.2.1", 80).as_deref(), Some("first"));
        assert_eq!(shop.inspect().expect("looked at").ports.len(), 24);
    });
}

#[test]
fn a_range_that_the_host_reaches_otherwise_is_told() {
    on_a_host(|| {
        Computer::new().connect("10.10.2.9", "10.10.2.1");
        let conflict = environment("aaaaaa", &["10.10.0.0/22"], false).conflict().expect("asked");
        let conflict = conflict.expect("a conflict");
        assert_eq!(
            (conflict.route.to_string(), conflict.link.as_deref()),
            ("10.10.2.0/24".into(), Some("uplink"))
        );
        let free = environment("bbbbbb", &["10.10.4.0/24"], false);
        assert_eq!(free.conflict().expect("asked"), None);
        free.ensure().expect("made");
        assert_eq!(free.conflict().expect("asked"), None, "its own route is none");
    });
}
