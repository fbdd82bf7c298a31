//! What rules consist of. An expression loads something into registers, compares, looks up, or decides.

use crate::messages::{attribute, nest};

/// A register of 16 bytes; the first of four. Register 1 is the first, the ones of 4 bytes are counted from 8.
pub const FIRST: u32 = 1;

/// The next one of 16 bytes.
pub const SECOND: u32 = 2;

/// The register of 4 bytes at byte `at` of all registers.
#[must_use]
pub fn register(at: u32) -> u32 {
    8 + at / 4
}

fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
    nest(1, &[attribute(1, &super::zero_ended(name)), nest(2, data)])
}

fn numbers(list: &[(u16, u32)]) -> Vec<Vec<u8>> {
    list.iter().map(|(kind, number)| attribute(*kind, &number.to_be_bytes())).collect()
}

/// What is known about a packet beside its bytes.
#[derive(Clone, Copy, Debug)]
pub enum Meta {
    /// The name of the link that it came by, 16 bytes.
    InputLink = 6,
    OutputLink = 7,
    /// 2 for IPv4, 10 for IPv6; where a table sees both.
    NetworkFamily = 15,
    /// Such as 6 for TCP; no rule goes on where that cannot be found.
    Transport = 16,
    /// One byte: 1 for what came under IPsec and was decrypted.
    Decrypted = 25,
}

#[must_use]
pub fn meta(key: Meta, into: u32) -> Vec<u8> {
    expression("meta", &numbers(&[(1, into), (2, key as u32)]))
}

/// Which header bytes are counted from.
#[derive(Clone, Copy, Debug)]
pub enum Header {
    Link = 0,
    Network = 1,
    Transport = 2,
}

#[must_use]
pub fn payload(header: Header, offset: u32, length: u32, into: u32) -> Vec<u8> {
    expression("payload", &numbers(&[(1, into), (2, header as u32), (3, offset), (4, length)]))
}

/// Writes what a register has into the packet. Checksums are not mended.
#[must_use]
pub fn write(from: u32, header: Header, offset: u32, length: u32) -> Vec<u8> {
    expression("payload", &numbers(&[(5, from), (2, header as u32), (3, offset), (4, length)]))
}

/// Loads one byte: whether an IPv6 packet has an extension header of that kind.
#[must_use]
pub fn extension(kind: u8, into: u32) -> Vec<u8> {
    const PRESENT: u32 = 1;
    let mut parts = numbers(&[(1, into), (3, 0), (4, 1), (5, PRESENT)]);
    parts.push(attribute(2, &[kind]));
    expression("exthdr", &parts)
}

/// What connection tracking says of a packet's connection.
#[derive(Clone, Copy, Debug)]
pub enum Tracking {
    State = 0,
    Status = 2,
    /// The addresses that its packets come from, in one direction.
    SourceV4 = 19,
    SourceV6 = 21,
}

#[must_use]
pub fn tracking(key: Tracking, into: u32) -> Vec<u8> {
    expression("ct", &numbers(&[(1, into), (2, key as u32)]))
}

/// Keeps the packet out of the table of connections.
#[must_use]
pub fn untracked() -> Vec<u8> {
    expression("notrack", &[])
}

/// The same of what comes back in the connection.
#[must_use]
pub fn tracking_reply(key: Tracking, into: u32) -> Vec<u8> {
    const REPLY: u8 = 1;
    let mut parts = numbers(&[(1, into), (2, key as u32)]);
    parts.push(attribute(3, &[REPLY]));
    expression("ct", &parts)
}

/// Goes on when the first bytes of the first register are `value`.
#[must_use]
pub fn equals(value: &[u8]) -> Vec<u8> {
    compare(0, value)
}

/// Goes on when the first bytes of the first register are not `value`.
#[must_use]
pub fn differs(value: &[u8]) -> Vec<u8> {
    compare(1, value)
}

fn compare(operator: u32, value: &[u8]) -> Vec<u8> {
    let mut parts = numbers(&[(1, FIRST), (2, operator)]);
    parts.push(nest(3, &[attribute(1, value)]));
    expression("cmp", &parts)
}

/// Keeps the bits of the first register that `mask` has.
#[must_use]
pub fn and(mask: &[u8]) -> Vec<u8> {
    let mut parts = numbers(&[(1, FIRST), (2, FIRST), (3, mask.len() as u32)]);
    parts.push(nest(4, &[attribute(1, mask)]));
    parts.push(nest(5, &[attribute(1, &vec![0; mask.len()])]));
    expression("bitwise", &parts)
}

/// Goes on when the set has the key that begins in the first register; with `not`, when it does not.
#[must_use]
pub fn lookup(set: &str, number: u32, not: bool) -> Vec<u8> {
    let mut parts = vec![attribute(1, &super::zero_ended(set))];
    parts.extend(numbers(&[(2, FIRST), (4, number), (5, not.into())]));
    expression("lookup", &parts)
}

/// Counts the packet in a counter of the table.
#[must_use]
pub fn count(counter: &str) -> Vec<u8> {
    const COUNTER: u32 = 1;
    let mut parts = numbers(&[(1, COUNTER)]);
    parts.push(attribute(2, &super::zero_ended(counter)));
    expression("objref", &parts)
}

#[must_use]
pub fn accept() -> Vec<u8> {
    verdict(1)
}

#[must_use]
pub fn drop() -> Vec<u8> {
    verdict(0)
}

/// Goes on with the rules of another chain of the table, and not with the next one here.
#[must_use]
pub fn goto(chain: &str) -> Vec<u8> {
    const GOTO: i32 = -4;
    decide(&[attribute(1, &GOTO.to_be_bytes()), attribute(2, &super::zero_ended(chain))])
}

fn verdict(code: u32) -> Vec<u8> {
    decide(&numbers(&[(1, code)]))
}

fn decide(verdict: &[Vec<u8>]) -> Vec<u8> {
    const VERDICT_REGISTER: u32 = 0;
    let mut parts = numbers(&[(1, VERDICT_REGISTER)]);
    parts.push(nest(2, &[nest(2, verdict)]));
    expression("immediate", &parts)
}

/// Gives what goes out the address of the link that it leaves by.
#[must_use]
pub fn masquerade() -> Vec<u8> {
    expression("masq", &[])
}

/// Loads a value.
#[must_use]
pub fn immediate(value: &[u8], into: u32) -> Vec<u8> {
    let mut parts = numbers(&[(1, into)]);
    parts.push(nest(2, &[attribute(1, value)]));
    expression("immediate", &parts)
}

/// Loads what the packet's destination is to this host, as routes say it: `RTN_LOCAL` for an address of its own.
#[must_use]
pub fn destination_kind(into: u32) -> Vec<u8> {
    const KIND: u32 = 3;
    const DESTINATION: u32 = 2;
    expression("fib", &numbers(&[(1, into), (2, KIND), (3, DESTINATION)]))
}

/// Loads one byte: 1 where what goes out will be encrypted by IPsec.
#[must_use]
pub fn encrypts(into: u32) -> Vec<u8> {
    const TRANSFORM: u32 = 4;
    expression("rt", &numbers(&[(1, into), (2, TRANSFORM)]))
}

/// Sends the connection to the address and the port in two registers.
#[must_use]
pub fn translate(v4: bool, address: u32, port: u32) -> Vec<u8> {
    const DESTINATION: u32 = 1;
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
    expression("nat", &numbers(&[(1, DESTINATION), (2, family as u32), (3, address), (5, port)]))
}
