//! Policies of XFRM: which packets must be under ESP. One that is not goes nowhere, whether there is a state for it or not.

use super::layout::{ESP, Packets, SELECTOR, family, lifetime};
use crate::messages::{Conversation, NLM_F_ACK, NLM_F_REQUEST, attribute, attributes, message, word};

const NEW: u16 = 0x13;
const DELETE: u16 = 0x14;
const LIST: u16 = 0x15;
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;

/// The attribute with `struct xfrm_user_tmpl`.
const TEMPLATE: u16 = 5;

/// `struct xfrm_userpolicy_info`: its length, and where it has its direction.
const INFO: usize = 168;
const DIRECTION: usize = 160;

/// `struct xfrm_user_tmpl`: where it has what is read.
const PROTOCOL: usize = 20;
const OWNER: usize = 44;

/// Before those of programs that exchange keys, which may concern all that the two hosts send each other.
const PRIORITY: u32 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In = 0,
    Out = 1,
}

/// What packets of a kind must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub direction: Direction,
    pub packets: Packets,
}

impl Policy {
    fn body(&self, owner: u32) -> Vec<u8> {
        let mut bytes = self.packets.selector();
        bytes.extend(lifetime(0));
        bytes.resize(DIRECTION - 8, 0);
        bytes.extend(PRIORITY.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.push(self.direction as u8);
        bytes.resize(INFO, 0);
        [bytes, attribute(TEMPLATE, &self.template(owner))].concat()
    }

    /// ESP in transport mode, under a state of this owner.
    fn template(&self, owner: u32) -> Vec<u8> {
        let mut bytes = vec![0; PROTOCOL];
        bytes.extend([ESP, 0, 0, 0]);
        bytes.extend(family(self.packets.to).to_ne_bytes());
        bytes.resize(OWNER, 0);
        bytes.extend(owner.to_ne_bytes());
        bytes.extend([0; 4]);
        // Whatever the state's algorithms are.
        bytes.extend([0xff; 12]);
        bytes
    }

    /// # Errors
    /// `EEXIST` where there is one for the same packets, whoever's it is.
    pub fn add(&self, kernel: &Conversation, owner: u32) -> sys::Result<()> {
        kernel.ask(&message(NEW, NLM_F_REQUEST | NLM_F_ACK | CREATE | EXCLUSIVE, 1, &self.body(owner)))
    }

    /// Nothing happens where it has gone meanwhile.
    pub fn remove(&self, kernel: &Conversation) -> sys::Result<()> {
        let mut body = self.packets.selector();
        body.extend(0u32.to_ne_bytes());
        body.extend([self.direction as u8, 0, 0, 0]);
        match kernel.ask(&message(DELETE, NLM_F_REQUEST | NLM_F_ACK, 1, &body)) {
            Err(sys::Errno::ENOENT) => Ok(()),
            other => other,
        }
    }
}

/// Those of one owner.
pub(super) fn list(kernel: &Conversation, owner: u32) -> sys::Result<Vec<Policy>> {
    let all = kernel.dump(LIST, &[])?;
    Ok(all.iter().filter_map(|policy| read(policy, owner)).collect())
}

fn read(policy: &[u8], owner: u32) -> Option<Policy> {
    let parts = attributes(policy.get(INFO..)?);
    let (_, template) = parts.iter().find(|(kind, _)| *kind == TEMPLATE)?;
    let direction = match policy.get(DIRECTION)? {
        0 => Direction::In,
        1 => Direction::Out,
        _ => return None,
    };
    let packets = Packets::read(policy.get(..SELECTOR)?)?;
    (word(template, OWNER) == owner).then_some(Policy { direction, packets })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_were_written() {
        let packets = Packets { from: None, to: "192.0.2.2".parse().unwrap(), port: 24_577 };
        for direction in [Direction::In, Direction::Out] {
            let policy = Policy { direction, packets };
            assert_eq!(policy.template(5).len(), 64);
            assert_eq!(read(&policy.body(5), 5), Some(policy));
            assert_eq!(read(&policy.body(5), 6), None);
        }
    }
}
