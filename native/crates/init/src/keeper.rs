//! The helper's life: one loop over the children's signal, the door, the clients and the terminal.

use crate::client::Client;
use crate::console::Console;
use crate::family::Family;
use crate::folders::Folders;
use crate::link::{Link, at_io};
use crate::program::Started;
use crate::translation::Translation;
use crate::{requests, sweep};
use abi::wire::{Failure, IDS, Own, Reply, Request, StatusFile, Step};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;
use sys::poll::{Interest, poll};
use sys::signals::SignalFd;
use sys::{lifecycle, sockets};

/// Connections at once. More wait at the door.
const MAX_CLIENTS: usize = 64;
/// Before another try when the kernel is out of memory.
const OUT_OF_MEMORY_PAUSE: Duration = Duration::from_millis(100);

pub struct Keeper {
    pub family: Family,
    pub console: Option<Console>,
    /// Descriptors that must outlive the command, by name.
    pub deposits: BTreeMap<String, OwnedFd>,
    /// What the application has for itself in `/dev`.
    pub own: Own,
    /// The engine that restores an application here, until it commits.
    pub builder: Option<u64>,
    /// Another capsule has taken this one's place.
    pub yielded: bool,
    pub clients: BTreeMap<u64, Client>,
    next_client: u64,
    door: UnixListener,
    children: SignalFd,
    folders: Folders,
    /// Of an application whose System V ids are translated.
    pub translation: Option<Translation>,
}

/// What poll found ready.
#[derive(Clone, Copy)]
enum Source {
    Children,
    Door,
    Client(u64),
    Console,
    Question,
    Listing,
}

impl Keeper {
    pub fn new(
        door: UnixListener,
        children: SignalFd,
        folders: Folders,
        own: Own,
        translation: Option<Translation>,
    ) -> Result<Self, Failure> {
        let table = translation.as_ref().map(|translation| translation.file().try_clone_to_owned());
        let table = table.transpose().map_err(at_io(Step::Translation))?;
        Ok(Self {
            family: Family::default(),
            console: None,
            deposits: table.into_iter().map(|table| (IDS.to_owned(), table)).collect(),
            own,
            builder: None,
            yielded: false,
            clients: BTreeMap::new(),
            next_client: 0,
            door,
            children,
            folders,
            translation,
        })
    }

    /// Adds a connection. One that is `attached` takes the terminal's output from the start.
    pub fn welcome(&mut self, link: Link, attached: bool) -> io::Result<u64> {
        link.never_wait()?;
        self.next_client += 1;
        self.clients.insert(self.next_client, Client { attached, ..Client::new(link) });
        Ok(self.next_client)
    }

    /// Adds the connection of an engine that will restore an application here.
    pub fn build_for(&mut self, link: Link) -> io::Result<()> {
        self.builder = Some(self.welcome(link, false)?);
        Ok(())
    }

    /// Takes charge of an application that was just started for the engine behind `link`.
    pub fn run_for(&mut self, link: Link, started: Started) -> io::Result<()> {
        let id = self.welcome(link, true)?;
        self.family = Family::of(started.pid, started.pidfd);
        self.family.hold_for(id);
        self.console = started.master.map(Console::new);
        self.hear(started.listener);
        Ok(())
    }

    /// Answers the questions of one more filter.
    pub fn hear(&mut self, listener: Option<OwnedFd>) {
        if let (Some(translation), Some(listener)) = (&mut self.translation, listener) {
            translation.listen(listener);
        }
    }

    /// Serves until no process of the application is left, or a restore is given up. Processes that are left then
    /// are ended by the kernel together with this one.
    pub fn serve(&mut self) -> io::Result<()> {
        loop {
            let mut asked = false;
            for source in self.ready() {
                match source {
                    Source::Children => self.children.drain(),
                    Source::Door => self.open_door(),
                    Source::Client(id) => self.listen_to(id),
                    Source::Console => self.log_output(),
                    Source::Question => asked = true,
                    Source::Listing => self.translation.iter_mut().for_each(Translation::list),
                }
            }
            if self.yielded {
                // The kernel ends every process together with this one; the warden sees to the rest. Nothing is recorded:
                // folder and socket belong to the successor.
                self.log_output();
                return Ok(());
            }
            if let (true, Some(translation)) = (asked, &mut self.translation) {
                translation.answer();
            }
            // Looked at every time: a commit, too, can be what the end was waiting for.
            if self.look_after_children() {
                break;
            }
            if self.given_up() {
                break;
            }
        }
        self.log_output();
        let given_up = self.given_up();
        if let Some(translation) = &self.translation {
            // Now, so that nothing is left once whoever waits hears of the end. The warden finds nothing then.
            sweep::sweep(translation.words());
        }
        self.folders.record(&StatusFile { root: self.family.ending(), finished: true, given_up });
        self.folders.close_door();
        Ok(())
    }

    /// Takes the place of another capsule, whose helper is behind `predecessor`. What may fail comes first; then whoever asks
    /// for the application finds this one, and only then the other is told to go.
    pub fn take_over(&mut self, socket: &str, state: OwnedFd, predecessor: OwnedFd) -> sys::Result<()> {
        self.folders.move_to(state, socket)?;
        self.builder = None;
        self.folders.record(&StatusFile { root: self.family.ending(), ..StatusFile::default() });
        // One that has ended meanwhile need not be told.
        let _ = Link::new(predecessor.into()).tell(&Request::Yield);
        Ok(())
    }

    /// The engine that was to restore an application here went away before it had finished.
    fn given_up(&self) -> bool {
        self.builder.is_some_and(|builder| !self.clients.contains_key(&builder))
    }

    fn ready(&self) -> Vec<Source> {
        let mut sources = vec![(Source::Children, self.children.as_fd())];
        if self.clients.len() < MAX_CLIENTS {
            sources.push((Source::Door, self.door.as_fd()));
        }
        sources.extend(self.clients.iter().map(|(id, client)| (Source::Client(*id), client.link.as_fd())));
        sources.extend(self.unattended_console().map(|fd| (Source::Console, fd)));
        let listeners = self.translation.iter().flat_map(Translation::listeners);
        sources.extend(listeners.map(|fd| (Source::Question, fd)));
        let listings = self.translation.as_ref().and_then(Translation::listing_requests);
        sources.extend(listings.map(|fd| (Source::Listing, fd)));
        let entries: Vec<_> = sources.iter().map(|(_, fd)| (*fd, Interest::Readable)).collect();
        let Ok(ready) = poll(&entries, None) else {
            // The kernel has no memory for the list just now. Ending would end the application as well.
            thread::sleep(OUT_OF_MEMORY_PAUSE);
            return Vec::new();
        };
        sources.iter().zip(ready).filter(|(_, ready)| *ready).map(|((source, _), _)| *source).collect()
    }

    fn unattended_console(&self) -> Option<BorrowedFd<'_>> {
        let console = self.console.as_ref().filter(|console| console.is_open())?;
        self.clients.values().all(|client| !client.attached).then(|| console.as_fd())
    }

    fn open_door(&mut self) {
        let Ok((stream, _)) = self.door.accept() else { return };
        // The folder's and the socket's mode keep others out already.
        let own = [0, lifecycle::effective_uid()];
        if sockets::peer_uid(stream.as_fd()).is_ok_and(|uid| own.contains(&uid)) {
            let _ = self.welcome(Link::new(stream), false);
        }
    }

    /// Answers what a client asks; a client that ended or makes no sense is let go.
    fn listen_to(&mut self, id: u64) {
        let open = self.clients.get_mut(&id).is_some_and(|client| client.link.fill().unwrap_or(false));
        let answered = requests::answer_all(self, id);
        if !open || answered.is_err() {
            self.let_go(id);
        }
    }

    fn let_go(&mut self, id: u64) {
        self.family.release(id);
        if let Some(translation) = &mut self.translation {
            translation.release(id);
        }
        if let Some(client) = self.clients.remove(&id) {
            client.part();
        }
    }

    /// Reaps and tells those who wait. True when the application has ended.
    fn look_after_children(&mut self) -> bool {
        let reaped = self.family.reap();
        let ending = self.family.ending();
        if reaped.root {
            self.folders.record(&StatusFile { root: ending, ..StatusFile::default() });
            let waiting = self.clients.iter().filter(|(_, client)| client.waits_for_root);
            let waiting: Vec<u64> = waiting.map(|(id, _)| *id).collect();
            waiting.into_iter().for_each(|id| self.tell(id, &Reply::RootEnded { ending }));
        }
        for (client, ending) in reaped.commands {
            self.tell(client, &Reply::Ended { ending });
        }
        reaped.none_left && self.builder.is_none()
    }

    fn tell(&mut self, id: u64, reply: &Reply) {
        let told = self.clients.get(&id).map(|client| client.link.send(reply, &[]));
        if matches!(told, Some(Err(_))) {
            self.let_go(id);
        }
    }

    fn log_output(&mut self) {
        if self.unattended_console().is_some() {
            let log = self.folders.log();
            self.console
                .iter_mut()
                .for_each(|console| console.drain(log.as_ref().and_then(|l| l.try_clone().ok())));
        }
    }
}
