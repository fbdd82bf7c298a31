//! Telling other hosts where a member is.
//!
//! A member's link-layer address is the same on every host, so no neighbour has to learn a new one; but tunnels and bridges on the
//! way have to learn which host it is on. They do from any frame that it sends. The one that is sent here is an ARP announcement
//! (RFC 5227) or an unsolicited neighbour advertisement (RFC 4861), from the member's namespace and by its link. It goes to a
//! link-layer address that nobody has: every host learns from it, and no other member is woken. One that is lost is made up for by the
//! next frame of the member, or by ARP, when others have asked in vain for some seconds.

use crate::environment::Environment;
use crate::names::{self, Mac};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use sys::network;

/// When it is said again after the first time.
const AGAIN: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(150)];

/// Sends frames by one link of a network namespace (packet(7)).
#[derive(Debug)]
pub struct Mouth {
    socket: OwnedFd,
    link: u32,
}

impl Mouth {
    /// In the namespace of the calling thread.
    pub fn open(link: u32) -> sys::Result<Self> {
        // Protocol 0: nothing is received.
        network::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).map(|socket| Self { socket, link })
    }

    fn send(&self, frame: &[u8]) -> sys::Result<()> {
        // struct sockaddr_ll: family, protocol, number of the link; a raw frame names its receiver itself.
        let mut address = (libc::AF_PACKET as u16).to_ne_bytes().to_vec();
        address.extend([0; 2]);
        address.extend(self.link.to_ne_bytes());
        address.resize(20, 0);
        network::send_to(self.socket.as_fd(), frame, &address).map(drop)
    }
}

/// Says where a member is: now, and again twice a little later if this process lasts that long.
pub fn announce(mouth: Mouth, environment: &Environment, number: u32) -> sys::Result<()> {
    let Some(frame) = frame(environment, number) else { return Ok(()) };
    mouth.send(&frame)?;
    let again = move || {
        for pause in AGAIN {
            std::thread::sleep(pause);
            // The link may have gone.
            let _ = mouth.send(&frame);
        }
    };
    // Without another thread it has been said once.
    drop(std::thread::Builder::new().name("announcement".to_owned()).spawn(again));
    Ok(())
}

fn frame(environment: &Environment, number: u32) -> Option<Vec<u8>> {
    let mac = names::member_mac(number);
    let addresses = environment.addresses_of(number);
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first())?;
    let (kind, body) = match first {
        IpAddr::V4(address) => (0x0806u16, arp(mac, *address)),
        IpAddr::V6(address) => (0x86dd, advertisement(mac, *address)),
    };
    let mut frame = [&names::NOBODY_MAC[..], &mac, &kind.to_be_bytes(), &body].concat();
    frame.resize(frame.len().max(60), 0);
    Some(frame)
}

/// A request for one's own address.
fn arp(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    let own = address.octets();
    [&[0, 1, 8, 0, 6, 4, 0, 1][..], &mac, &own, &[0; 6], &own].concat()
}

/// To all nodes: the address, and the link-layer address that is to replace any other.
fn advertisement(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const NEXT: u8 = 58;
    let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend(address.octets());
    message.extend([2, 1]);
    message.extend(mac);
    let length = message.len() as u16;
    let ends = [address.octets(), ALL_NODES.octets()].concat();
    let pseudo = [&ends[..], &u32::from(length).to_be_bytes(), &[0, 0, 0, NEXT], &message].concat();
    message[2..4].copy_from_slice(&checksum(&pseudo).to_be_bytes());
    [&[0x60, 0, 0, 0][..], &length.to_be_bytes(), &[NEXT, 255], &ends, &message].concat()
}

/// Of an even number of bytes (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
    let sum = words.fold(0, |sum, word| (sum + word) % 0xffff);
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_its_checksum_sums_up_to_nothing() {
        let address: Ipv6Addr = "fd73:7461:7369:2::7".parse().expect("an address");
        let packet = advertisement(names::member_mac(7), address);
        assert_eq!(packet.len(), 40 + 32);
        let pseudo = [&packet[8..40], &32u32.to_be_bytes(), &[0, 0, 0, 58], &packet[40..]].concat();
        assert_eq!(checksum(&pseudo), 0xffff, "all ones: sum 0 in this arithmetic");
    }
}
