//! What hosts of an encrypted environment send each other. Needs a kernel with ESP; skips, and says so, elsewhere.

mod stage;

use network::environment::MTU;
use network::names::Id;
use network::tunnel::Encryption;
use network::xfrm::{self, Protection, Secret};
use network::{Environment, Tunnel};
use stage::hosts::{Host, hosts};
use stage::{Computer, SILENCE, Wire, environment, on_a_host};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const MARK: &[u8] = b"plain text that nobody may see";
const ESP: u8 = 50;

/// Two hosts on one wire, with their accounts of keys.
struct Hosts {
    /// The test's own namespace.
    here: IpAddr,
    there: IpAddr,
    other: Computer,
    folder: PathBuf,
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn on_two_hosts(name: &str, here: &str, there: &str, play: impl FnOnce(&Hosts) + Send) {
    let folder = std::env::temp_dir().join(format!("stasis-encryption-{name}-{}", std::process::id()));
    let [here, there]: [IpAddr; 2] = [here, there].map(|text| text.parse().expect("an address"));
    on_a_host(move || match xfrm::probe(here.is_ipv6()) {
        Ok(()) => {
            let other = Computer::new();
            other.connect(&there.to_string(), &here.to_string());
            play(&Hosts { here, there, other, folder });
        }
        Err(error) => eprintln!("skipped: {error}"),
    });
}

fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

fn secret(digits: &str) -> Secret {
    digits.repeat(32).parse().expect("a secret")
}

impl Hosts {
    fn protect_here(&self, id: &Id, secret: &Secret, period: Duration) -> Option<SystemTime> {
        protect(id, self.here, self.there, secret, &self.folder.join("here"), period)
    }

    fn protect_there(&self, id: &Id, secret: &Secret, period: Duration) -> Option<SystemTime> {
        let accounts = self.folder.join("there");
        self.other.run(|| protect(id, self.there, self.here, secret, &accounts, period))
    }

    fn ear(&self, id: &Id) -> UdpSocket {
        let ear = UdpSocket::bind((self.here, xfrm::port(id))).expect("a port");
        ear.set_read_timeout(Some(SILENCE)).expect("set");
        ear
    }

    /// A socket of the other host, connected to the environment's port of this one.
    fn mouth(&self, id: &Id) -> UdpSocket {
        self.other.run(|| {
            let mouth = UdpSocket::bind((self.there, 0)).expect("a port");
            mouth.connect((self.here, xfrm::port(id))).expect("connected");
            mouth
        })
    }
}

fn protect(
    id: &Id,
    own: IpAddr,
    peer: IpAddr,
    secret: &Secret,
    accounts: &Path,
    period: Duration,
) -> Option<SystemTime> {
    Protection { id, own, peers: &[peer], secret, accounts, period }.protect().expect("protected")
}

/// What is heard until it has been silent for a while.
fn heard(ear: &UdpSocket) -> Vec<Vec<u8>> {
    let mut room = [0; 2048];
    std::iter::from_fn(|| ear.recv(&mut room).ok().map(|length| room[..length].to_vec())).collect()
}

/// Protocol of a frame's packet, where that is IP.
fn protocol(frame: &[u8]) -> Option<u8> {
    match frame.get(12..14)? {
        [0x08, 0x00] => frame.get(23).copied(),
        [0x86, 0xdd] => frame.get(20).copied(),
        _ => None,
    }
}

/// The names of keys (SPI) in what a wire has heard.
fn names(wire: &Wire) -> Vec<Vec<u8>> {
    let heard = wire.receive();
    let esp = heard.iter().filter(|frame| protocol(frame) == Some(ESP));
    esp.map(|frame| frame[34..38].to_vec()).collect()
}

fn has_mark(frame: &[u8]) -> bool {
    frame.windows(MARK.len()).any(|part| part == MARK)
}

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

const STATES: u16 = 0x1c;
const POLICIES: u16 = 0x1d;

/// `ip xfrm state flush`, `ip xfrm policy flush`.
fn flush(what: u16) -> sys::Result<()> {
    use network::messages::{Conversation, NLM_F_ACK, NLM_F_REQUEST, message};
    let any = if what == STATES { &[0][..] } else { &[] };
    Conversation::open(libc::NETLINK_XFRM)?.ask(&message(what, NLM_F_REQUEST | NLM_F_ACK, 1, any))
}

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
        let seen = wire.receive();
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
