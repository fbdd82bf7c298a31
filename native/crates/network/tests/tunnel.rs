//! Environments that span hosts.

mod stage;

use network::names::member_mac;
use network::tunnel::Encryption;
use network::{Environment, Tunnel, xfrm};
use stage::hosts::{Host, hosts};
use stage::{environment, on_a_host};
use std::time::Instant;

const BOTH: &[&str] = &["10.10.2.0/24", "fd73:7461:7369:2::/64"];

fn spanning(id: &str, subnets: &[&str]) -> Environment {
    Environment { mtu: 1430, ..environment(id, subnets, false) }
}

/// Makes each host know all others.
fn span_all(environment: &Environment, hosts: &[Host]) {
    for host in hosts {
        let others: Vec<&Host> = hosts.iter().filter(|other| other.address != host.address).collect();
        host.span(environment, &others);
    }
}

#[test]
fn members_on_different_hosts_talk_over_ipv4_and_ipv6() {
    for v4 in [true, false] {
        on_a_host(|| {
            let shop = spanning("aaaaaa", BOTH);
            let hosts: [Host; 3] = hosts(v4);
            span_all(&shop, &hosts);
            let web = hosts[0].member(&shop, &["10.10.2.1", "fd73:7461:7369:2::1"]);
            let store = hosts[1].member(&shop, &["10.10.2.7", "fd73:7461:7369:2::7"]);
            let third = hosts[2].member(&shop, &["10.10.2.9", "fd73:7461:7369:2::9"]);
            web.serve(80, "web");
            store.serve(80, "store");
            for from in [&web, &third] {
                for address in ["10.10.2.7", "fd73:7461:7369:2::7"] {
                    assert_eq!(
                        from.hear(address, 80).as_deref(),
                        Some("store"),
                        "{address}, underlay v4 {v4}"
                    );
                }
            }
            assert_eq!(third.hear("10.10.2.1", 80).as_deref(), Some("web"));
            for host in &hosts {
                let seen = host.run(|| shop.inspect()).expect("looked at");
                assert!(seen.present);
                let tunnel = seen.tunnel.expect("a tunnel");
                assert_eq!((tunnel.address, tunnel.peers.len()), (Some(host.address), 2));
                assert_eq!(tunnel.link.mtu, 1430);
                assert!(seen.stopped.iter().all(|count| count.packets == 0), "{:?}", seen.stopped);
            }
            // A host reaches the members that are on it, and no others; members answer this host only.
            assert_eq!(hosts[0].computer.hear("10.10.2.1", 80).as_deref(), Some("web"));
            assert_eq!(hosts[0].computer.hear("10.10.2.7", 80), None);
            assert_eq!(hosts[0].computer.hear("fd73:7461:7369:2::7", 80), None);
            for host in &hosts {
                host.run(|| shop.remove()).expect("removed");
                assert_eq!(host.left(&shop), Vec::<String>::new());
            }
        });
    }
}

#[test]
fn environments_with_the_same_ranges_do_not_meet() {
    on_a_host(|| {
        let shop = spanning("aaaaaa", BOTH);
        let bank = Environment { apart: true, ..spanning("bbbbbb", BOTH) };
        let hosts: [Host; 2] = hosts(true);
        for one in [&shop, &bank] {
            span_all(one, &hosts);
        }
        let addresses: [&[&str]; 2] =
            [&["10.10.2.1", "fd73:7461:7369:2::1"], &["10.10.2.2", "fd73:7461:7369:2::2"]];
        let shop_a = hosts[0].member(&shop, addresses[0]);
        let shop_b = hosts[1].member(&shop, addresses[1]);
        let bank_a = hosts[0].member(&bank, addresses[0]);
        let bank_b = hosts[1].member(&bank, addresses[1]);
        shop_b.serve(80, "shop");
        bank_b.serve(80, "bank");
        bank_b.serve(81, "bank only");
        for address in ["10.10.2.2", "fd73:7461:7369:2::2"] {
            assert_eq!(shop_a.hear(address, 80).as_deref(), Some("shop"));
            assert_eq!(bank_a.hear(address, 80).as_deref(), Some("bank"));
            assert_eq!(shop_a.hear(address, 81), None);
            assert_eq!(hosts[1].computer.hear(address, 80).as_deref(), Some("shop"), "what has the routes");
        }
        // The host is not there for members that are apart, by ARP neither.
        for address in ["169.254.77.1", "10.10.2.77"] {
            assert_eq!(bank_a.hear(address, 80), None);
        }
    });
}

#[test]
fn a_member_that_moves_is_reached_at_once() {
    on_a_host(|| {
        let shop = spanning("aaaaaa", BOTH);
        let hosts: [Host; 3] = hosts(true);
        span_all(&shop, &hosts);
        let caller = hosts[2].member(&shop, &["10.10.2.9", "fd73:7461:7369:2::9"]);
        // To and fro: the first host has learned meanwhile that it is on the second.
        for (round, on) in [0, 1, 0, 1].into_iter().enumerate() {
            let member = hosts[on].member(&shop, &["10.10.2.1", "fd73:7461:7369:2::1"]);
            member.serve(80, "moved");
            // Nobody has asked for it yet: it has told by itself.
            hosts[2].learn(&shop, member_mac(1), &hosts[on]);
            let asked = Instant::now();
            assert_eq!(caller.hear("10.10.2.1", 80).as_deref(), Some("moved"), "round {round}");
            assert_eq!(caller.hear("fd73:7461:7369:2::1", 80).as_deref(), Some("moved"), "round {round}");
            println!("round {round}: reached after {:?}", asked.elapsed());
            // Its namespace is still there; the address is another host's from now on.
            let gone = ["10.10.2.1".parse().expect("an address")];
            hosts[on].run(|| shop.vacate(&gone)).expect("vacated");
            assert_eq!(hosts[on].run(|| shop.inspect()).expect("looked at").ports.len(), 0);
        }
    });
}

#[test]
fn hosts_come_and_go() {
    on_a_host(|| {
        let shop = spanning("aaaaaa", &["10.10.2.0/24"]);
        let [first, second, third]: [Host; 3] = hosts(true);
        first.span(&shop, &[]);
        second.span(&shop, &[&first]);
        let web = first.member(&shop, &["10.10.2.1"]);
        let store = second.member(&shop, &["10.10.2.2"]);
        store.serve(80, "store");
        assert_eq!(web.hear("10.10.2.2", 80), None, "the first host does not know it yet");
        assert!(first.stopped(&shop, "tunnel") > 0);
        first.span(&shop, &[&second, &third]);
        third.span(&shop, &[&first, &second]);
        assert_eq!(web.hear("10.10.2.2", 80).as_deref(), Some("store"));
        first.span(&shop, &[&third]);
        assert_eq!(web.hear("10.10.2.2", 80), None, "what was learned of it is forgotten");
        // By another address, even of the other family, it is made anew.
        let peers = vec!["2001:db8::2".parse().expect("an address")];
        let tunnel = Tunnel { address: "2001:db8::1".parse().expect("an address"), peers, encryption: None };
        first.run(|| shop.ensure_with(&tunnel)).expect("spanned");
        let seen = first.run(|| shop.inspect()).expect("looked at");
        assert!(seen.present);
        let standing = seen.tunnel.expect("a tunnel");
        assert_eq!((standing.address, standing.peers), (Some(tunnel.address), tunnel.peers));
    });
}

#[test]
fn a_tunnel_that_shall_be_encrypted_is_not_made_otherwise() {
    on_a_host(|| {
        let [host]: [Host; 1] = hosts(true);
        let shop = spanning("aaaaaa", &["10.10.2.0/24"]);
        let accounts = std::env::temp_dir().join(format!("stasis-tunnel-{}", std::process::id()));
        let secret = "00".repeat(32).parse().expect("a secret");
        let encryption = Some(Encryption { secret, accounts: accounts.clone(), period: xfrm::PERIOD });
        let tunnel = Tunnel { address: host.address, peers: Vec::new(), encryption };
        let made = host.run(|| shop.ensure_with(&tunnel));
        let there = host.run(|| shop.inspect()).expect("looked at").tunnel;
        match xfrm::probe(false) {
            Ok(()) => assert!(made.is_ok() && there.is_some()),
            Err(_) => {
                let refused = made.expect_err("nothing encrypts");
                assert!(refused.lacks_feature(), "{refused}");
                assert!(there.is_none() && !accounts.exists());
            }
        }
        let _ = std::fs::remove_dir_all(accounts);
    });
}
