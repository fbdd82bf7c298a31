//! A helper of another kind: it holds the memory of a template, and makes the processes of clones as copies of itself.
//!
//! It is in its maker's namespaces and single-threaded, so that it may fork. What it holds, it never writes to again.

mod birth;
mod holding;

use crate::link::{Link, at, at_io};
use abi::wire::{Failure, Reply, Request, Residence, Step};
use holding::Holding;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;
use sys::folder::Folder;
use sys::lifecycle::{self, Fork};
use sys::poll::{Interest, poll};
use sys::{Errno, sockets};

/// Connections at once, and those that may wait to be accepted.
const MAX_CLIENTS: usize = 64;
const BACKLOG: i32 = 128;
/// Before another try when the kernel is out of memory.
const OUT_OF_MEMORY_PAUSE: Duration = Duration::from_millis(100);

struct Resident {
    holding: Holding,
    packs: BTreeMap<u32, File>,
    clients: BTreeMap<u64, Link>,
    next_client: u64,
    door: UnixListener,
    folder: Folder,
    files: Vec<CString>,
    /// The engine that loads the template, until it commits.
    maker: Option<u64>,
    over: bool,
}

/// Takes leave of the maker's process tree and serves.
pub fn begin(link: Link, residence: &Residence, descriptors: Vec<OwnedFd>) -> io::Result<()> {
    match lifecycle::fork(None) {
        Ok(Fork::Parent { .. }) => Ok(()),
        Ok(Fork::Child) => match Resident::new(link, residence, descriptors) {
            Ok(mut resident) => {
                resident.serve();
                Ok(())
            }
            Err((link, failure)) => link.send(&Reply::Failed(failure), &[]),
        },
        Err(errno) => link.send(&Reply::Failed(at(Step::Fork)(errno)), &[]),
    }
}

impl Resident {
    fn new(link: Link, residence: &Residence, given: Vec<OwnedFd>) -> Result<Self, (Link, Failure)> {
        let settled = settle(given);
        let (door, folder) = match settled {
            Ok(settled) => settled,
            Err(failure) => return Err((link, failure)),
        };
        let files = residence.files.iter().filter_map(|name| CString::new(name.as_str()).ok()).collect();
        let mut resident = Self {
            holding: Holding::default(),
            packs: BTreeMap::new(),
            clients: BTreeMap::new(),
            next_client: 0,
            door,
            folder,
            files,
            maker: None,
            over: false,
        };
        if link.send(&Reply::Done, &[]).is_ok() {
            resident.maker = resident.welcome(link);
        }
        resident.over = resident.maker.is_none();
        Ok(resident)
    }

    fn welcome(&mut self, link: Link) -> Option<u64> {
        link.never_wait().ok()?;
        self.next_client += 1;
        self.clients.insert(self.next_client, link);
        Some(self.next_client)
    }

    fn serve(&mut self) {
        while !self.over {
            for source in self.ready() {
                match source {
                    None => self.open_door(),
                    Some(id) => self.listen_to(id),
                }
            }
        }
        for file in &self.files {
            let _ = self.folder.unlink(file);
        }
    }

    /// Clients that have something to say; `None` is the door.
    fn ready(&self) -> Vec<Option<u64>> {
        let mut sources: Vec<(Option<u64>, _)> =
            self.clients.iter().map(|(id, link)| (Some(*id), link.as_fd())).collect();
        if self.clients.len() < MAX_CLIENTS {
            sources.push((None, self.door.as_fd()));
        }
        let entries: Vec<_> = sources.iter().map(|(_, fd)| (*fd, Interest::Readable)).collect();
        let Ok(ready) = poll(&entries, None) else {
            thread::sleep(OUT_OF_MEMORY_PAUSE);
            return Vec::new();
        };
        sources.iter().zip(ready).filter(|(_, ready)| *ready).map(|((source, _), _)| *source).collect()
    }

    fn open_door(&mut self) {
        let Ok((stream, _)) = self.door.accept() else { return };
        let own = [0, lifecycle::effective_uid()];
        if sockets::peer_uid(stream.as_fd()).is_ok_and(|uid| own.contains(&uid)) {
            let _ = self.welcome(Link::new(stream));
        }
    }

    fn listen_to(&mut self, id: u64) {
        let open = self.clients.get_mut(&id).is_some_and(|link| link.fill().unwrap_or(false));
        let answered = self.answer_all(id);
        if open && answered.is_ok() {
            return;
        }
        self.clients.remove(&id);
        // Half loaded, and nobody to finish it.
        self.over |= self.maker == Some(id);
    }

    fn answer_all(&mut self, id: u64) -> io::Result<()> {
        loop {
            let Some(link) = self.clients.get_mut(&id) else { return Ok(()) };
            let Some((request, descriptors)) = link.next()? else { return Ok(()) };
            let (reply, given) = match self.answer(id, request, descriptors) {
                Ok(answer) => answer,
                Err(failure) => (Reply::Failed(failure), Vec::new()),
            };
            let Some(link) = self.clients.get(&id) else { return Ok(()) };
            let given: Vec<_> = given.iter().map(AsFd::as_fd).collect();
            link.send(&reply, &given)?;
        }
    }

    fn answer(
        &mut self,
        id: u64,
        request: Request,
        given: Vec<OwnedFd>,
    ) -> Result<(Reply, Vec<OwnedFd>), Failure> {
        let done = Ok((Reply::Done, Vec::new()));
        match request {
            Request::Keep { name } if self.maker == Some(id) => self.take_pack(&name, given).and(done),
            Request::Load if self.maker == Some(id) => {
                self.holding.load(given, &std::mem::take(&mut self.packs))?;
                let own = lifecycle::process_handle(std::process::id() as i32);
                Ok((Reply::Descriptor, vec![own.map_err(at(Step::NoSuchProcess))?]))
            }
            Request::Commit if self.maker == Some(id) => {
                self.maker = None;
                done
            }
            Request::Beget(birth) => birth::beget(&birth, &given),
            Request::Unload => {
                self.over = true;
                done
            }
            _ => Err(misunderstood()),
        }
    }

    fn take_pack(&mut self, name: &str, given: Vec<OwnedFd>) -> Result<(), Failure> {
        let [file] = <[OwnedFd; 1]>::try_from(given).map_err(|_| misunderstood())?;
        let index = name.parse().map_err(|_| misunderstood())?;
        self.packs.insert(index, file.into());
        Ok(())
    }
}

/// A place of its own: no terminal, no folder that could not be unmounted; and what it was given to work with.
fn settle(given: Vec<OwnedFd>) -> Result<(UnixListener, Folder), Failure> {
    let [listener, folder] = <[OwnedFd; 2]>::try_from(given).map_err(|_| misunderstood())?;
    lifecycle::setsid().map_err(at(Step::Session))?;
    // The name only helps a person who looks at the process list.
    let _ = lifecycle::set_name(c"stasis-template");
    lifecycle::set_soft_nofile(u64::MAX).map_err(at(Step::Session))?;
    std::env::set_current_dir("/").map_err(at_io(Step::WorkingFolder))?;
    sockets::listen(listener.as_fd(), BACKLOG).map_err(at(Step::Listen))?;
    let door = UnixListener::from(listener);
    door.set_nonblocking(true).map_err(at_io(Step::Listen))?;
    Ok((door, folder.into()))
}

fn misunderstood() -> Failure {
    Failure { step: Step::Understand, errno: Errno::EINVAL.0 }
}
