//! Message queues (msgget(2)) with the messages that wait in them.

use super::reach::Reach;
use super::status::{self, PermissionsV1, Wanted, signed};
use super::{Claim, Members, actor};
use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::inquiry::word;
use crate::nursery::Nursery;
use crate::program::Program;
use crate::rebuild::Rebuild;
use abi::{Code, Fault};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sys::system_v::Kind;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueV1 {
    pub id: i32,
    pub permissions: PermissionsV1,
    /// The most bytes of text that it holds.
    pub capacity: u64,
    pub last_sender: Option<OriginalPid>,
    pub last_receiver: Option<OriginalPid>,
    /// In the order of the queue.
    pub messages: Vec<MessageV1>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessageV1 {
    pub kind: i64,
    pub text: ByteBuf,
}

/// What one call of a restoring process can carry.
const LARGEST: usize = 512 << 10;
const CAPACITY_AT: usize = 88;

pub fn collect(reach: &mut Reach, members: &Members, claim: &Claim) -> Result<Vec<QueueV1>> {
    let mut queues = Vec::new();
    for id in reach.listed("msg")? {
        let status = match reach.status(Kind::Queue, id)? {
            Err(_) if !claim.is_all() => continue,
            status => status.explain(|| format!("Could not examine message queue {id}"))?,
        };
        let last_sender = members.original(signed(&status, 96));
        let last_receiver = members.original(signed(&status, 100));
        if claim.takes(Kind::Queue, id, last_sender.is_some() || last_receiver.is_some()) {
            queues.push(QueueV1 {
                id,
                permissions: PermissionsV1::parse(&status),
                capacity: word(&status, CAPACITY_AT),
                last_sender,
                last_receiver,
                messages: messages(reach, id, word(&status, 72) as usize)?,
            });
        }
    }
    Ok(queues)
}

/// Copies all messages of a queue that holds `bytes` of text.
fn messages(reach: &mut Reach, id: i32, bytes: usize) -> Result<Vec<MessageV1>> {
    let what = || format!("Could not read message queue {id}");
    let mut messages = Vec::new();
    while let Some((kind, text)) = reach.message(id, messages.len(), bytes)?.explain(what)? {
        if text.len() > LARGEST {
            return Err(Fault::new(Code::Refused, format!("Could not capture message queue {id}"))
                .because(format!("a message of {} bytes is too long", text.len())));
        }
        messages.push(MessageV1 { kind, text: ByteBuf::from(text) });
    }
    Ok(messages)
}

pub fn apply(saved: &QueueV1, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    let root = actor(None, rebuild);
    let wanted =
        Wanted { kind: Kind::Queue, id: saved.id, permissions: &saved.permissions, size: 0, flags: 0 };
    let mut program = Program::new(&bench);
    if wanted.make(&root, &bench, rebuild)? {
        if holds(saved, nursery, rebuild)? {
            return Ok(());
        }
        drain(saved.id, nursery, rebuild)?;
    }
    let id = rebuild.system_v.current(Kind::Queue, saved.id);
    let capacity = saved.capacity.to_le_bytes();
    let open = PermissionsV1 { mode: 0o600, ..saved.permissions.clone() };
    status::set(Kind::Queue, id, &open, &root, &mut program, |bytes| {
        bytes[CAPACITY_AT..CAPACITY_AT + 8].copy_from_slice(&capacity);
    })?;
    if saved.last_receiver.is_some() || (saved.last_sender.is_some() && saved.messages.is_empty()) {
        let ping = MessageV1 { kind: 1, text: ByteBuf::new() };
        send(saved, &ping, nursery, rebuild)?;
        receive(saved, nursery, rebuild)?;
    }
    saved.messages.iter().try_for_each(|message| send(saved, message, nursery, rebuild))
}

/// Does a queue that was there already hold just the saved messages? Then it is better left alone: taking messages out
/// would show.
fn holds(saved: &QueueV1, nursery: &Nursery, rebuild: &Rebuild) -> Result<bool> {
    const MSG_COPY: u64 = 0o40000;
    let bench = nursery.hole.bench();
    let root = actor(None, rebuild);
    let mut program = Program::new(&bench);
    let Some(status) = status::status(Kind::Queue, saved.id, &root, &mut program)? else { return Ok(false) };
    if word(&status, 80) != saved.messages.len() as u64 || word(&status, CAPACITY_AT) != saved.capacity {
        return Ok(false);
    }
    for (index, message) in saved.messages.iter().enumerate() {
        let length = message.text.len();
        let buffer = program.data(&vec![0; 8 + length]);
        let flags = MSG_COPY | libc::IPC_NOWAIT as u64;
        let args = [saved.id as u64, buffer, length as u64, index as u64, flags];
        program.attempt("msgrcv", libc::SYS_msgrcv, &args);
        if program.run(&root)?[0] != length as i64 {
            return Ok(false);
        }
        let bytes = program.fetch(&root, buffer, 8 + length)?;
        if bytes[..8] != message.kind.to_le_bytes() || bytes[8..] != message.text[..] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes away what a queue that was there already holds.
fn drain(id: i32, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    let root = actor(None, rebuild);
    let mut program = Program::new(&bench);
    let Some(status) = status::status(Kind::Queue, id, &root, &mut program)? else { return Ok(()) };
    for _ in 0..word(&status, 80) {
        add_receive(id, &mut program);
    }
    program.run(&root).map(drop)
}

fn add_receive(id: i32, program: &mut Program) {
    const MSG_NOERROR: u64 = 0o10000;
    let buffer = program.data(&[0; 16]);
    let flags = libc::IPC_NOWAIT as u64 | MSG_NOERROR;
    program.attempt("msgrcv", libc::SYS_msgrcv, &[id as u64, buffer, 0, 0, flags]);
}

fn receive(saved: &QueueV1, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    let mut program = Program::new(&bench);
    add_receive(rebuild.system_v.current(Kind::Queue, saved.id), &mut program);
    program.run(&actor(saved.last_receiver, rebuild)).map(drop)
}

fn send(saved: &QueueV1, message: &MessageV1, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    let mut program = Program::new(&bench);
    let at = program.data(&[&message.kind.to_le_bytes()[..], &message.text].concat());
    let id = rebuild.system_v.current(Kind::Queue, saved.id);
    let args = [id as u64, at, message.text.len() as u64, libc::IPC_NOWAIT as u64];
    program.call("msgsnd", libc::SYS_msgsnd, &args);
    program.run(&actor(saved.last_sender, rebuild)).map(drop)
}

pub fn settle(saved: &QueueV1, nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    let mut program = Program::new(&bench);
    let root = actor(None, rebuild);
    let id = rebuild.system_v.current(Kind::Queue, saved.id);
    status::set(Kind::Queue, id, &saved.permissions, &root, &mut program, |_| {})
}
