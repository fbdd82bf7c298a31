//! Two hosts that encrypt what they send each other.

use super::{Computer, SILENCE, Wire, on_a_host};
use network::names::Id;
use network::xfrm::{self, Protection, Secret};
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub const MARK: &[u8] = b"plain text that nobody may see";
pub const ESP: u8 = 50;

/// Two hosts on one wire, with their accounts of keys.
pub struct Hosts {
    /// The test's own namespace.
    pub here: IpAddr,
    pub there: IpAddr,
    pub other: Computer,
    pub folder: PathBuf,
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn on_two_hosts(name: &str, here: &str, there: &str, play: impl FnOnce(&Hosts) + Send) {
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

pub fn id(text: &str) -> Id {
    text.parse().expect("an id")
}

pub fn secret(digits: &str) -> Secret {
    digits.repeat(32).parse().expect("a secret")
}

impl Hosts {
    pub fn protect_here(&self, id: &Id, secret: &Secret, period: Duration) -> Option<SystemTime> {
        protect(id, self.here, self.there, secret, &self.folder.join("here"), period)
    }

    pub fn protect_there(&self, id: &Id, secret: &Secret, period: Duration) -> Option<SystemTime> {
        let accounts = self.folder.join("there");
        self.other.run(|| protect(id, self.there, self.here, secret, &accounts, period))
    }

    pub fn ear(&self, id: &Id) -> UdpSocket {
        let ear = UdpSocket::bind((self.here, xfrm::port(id))).expect("a port");
        ear.set_read_timeout(Some(SILENCE)).expect("set");
        ear
    }

    /// A socket of the other host, connected to the environment's port of this one.
    pub fn mouth(&self, id: &Id) -> UdpSocket {
        self.other.run(|| {
            let mouth = UdpSocket::bind((self.there, 0)).expect("a port");
            mouth.connect((self.here, xfrm::port(id))).expect("connected");
            mouth
        })
    }
}

pub fn protect(
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
pub fn heard(ear: &UdpSocket) -> Vec<Vec<u8>> {
    let mut room = [0; 2048];
    std::iter::from_fn(|| ear.recv(&mut room).ok().map(|length| room[..length].to_vec())).collect()
}

/// Protocol of a frame's packet, where that is IP.
pub fn protocol(frame: &[u8]) -> Option<u8> {
    match frame.get(12..14)? {
        [0x08, 0x00] => frame.get(23).copied(),
        [0x86, 0xdd] => frame.get(20).copied(),
        _ => None,
    }
}

/// The names of keys (SPI) in what a wire has heard.
pub fn names(wire: &Wire) -> Vec<Vec<u8>> {
    let heard = wire.receive();
    let esp = heard.iter().filter(|frame| protocol(frame) == Some(ESP));
    esp.map(|frame| frame[34..38].to_vec()).collect()
}

pub fn has_mark(frame: &[u8]) -> bool {
    frame.windows(MARK.len()).any(|part| part == MARK)
}

pub const STATES: u16 = 0x1c;
pub const POLICIES: u16 = 0x1d;

/// `ip xfrm state flush`, `ip xfrm policy flush`.
pub fn flush(what: u16) -> sys::Result<()> {
    use network::messages::{Conversation, NLM_F_ACK, NLM_F_REQUEST, message};
    let any = if what == STATES { &[0][..] } else { &[] };
    Conversation::open(libc::NETLINK_XFRM)?.ask(&message(what, NLM_F_REQUEST | NLM_F_ACK, 1, any))
}
