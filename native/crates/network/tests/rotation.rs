//! Keys of encrypted environments, as time goes by and hosts start again. Needs a kernel with ESP; skips, and says so, elsewhere.

mod stage;

use network::environment::MTU;
use network::tunnel::Encryption;
use network::xfrm::{self, Protection};
use network::{Environment, Tunnel};
use stage::encrypted::*;
use stage::hosts::{Host, hosts};
use stage::{SILENCE, Wire, environment, on_a_host};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

#[test]
fn the_kernel_goes_on_to_the_next_key_and_loses_nothing() {
    const PERIOD: Duration = Duration::from_secs(2);
    on_two_hosts("rotation", "192.0.2.1", "192.0.2.2", |hosts| {
        let shop = id("a1b2c3");
        let wire = Wire::on("uplink-port");
        hosts.protect_here(&shop, &secret("17"), PERIOD);
        hosts.protect_there(&shop, &secret("17"), PERIOD);
        let (ear, mouth) = (hosts.ear(&shop), hosts.mouth(&shop));
        let begun = Instant::now();
        let mut sent = 0u32;
        let mut got = 0;
        while begun.elapsed() < 4 * PERIOD {
            // A key that ends while a packet is made refuses that packet, and says so.
            while mouth.send(&[&sent.to_be_bytes()[..], MARK].concat()).is_err() {}
            sent += 1;
            got += heard_at_once(&ear, sent - 1);
            // The wire that listens has room for some hundreds of packets.
            std::thread::sleep(SILENCE / 5);
        }
        let mut keys = names(&wire);
        keys.dedup();
        assert_eq!(got, sent);
        assert!(keys.len() >= 4, "{keys:02x?}");
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all, "no key comes back");
    });
}

/// The whole thing, as members see it.
#[test]
fn a_stream_between_members_goes_on_over_changing_keys() {
    const PERIOD: Duration = Duration::from_secs(3);
    on_a_host(|| {
        if let Err(error) = xfrm::probe(false) {
            eprintln!("skipped: {error}");
            return;
        }
        let folder = std::env::temp_dir().join(format!("stasis-encryption-stream-{}", std::process::id()));
        let hosts: [Host; 2] = hosts(true);
        let mtu = MTU - 50 - xfrm::overhead(false);
        let shop = Environment { mtu, ..environment("a1b2c3", &["10.10.2.0/24"], false) };
        let made = hosts.each_ref().map(|host| {
            let peers =
                hosts.iter().map(|other| other.address).filter(|other| *other != host.address).collect();
            let accounts = folder.join(host.address.to_string());
            let encryption = Some(Encryption { secret: secret("17"), accounts, period: PERIOD });
            host.run(|| shop.ensure_with(&Tunnel { address: host.address, peers, encryption }))
                .expect("spanned");
            host.run(|| shop.inspect())
                .expect("looked at")
                .tunnel
                .expect("a tunnel")
                .encryption
                .expect("encrypted")
        });
        assert!(made.iter().all(|seen| seen.present && seen.until.is_some()));
        let wire = Wire::on("host1");
        let (web, store) = (hosts[0].member(&shop, &["10.10.2.1"]), hosts[1].member(&shop, &["10.10.2.2"]));
        let listener = web.run(|| TcpListener::bind("10.10.2.1:80")).expect("a port");
        let receiver = std::thread::spawn(move || {
            let mut received = Vec::new();
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.read_to_end(&mut received).expect("read");
            received
        });
        let mut stream = store.run(|| TcpStream::connect("10.10.2.1:80")).expect("connected");
        // A wire that nobody listens to has room for some hundreds of packets; it is never silent as long as the stream goes on.
        let listening = std::thread::spawn(move || wire.receive());
        let begun = Instant::now();
        let mut sent = Vec::new();
        while begun.elapsed() < 4 * PERIOD {
            let piece = [&(sent.len() as u32).to_be_bytes()[..], MARK, &[7; 3000]].concat();
            stream.write_all(&piece).expect("written");
            sent.extend(piece);
            std::thread::sleep(SILENCE / 2);
        }
        drop(stream);
        assert_eq!(receiver.join().expect("received"), sent);
        let seen = listening.join().expect("heard");
        assert!(!seen.iter().any(|frame| has_mark(frame)));
        assert!(seen.iter().all(|frame| frame.len() <= 14 + MTU as usize && protocol(frame) != Some(17)));
        let mut keys: Vec<_> = seen
            .iter()
            .filter(|frame| protocol(frame) == Some(ESP))
            .map(|frame| frame[34..38].to_vec())
            .collect();
        keys.sort();
        keys.dedup();
        assert!(keys.len() >= 2 * 4, "both ways: {keys:02x?}");
        for host in &hosts {
            assert_eq!(host.stopped(&shop, xfrm::CLEAR), 0);
            host.run(|| shop.remove()).expect("removed");
            let left = host.run(|| xfrm::inspect(&shop.id, host.address)).expect("looked at");
            assert_eq!(left, xfrm::Inspection::default());
        }
        let _ = std::fs::remove_dir_all(&folder);
    });
}

fn heard_at_once(ear: &UdpSocket, number: u32) -> u32 {
    let mut room = [0; 64];
    let length = ear.recv(&mut room).expect("heard");
    assert_eq!(room[..length], [&number.to_be_bytes()[..], MARK].concat());
    1
}

#[test]
fn when_the_last_key_has_ended_nothing_is_sent() {
    const PERIOD: Duration = Duration::from_secs(2);
    on_two_hosts("end", "192.0.2.1", "192.0.2.2", |hosts| {
        let shop = id("a1b2c3");
        hosts.protect_here(&shop, &secret("17"), PERIOD);
        let until = hosts.protect_there(&shop, &secret("17"), PERIOD).expect("keys");
        let wire = Wire::on("uplink-port");
        let (ear, mouth) = (hosts.ear(&shop), hosts.mouth(&shop));
        // The kernel counts in whole seconds from its first look at a state on.
        std::thread::sleep(until.duration_since(SystemTime::now()).unwrap_or_default() + PERIOD);
        // The kernel takes the packet, and drops it.
        let _ = mouth.send(MARK);
        assert!(heard(&ear).is_empty());
        assert!(!wire.receive().iter().any(|frame| has_mark(frame)));
        hosts.protect_here(&shop, &secret("17"), PERIOD);
        hosts.protect_there(&shop, &secret("17"), PERIOD);
        mouth.send(MARK).expect("sent");
        assert_eq!(heard(&ear).len(), 1, "a command makes new ones");
    });
}

#[test]
fn a_host_that_starts_again_uses_no_key_twice_and_needs_nobody() {
    on_two_hosts("again", "192.0.2.1", "192.0.2.2", |hosts| {
        let shop = id("a1b2c3");
        let wire = Wire::on("uplink-port");
        hosts.protect_here(&shop, &secret("17"), xfrm::PERIOD);
        let (ear, mouth) = (hosts.ear(&shop), hosts.mouth(&shop));
        let mut keys = Vec::new();
        // There are eight slots of an epoch: what comes after that uses keys of later ones early.
        const STARTS: usize = 20;
        for time in 0..STARTS {
            hosts.other.run(|| flush(STATES)).expect("flushed");
            hosts.protect_there(&shop, &secret("17"), xfrm::PERIOD);
            mouth.send(MARK).expect("sent");
            assert_eq!(heard(&ear).len(), 1, "{time}");
            keys.extend(names(&wire));
        }
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), STARTS);
        for _ in 0..10 {
            hosts.other.run(|| flush(STATES)).expect("flushed");
            let accounts = hosts.folder.join("there");
            let (peers, same) = ([hosts.here], secret("17"));
            let again = || {
                Protection {
                    id: &shop,
                    own: hosts.there,
                    peers: &peers,
                    secret: &same,
                    accounts: &accounts,
                    period: xfrm::PERIOD,
                }
                .protect()
            };
            match hosts.other.run(again) {
                Ok(_) => {}
                Err(refused) => {
                    assert_eq!(refused.errno.0, libc::ENOKEY);
                    let _ = mouth.send(MARK);
                    assert!(heard(&ear).is_empty() && names(&wire).is_empty(), "nothing is sent without");
                    return;
                }
            }
        }
        panic!("keys came to an end nowhere");
    });
}

#[test]
fn an_old_packet_is_not_taken_for_a_new_one_by_a_host_that_starts_again() {
    on_two_hosts("replay", "192.0.2.1", "192.0.2.2", |hosts| {
        let shop = id("a1b2c3");
        let wire = hosts.other.run(|| Wire::on("wan"));
        hosts.protect_here(&shop, &secret("17"), xfrm::PERIOD);
        hosts.protect_there(&shop, &secret("17"), xfrm::PERIOD);
        let (ear, mouth) = (hosts.ear(&shop), hosts.mouth(&shop));
        for _ in 0..3 {
            mouth.send(MARK).expect("sent");
        }
        assert_eq!(heard(&ear).len(), 3);
        let old: Vec<_> = wire.receive().into_iter().filter(|frame| protocol(frame) == Some(ESP)).collect();
        assert_eq!(old.len(), 3);
        let again = || old.iter().for_each(|frame| wire.send(frame));
        again();
        assert!(heard(&ear).is_empty());
        // A command notes how far it has come; then the kernel forgets.
        hosts.protect_here(&shop, &secret("17"), xfrm::PERIOD);
        flush(STATES).expect("flushed");
        hosts.protect_here(&shop, &secret("17"), xfrm::PERIOD);
        again();
        assert!(heard(&ear).is_empty(), "after a new start");
        mouth.send(MARK).expect("sent");
        assert_eq!(heard(&ear).len(), 1, "what is new passes");
    });
}
