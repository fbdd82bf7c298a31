//! Encryption between the hosts of an environment: VXLAN under ESP in transport mode (RFC 4303), AES-256-GCM, by the kernel
//! alone (XFRM). No program runs that exchanges keys; so keys follow from a secret that the hosts share, and from the time.
//!
//! **Keys.** For each *way* (environment, sender, receiver), *epoch* (half a day) and *slot* there is one key,
//! HKDF-SHA256 of the secret. A receiver has the states of all slots of the epoch before, the present one and the next
//! [`AHEAD`]; a sender has one state for the present epoch and each of those. They end by themselves, and the kernel goes on to
//! the next: of several states it uses the one that was made last, and it is told times of making that fall as
//! epochs rise ([`epochs::rank`]). Soft limits would not do: a state that is *dying* is still used by the routes and policies
//! that know it (Linux 6.13 remembers states with policies). So four days pass without any command; each command that
//! touches the environment installs what has become due. When nothing is left nothing is sent.
//!
//! **Nonces.** Under one key no packet number may come twice, and a state that is made anew counts from 1. So a sender
//! never makes a second state for a key: which slots it has taken is on disk ([`ledger`]) before the kernel is told. A host that has
//! started again takes the next slot, which the receivers have already; nobody needs to be told. When the slots of an
//! epoch are used up it uses the key of a later one, which receivers have as well, and when there is none it refuses.
//! (The kernel masks packet numbers in nonces with a random number for each state, `seqiv`; nothing here relies on that.)
//!
//! **Replays.** Packet numbers have 64 bits, with a window of 1024. A receiver that starts again begins with the highest number
//! that the ledger knows, from the last command; what was sent after that, in the epoch, could be delivered once more.
//!
//! **Plain packets.** An encrypted environment has a UDP port of its own ([`port`]): policies tell packets apart by addresses and
//! ports, not by what VXLAN says of them, nor is there a mark on packets that arrive. Policies demand ESP of everything that comes to
//! that port or goes to it on a peer, before there is any state; rules of nftables demand the same ([`guard`]). States are for that port
//! alone, so that a key of one environment opens no other. Everything of an environment has its number as `reqid`.

mod epochs;
mod guard;
mod keys;
mod layout;
mod ledger;
mod peer;
mod policies;
mod protection;
mod states;

pub use epochs::PERIOD;
pub use guard::CLEAR;
pub use keys::Secret;
pub use protection::{Protection, note, unprotect};

use crate::error::{Attempt, Result};
use crate::messages::Conversation;
use crate::names::Id;
use epochs::{Calendar, Number};
use layout::Packets;
use states::State;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

/// How an environment's packets are protected on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Whether plain packets are stopped. What keys are missing, after the last one ended say, is made by the next command.
    pub present: bool,
    /// When the last key of some way will have ended: from then on nothing is sent there. Nothing where there are no keys.
    pub until: Option<SystemTime>,
    /// Packets that were sent under the keys that are there.
    pub sent: u64,
    /// Packets that were received under the keys that are there.
    pub received: u64,
    /// Packets that were dropped because they were not under ESP.
    pub clear: u64,
}

/// How an environment stands; of none, that there is nothing.
pub fn inspect(id: &Id, own: IpAddr) -> Result<Inspection> {
    let kernel = open()?;
    let found = states::list(&kernel, owner(id)).attempt(|| "list the states of XFRM")?;
    let (sending, receiving): (Vec<_>, Vec<_>) = found.into_iter().partition(|state| state.from == own);
    let count = |states: &[states::Found]| states.iter().map(|state| state.packets).sum();
    let (sent, received, clear) = (count(&sending), count(&receiving), guard::clear(id)?);
    let demanded = policies::list(&kernel, owner(id)).attempt(|| "list the policies of XFRM")?;
    let present = !demanded.is_empty() && guard::exists(id)?;
    Ok(Inspection { present, until: protection::until(&sending), sent, received, clear })
}

/// Whether the rules stop what is not encrypted.
pub fn demands(id: &Id) -> Result<bool> {
    guard::exists(id)
}

/// Whether the kernel can do it: by making a state in a network namespace of a child's own. `v6` for addresses of hosts.
///
/// # Errors
/// [`lacks_feature`](crate::Error::lacks_feature) where it was built without.
pub fn probe(v6: bool) -> Result<()> {
    sys::probe::netlink(libc::NETLINK_XFRM, &probing(v6))
        .attempt(|| "encrypt packets between hosts (ESP with rfc4106(gcm(aes)))")
}

/// The question to the kernel, of netlink's protocol `NETLINK_XFRM`, whether it can do it.
fn probing(v6: bool) -> Vec<u8> {
    let here: IpAddr = if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    let packets = Packets { from: Some(here), to: here, port: 1 };
    let epoch = Calendar::new(PERIOD).present();
    let end = Calendar::new(PERIOD).end(epoch);
    State { packets, from: here, spi: 0x100, key: [0; keys::KEY], epoch, end, seen: 0, owner: 1 }.message()
}

/// The UDP port of an encrypted environment: between those that services have and those that the kernel gives by itself. Two
/// environments that would have the same one are refused on the same host.
#[must_use]
pub fn port(id: &Id) -> u16 {
    0x6000 | (id.number() & 0xfff) as u16
}

/// How many bytes a packet grows at most: header (8), nonce (8), padding to a multiple of four (3), trailer (2), tag (16).
/// The same for both families: the header of IP stays what it was.
#[must_use]
pub fn overhead(_v6: bool) -> u32 {
    8 + 8 + 3 + 2 + 16
}

/// What states and policies of an environment say: a number that no program gives out which counts from 1.
fn owner(id: &Id) -> u32 {
    const OURS: u32 = 0x73 << 24;
    OURS | id.number()
}

fn open() -> Result<Conversation> {
    Conversation::open(libc::NETLINK_XFRM).attempt(|| "talk to the kernel about IPsec")
}
