//! Applications that this very process started and is about to attach to.
//!
//! One that ends at once takes its helper with it; what it wrote to its terminal is then only in the master that
//! was handed over when it started. A restore works in a thread with a descriptor table of its own, so what it hands
//! over travels through a socket that both tables have.

use crate::Aid;
use crate::link::Link;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use sys::{poll, sockets};

/// The first connection to a helper, and the master of its application's terminal.
pub struct Launched {
    pub link: Link,
    pub master: Option<OwnedFd>,
}

#[derive(Default)]
struct Known {
    launched: BTreeMap<Aid, Launched>,
    /// Masters of terminals of processes that no capsule holds: this very process is their terminal emulator.
    emulated: BTreeMap<i32, OwnedFd>,
    /// Where threads with tables of their own send what they launch.
    crossing: Option<UnixStream>,
}

static KNOWN: Mutex<Known> =
    Mutex::new(Known { launched: BTreeMap::new(), emulated: BTreeMap::new(), crossing: None });

thread_local! {
    /// The way out of this thread's own descriptor table, where it has one.
    static AWAY: RefCell<Option<UnixStream>> = const { RefCell::new(None) };
}

/// What the descriptors of a message are of: those of a launched application, or the master of a process's terminal.
#[derive(Serialize, Deserialize)]
enum Parcel {
    Launched(String),
    Emulated(i32),
}

/// To be called before this thread gets a descriptor table of its own: from then on what it hands over is sent.
pub fn depart() -> io::Result<()> {
    let (here, there) = UnixStream::pair()?;
    poll::never_wait(here.as_fd())?;
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).crossing = Some(here);
    AWAY.with(|away| away.replace(Some(there)));
    Ok(())
}

pub fn remember(aid: Aid, link: Link, master: Option<OwnedFd>) {
    let parcel = Parcel::Launched(aid.to_string());
    let contents: Vec<_> = [link.as_fd()].into_iter().chain(master.as_ref().map(AsFd::as_fd)).collect();
    if !sent(&parcel, &contents) {
        lock().launched.insert(aid, Launched { link, master });
    }
}

pub fn recall(aid: &Aid) -> Option<Launched> {
    lock().launched.remove(aid)
}

/// Keeps the master of the terminal that a restored process sits at until this process attaches to it. The terminal
/// hangs up when this process ends.
pub fn emulate(pid: i32, master: OwnedFd) {
    if !sent(&Parcel::Emulated(pid), &[master.as_fd()]) {
        lock().emulated.insert(pid, master);
    }
}

pub fn emulated(pid: i32) -> Option<OwnedFd> {
    lock().emulated.remove(&pid)
}

/// False where this thread shares its table with the others. Nothing can be done about a failure: whoever attaches
/// then connects as a stranger does.
fn sent(parcel: &Parcel, contents: &[BorrowedFd]) -> bool {
    AWAY.with(|away| {
        let away = away.borrow();
        let Some(away) = away.as_ref() else { return false };
        let text = serde_json::to_vec(parcel).unwrap_or_default();
        let _ = sockets::send(away.as_fd(), &text, contents);
        true
    })
}

/// What is known, with what has arrived meanwhile.
fn lock() -> std::sync::MutexGuard<'static, Known> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    // Descriptors end a receive, so that each finds one parcel.
    while let Some((parcel, contents)) = known.crossing.as_ref().and_then(receive) {
        let mut contents = contents.into_iter();
        match (parcel, contents.next()) {
            (Parcel::Launched(aid), Some(link)) => {
                let Ok(aid) = aid.parse() else { continue };
                let launched = Launched { link: Link::new(UnixStream::from(link)), master: contents.next() };
                known.launched.insert(aid, launched);
            }
            (Parcel::Emulated(pid), Some(master)) => drop(known.emulated.insert(pid, master)),
            _ => {}
        }
    }
    known
}

fn receive(crossing: &UnixStream) -> Option<(Parcel, Vec<OwnedFd>)> {
    let mut bytes = [0; 256];
    let (length, contents) = sockets::receive(crossing.as_fd(), &mut bytes).ok()?;
    Some((serde_json::from_slice(&bytes[..length]).ok()?, contents))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_with_its_own_table_hands_over_arrives() {
        let hand_over = || {
            depart().expect("a socket");
            sys::process::unshare_files().expect("a table");
            let (reader, writer) = io::pipe().expect("a pipe");
            emulate(4711, reader.into());
            io::Write::write_all(&mut &writer, b"x").expect("room");
        };
        std::thread::spawn(hand_over).join().expect("no panic");
        let reader = emulated(4711).expect("a descriptor");
        assert_eq!(sys::files::read(reader.as_fd(), 9), Ok(b"x".to_vec()));
        assert!(emulated(4711).is_none());
    }
}
