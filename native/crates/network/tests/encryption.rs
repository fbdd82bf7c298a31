//! What hosts of an encrypted environment send each other. Needs a kernel with ESP; skips, and says so, elsewhere.

mod stage;

use network::xfrm::{self, Protection};
use stage::encrypted::*;
use stage::{Wire, on_a_host};
use std::time::SystemTime;

fn nothing_but_esp_is_seen(here: &str, there: &str, name: &str) {
    on_two_hosts(name, here, there, |hosts| {
        let shop = id("a1b2c3");
        let wire = Wire::on("uplink-port");
        let until = hosts.protect_here(&shop, &secret("17"), xfrm::PERIOD).expect("keys");
        assert!(until > SystemTime::now() + 8 * xfrm::PERIOD);
        hosts.protect_there(&shop, &secret("17"), xfrm::PERIOD);
        let (ear, mouth) = (hosts.ear(&shop), hosts.mouth(&shop));
        for _ in 0..20 {
            mouth.send(MARK).expect("sent");
        }
        assert_eq!(heard(&ear), vec![MARK.to_vec(); 20]);
        let seen = wire.receive();
        assert!(!seen.iter().any(|frame| has_mark(frame)));
        let esp: Vec<_> = seen.iter().filter(|frame| protocol(frame) == Some(ESP)).collect();
        assert_eq!(esp.len(), 20);
        let udp = [14, 20, 8].iter().sum::<usize>() + if hosts.here.is_ipv6() { 20 } else { 0 } + MARK.len();
        assert!(esp.iter().all(|frame| frame.len() <= udp + xfrm::overhead(hosts.here.is_ipv6()) as usize));
        let standing = xfrm::inspect(&shop, hosts.here).expect("looked at");
        assert_eq!((standing.present, standing.until), (true, Some(until)));
        assert_eq!((standing.received, standing.clear), (20, 0));
    });
}

#[test]
fn ipv4_hosts_send_each_other_nothing_but_esp() {
    nothing_but_esp_is_seen("192.0.2.1", "192.0.2.2", "v4");
}

#[test]
fn ipv6_hosts_send_each_other_nothing_but_esp() {
    nothing_but_esp_is_seen("fd00:db8::1", "fd00:db8::2", "v6");
}

#[test]
fn a_host_with_another_secret_reaches_nobody() {
    on_two_hosts("secret", "192.0.2.1", "192.0.2.2", |hosts| {
        let shop = id("a1b2c3");
        hosts.protect_here(&shop, &secret("17"), xfrm::PERIOD);
        hosts.protect_there(&shop, &secret("18"), xfrm::PERIOD);
        let (ear, mouth) = (hosts.ear(&shop), hosts.mouth(&shop));
        mouth.send(MARK).expect("sent");
        assert!(heard(&ear).is_empty());
        hosts.protect_there(&shop, &secret("17"), xfrm::PERIOD);
        mouth.send(MARK).expect("sent");
        assert_eq!(heard(&ear).len(), 1, "a host that is told the right one does");
    });
}

#[test]
fn plain_packets_are_let_neither_in_nor_out() {
    on_two_hosts("plain", "192.0.2.1", "192.0.2.2", |hosts| {
        let shop = id("a1b2c3");
        let (ear, mouth) = (hosts.ear(&shop), hosts.mouth(&shop));
        mouth.send(MARK).expect("sent");
        assert_eq!(heard(&ear).len(), 1, "before");
        hosts.protect_here(&shop, &secret("17"), xfrm::PERIOD);
        mouth.send(MARK).expect("sent");
        assert!(heard(&ear).is_empty(), "not in");
        let wire = Wire::on("uplink-port");
        hosts.protect_there(&shop, &secret("17"), xfrm::PERIOD);
        hosts.other.run(|| flush(STATES)).expect("flushed");
        let _ = mouth.send(MARK);
        assert!(!wire.receive().iter().any(|frame| has_mark(frame)), "not out without keys");
        hosts.other.run(|| flush(POLICIES)).expect("flushed");
        let vxlan = [&[8, 0, 0, 0, 0xa1, 0xb2, 0xc3, 0][..], MARK].concat();
        let _ = mouth.send(&vxlan);
        assert!(!wire.receive().iter().any(|frame| has_mark(frame)), "not out without policies");
    });
}

#[test]
fn environments_between_the_same_hosts_have_nothing_in_common() {
    on_two_hosts("two", "192.0.2.1", "192.0.2.2", |hosts| {
        let (shop, bank, rival) = (id("a1b2c3"), id("a1b2c4"), id("b1b2c4"));
        for environment in [&shop, &bank] {
            hosts.protect_here(environment, &secret("17"), xfrm::PERIOD);
            hosts.protect_there(environment, &secret("17"), xfrm::PERIOD);
        }
        let peers = [hosts.there];
        let same = secret("17");
        let accounts = hosts.folder.join("here");
        let refused = Protection {
            id: &rival,
            own: hosts.here,
            peers: &peers,
            secret: &same,
            accounts: &accounts,
            period: xfrm::PERIOD,
        }
        .protect()
        .expect_err("one port");
        assert_eq!(refused.errno, sys::Errno::EEXIST);
        xfrm::unprotect(&rival).expect("removed");
        xfrm::unprotect(&shop).expect("removed");
        assert_eq!(xfrm::inspect(&shop, hosts.here).expect("looked at"), xfrm::Inspection::default());
        let (ear, mouth) = (hosts.ear(&bank), hosts.mouth(&bank));
        mouth.send(MARK).expect("sent");
        assert_eq!(heard(&ear).len(), 1, "the other environment stays");
    });
}

#[test]
fn a_kernel_without_esp_is_left_as_it_was() {
    on_a_host(|| {
        let Err(lacking) = xfrm::probe(false) else {
            eprintln!("skipped: this kernel has ESP");
            return;
        };
        assert!(lacking.lacks_feature(), "{lacking}");
        let folder = std::env::temp_dir().join(format!("stasis-encryption-none-{}", std::process::id()));
        let (shop, key) = (id("a1b2c3"), secret("17"));
        let peers = ["192.0.2.2".parse().expect("an address")];
        let own = "192.0.2.1".parse().expect("an address");
        let refused = Protection {
            id: &shop,
            own,
            peers: &peers,
            secret: &key,
            accounts: &folder,
            period: xfrm::PERIOD,
        }
        .protect()
        .expect_err("refused");
        assert!(refused.lacks_feature(), "{refused}");
        assert_eq!(xfrm::inspect(&shop, own), Ok(xfrm::Inspection::default()));
        xfrm::unprotect(&shop).expect("nothing to remove");
        let _ = std::fs::remove_dir_all(&folder);
    });
}
