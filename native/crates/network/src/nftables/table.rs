//! Tables and what is in them: chains, rules, sets, counters.

use super::{Batch, Family, SUBSYSTEM, body, find, list, zero_ended};
use crate::error::{Attempt, Result};
use crate::messages::{Conversation, attribute, attributes, nest};
use sys::Errno;

const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const GET_CHAIN: u16 = 4;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENT: u16 = 12;
const GET_ELEMENT: u16 = 13;
const DELETE_ELEMENT: u16 = 14;
const NEW_OBJECT: u16 = 18;
const GET_OBJECT: u16 = 19;
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;
const APPEND: u16 = 0x800;
const OBJECT_COUNTER: u32 = 1;

/// The attribute of every message that names a table.
pub(crate) const TABLE_NAME: u16 = 1;

/// Where a chain is asked.
#[derive(Clone, Copy, Debug)]
pub struct Hook<'a> {
    pub number: u32,
    pub priority: i32,
    /// "filter" or "nat".
    pub kind: &'a str,
}

pub const PREROUTING: u32 = 0;
pub const INPUT: u32 = 1;
pub const FORWARD: u32 = 2;
pub const OUTPUT: u32 = 3;
pub const POSTROUTING: u32 = 4;

/// What a set's keys consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Link,
    Mac,
    V4,
    V6,
}

impl Field {
    /// The number that nft(8) shows the field by, and its length. Beside others it fills registers of 4 bytes.
    fn shape(self) -> (u32, u32) {
        match self {
            Self::Link => (41, 16),
            Self::Mac => (9, 6),
            Self::V4 => (7, 4),
            Self::V6 => (8, 16),
        }
    }
}

/// What a counter has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    pub name: String,
    pub packets: u64,
    pub bytes: u64,
}

/// Adds to a batch what concerns one table.
pub struct Table<'a> {
    pub batch: &'a mut Batch,
    pub family: Family,
    pub name: &'a str,
}

impl Table<'_> {
    fn push(&mut self, kind: u16, flags: u16, parts: &[Vec<u8>]) {
        let parts = [&[attribute(TABLE_NAME, &zero_ended(self.name))], parts].concat();
        self.batch.push(self.family, kind, flags, &parts);
    }

    /// Makes the table. Where there is one already the batch comes to nothing, with `EEXIST`.
    pub fn create_new(&mut self) {
        self.push(NEW_TABLE, CREATE | EXCLUSIVE, &[]);
    }

    /// The same, for as long as the socket is open that the batch goes through: nobody else can change the table, and it
    /// vanishes with the socket (Linux 5.12).
    pub fn create_owned(&mut self) {
        const OWNER: u32 = 2;
        self.push(NEW_TABLE, CREATE | EXCLUSIVE, &[attribute(2, &OWNER.to_be_bytes())]);
    }

    /// Removes the table, with everything in it. It must be there.
    pub fn delete(&mut self) {
        self.push(DELETE_TABLE, 0, &[]);
    }

    /// A chain that lets pass what none of its rules stops.
    pub fn chain(&mut self, name: &str, hook: Hook<'_>) {
        let place = [attribute(1, &hook.number.to_be_bytes()), attribute(2, &hook.priority.to_be_bytes())];
        let parts = [attribute(3, &zero_ended(name)), nest(4, &place), attribute(7, &zero_ended(hook.kind))];
        self.push(NEW_CHAIN, CREATE, &parts);
    }

    /// A chain that is asked only where a rule of another one leads to it; before that rule.
    pub fn branch(&mut self, name: &str) {
        self.push(NEW_CHAIN, CREATE, &[attribute(3, &zero_ended(name))]);
    }

    /// Appends a rule: expressions, each of which decides whether the next is asked.
    pub fn rule(&mut self, chain: &str, expressions: &[Vec<u8>]) {
        let parts = [attribute(2, &zero_ended(chain)), nest(4, expressions)];
        self.push(NEW_RULE, CREATE | APPEND, &parts);
    }

    /// A set; `number` tells it from the others of the batch.
    pub fn set(&mut self, name: &str, number: u32, fields: &[Field]) {
        let (kind, padded) = fields.iter().fold((0, 0), |(kind, length), field| {
            let (number, size) = field.shape();
            (kind << 6 | number, length + size.next_multiple_of(4))
        });
        let length = if let [field] = fields { field.shape().1 } else { padded };
        let numbers = [(3, 0), (4, kind), (5, length), (10, number)];
        let mut parts = vec![attribute(2, &zero_ended(name))];
        parts.extend(numbers.map(|(attr, number): (u16, u32)| attribute(attr, &number.to_be_bytes())));
        self.push(NEW_SET, CREATE, &parts);
    }

    /// Puts a key into a set; it may be there.
    pub fn add(&mut self, set: &str, key: &[u8]) {
        self.element(NEW_ELEMENT, CREATE, set, key);
    }

    /// Takes a key out of a set. It must be there.
    pub fn remove(&mut self, set: &str, key: &[u8]) {
        self.element(DELETE_ELEMENT, 0, set, key);
    }

    /// Takes all keys out of a set.
    pub fn empty(&mut self, set: &str) {
        self.push(DELETE_ELEMENT, 0, &[attribute(2, &zero_ended(set))]);
    }

    fn element(&mut self, kind: u16, flags: u16, set: &str, key: &[u8]) {
        let element = nest(1, &[nest(1, &[attribute(1, key)])]);
        self.push(kind, flags, &[attribute(2, &zero_ended(set)), nest(3, &[element])]);
    }

    /// A counter that rules can name. One that is there goes on counting.
    pub fn counter(&mut self, name: &str) {
        let kind = attribute(3, &OBJECT_COUNTER.to_be_bytes());
        self.push(NEW_OBJECT, CREATE, &[attribute(2, &zero_ended(name)), kind, nest(4, &[])]);
    }
}

/// Whether there is a table of that name.
pub fn exists(family: Family, name: &str) -> Result<bool> {
    let question = body(family, &[attribute(TABLE_NAME, &zero_ended(name))]);
    ask(GET_TABLE, &question).attempt(|| format!("look for the table {name} of nftables"))
}

/// Whether a table has a chain of that name.
pub fn has_chain(family: Family, name: &str, chain: &str) -> Result<bool> {
    let named = [attribute(TABLE_NAME, &zero_ended(name)), attribute(3, &zero_ended(chain))];
    ask(GET_CHAIN, &body(family, &named)).attempt(|| format!("look into the table {name} of nftables"))
}

fn ask(kind: u16, question: &[u8]) -> sys::Result<bool> {
    match Conversation::open(libc::NETLINK_NETFILTER)?.get((SUBSYSTEM << 8) | kind, question) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The keys of a set; none where there is no table.
pub fn elements(family: Family, table: &str, set: &str) -> Result<Vec<Vec<u8>>> {
    let named = [attribute(TABLE_NAME, &zero_ended(table)), attribute(2, &zero_ended(set))];
    let answers = list(family, GET_ELEMENT, &named).attempt(|| format!("read the set {set} of {table}"))?;
    let elements = answers.iter().filter_map(|answer| find(answer, 3)).flat_map(attributes);
    let key = |element: &[u8]| find(find(element, 1)?, 1).map(<[u8]>::to_vec);
    Ok(elements.filter_map(|(_, element)| key(element)).collect())
}

/// What the counters of a table have counted; none where there is no table.
pub fn counts(family: Family, table: &str) -> Result<Vec<Count>> {
    let found = list(family, GET_OBJECT, &[attribute(TABLE_NAME, &zero_ended(table))])
        .attempt(|| format!("read the counters of {table}"))?;
    let ours = zero_ended(table);
    Ok(found
        .iter()
        .filter(|object| find(object, TABLE_NAME) == Some(&ours))
        .filter_map(|o| count(o))
        .collect())
}

fn count(object: &[u8]) -> Option<Count> {
    let name = find(object, 2)?.strip_suffix(&[0])?;
    let figures = attributes(find(object, 4)?);
    let figure = |kind: u16| {
        let value = figures.iter().find(|(found, _)| *found == kind)?.1;
        value.try_into().ok().map(u64::from_be_bytes)
    };
    let name = String::from_utf8_lossy(name).into_owned();
    Some(Count { name, bytes: figure(1)?, packets: figure(2)? })
}
