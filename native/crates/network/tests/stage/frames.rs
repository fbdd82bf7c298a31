//! Frames as a program makes them that does not ask the kernel to.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What all of these frames have in them.
pub const MARK: &[u8] = b"hostile";

pub fn ethernet(to: [u8; 6], from: [u8; 6], kind: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = [&to[..], &from, &kind.to_be_bytes(), body].concat();
    frame.extend(MARK);
    frame.resize(frame.len().max(60), 0);
    frame
}

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)));
    let mut total: u32 = words.sum();
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

/// A UDP datagram, or with another protocol whatever `body` is.
pub fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let length = (20 + body.len() + MARK.len()) as u16;
    let mut header = [&[0x45, 0][..], &length.to_be_bytes(), &[0, 1, 0, 0, 64, protocol, 0, 0]].concat();
    header.extend(from.octets());
    header.extend(to.octets());
    let checksum = sum(&header).to_be_bytes();
    header[10..12].copy_from_slice(&checksum);
    header.extend(body);
    header
}

pub fn ipv6(from: Ipv6Addr, to: Ipv6Addr, next: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() + MARK.len()) as u16;
    let mut header = [&[0x60, 0, 0, 0][..], &length.to_be_bytes(), &[next, 255]].concat();
    header.extend(from.octets());
    header.extend(to.octets());
    header.extend(body);
    header
}

pub fn udp() -> Vec<u8> {
    [&9u16.to_be_bytes()[..], &9u16.to_be_bytes(), &(8 + MARK.len() as u16).to_be_bytes(), &[0, 0]].concat()
}

pub fn arp(operation: u16, mac: [u8; 6], from: Ipv4Addr, about: Ipv4Addr) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4];
    body.extend(operation.to_be_bytes());
    body.extend(mac);
    body.extend(from.octets());
    body.extend([0; 6]);
    body.extend(about.octets());
    body
}

pub fn icmpv6(kind: u8, target: Ipv6Addr) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0x20, 0, 0, 0][..], &target.octets()].concat()
}

pub fn has_mark(frame: &[u8]) -> bool {
    frame.windows(MARK.len()).any(|part| part == MARK)
}
