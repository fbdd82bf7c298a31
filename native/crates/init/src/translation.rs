//! Virtual System V ids of this application: the table, where programs find it, and who asks about calls.

use crate::injection::Injector;
use crate::link::{at, at_io};
use crate::listings::{Listings, put};
use crate::{embedded, sweep};
use abi::interposition;
use abi::wire::{self, Failure, IpcList, Step};
use ids::{Class, Table};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::Duration;
use sys::poll::{Interest, poll};
use sys::seccomp::{Instruction, Listener};
use sys::shared_words::{SharedWords, Waiting};
use sys::{lifecycle, namespaces};

pub struct Translation {
    table: SharedWords,
    file: File,
    injector: Injector,
    listings: Listings,
    listeners: Vec<Listener>,
    /// The client that keeps everybody from making and removing ids.
    holder: Option<u64>,
    order: wire::Translation,
}

impl Translation {
    /// Covers the folder with files of this capsule alone and makes an empty table there.
    pub fn build(order: wire::Translation) -> Result<Self, Failure> {
        if embedded::CORE.is_empty() || embedded::PRELOAD.is_empty() {
            return Err(Failure { step: Step::Translation, errno: 0 });
        }
        let folder = Path::new(&order.folder);
        let target = CString::new(order.folder.as_str())
            .map_err(|_| Failure { step: Step::Understand, errno: sys::Errno::EINVAL.0 })?;
        namespaces::mount_private_files(&target).map_err(at(Step::Translation))?;
        let fail = || at_io(Step::Translation);
        put(&folder.join(ids::file::CORE), embedded::CORE, 0o444).map_err(fail())?;
        put(&folder.join(ids::file::LIBRARY), embedded::PRELOAD, 0o555).map_err(fail())?;
        let file = put(&folder.join(ids::file::TABLE), &[], 0o666).map_err(fail())?;
        file.set_len(ids::BYTES as u64).map_err(fail())?;
        let table = SharedWords::of_file(&file, ids::WORDS).map_err(at(Step::Translation))?;
        let unfit = |_| Failure { step: Step::Translation, errno: 0 };
        Table::format(&table).map_err(unfit)?;
        let injector = Injector::new(embedded::CORE).ok_or(Failure { step: Step::Translation, errno: 0 })?;
        let listings = Listings::cover(folder).map_err(at_io(Step::Translation))?;
        Ok(Self { table, file, injector, listings, listeners: Vec::new(), holder: None, order })
    }

    /// The table's file, for the engine and for whoever sweeps up.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub fn words(&self) -> &[AtomicU32] {
        &self.table
    }

    /// Lets new programs load the library, before what they load anyway.
    pub fn adapt(&self, env: &mut Vec<String>) {
        const NAME: &str = "LD_PRELOAD=";
        if !self.order.library {
            return;
        }
        let library = format!("{}/{}", self.order.folder, ids::file::LIBRARY);
        match env.iter_mut().find(|pair| pair.starts_with(NAME)) {
            Some(pair) if pair.contains(&library) => {}
            Some(pair) => *pair = format!("{NAME}{library}:{}", &pair[NAME.len()..]),
            None => env.push(format!("{NAME}{library}")),
        }
    }

    /// Are calls sent to the helper that do not come from the core?
    pub fn asks(&self) -> bool {
        self.order.kernel
    }

    pub fn listen(&mut self, listener: OwnedFd) {
        self.listeners.push(listener.into());
    }

    /// Ends waited for: none while somebody holds the table.
    pub fn listeners(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let served = if self.holder.is_none() { self.listeners.as_slice() } else { &[] };
        served.iter().map(AsFd::as_fd)
    }

    /// Where somebody waits to open a listing, if anybody can.
    pub fn listing_requests(&self) -> Option<BorrowedFd<'_>> {
        self.listings.requests()
    }

    /// The kernel's own list of the objects of a kind, whatever is shown in its place.
    pub fn kernel_list(&self, list: IpcList) -> Option<sys::Result<OwnedFd>> {
        self.listings.kernel(match list {
            IpcList::Segments => Class::Memory,
            IpcList::Semaphores => Class::Semaphores,
            IpcList::Queues => Class::Messages,
            IpcList::PosixQueues => return None,
        })
    }

    /// Shows those who wait what they wait for.
    pub fn list(&mut self) {
        if let Ok(table) = Table::open(&self.table) {
            self.listings.show(&table);
        }
    }

    /// Answers one question at every listener that has one, and lets go of those that nobody can ask any more.
    pub fn answer(&mut self) {
        let mut kept = Vec::with_capacity(self.listeners.len());
        for listener in std::mem::take(&mut self.listeners) {
            let is = |interest| {
                poll(&[(listener.as_fd(), interest)], Some(Duration::ZERO)).is_ok_and(|ready| ready[0])
            };
            if is(Interest::Closed) {
                continue;
            }
            if is(Interest::Readable)
                && let Ok(question) = listener.receive()
            {
                self.injector.answer(&listener, question, self.file.as_fd());
            }
            kept.push(listener);
        }
        self.listeners = kept;
    }

    /// From here on nobody makes or removes ids. False when another client holds the table already.
    pub fn hold(&mut self, client: u64) -> bool {
        if self.holder.is_some() {
            return self.holder == Some(client);
        }
        let Ok(table) = Table::open(&self.table) else { return false };
        table.lock(&Waiting, ids::HELPER, sweep::judge).keep();
        // What ended processes owed, the kernel has done.
        table.ledger().sweep(|pid| lifecycle::kill(pid as i32, 0) != Err(sys::Errno::ESRCH));
        self.holder = Some(client);
        true
    }

    pub fn release(&mut self, client: u64) {
        if self.holder == Some(client) {
            self.holder = None;
            if let Ok(table) = Table::open(&self.table) {
                drop(table.held(&Waiting, ids::HELPER));
            }
        }
    }
}

/// The filter that new programs get. Its order is the kernel's.
pub fn filter() -> Vec<Instruction> {
    let core = ids::CORE..ids::CORE + ids::CORE_BYTES;
    let instruction = |(code, if_true, if_false, value)| Instruction { code, if_true, if_false, value };
    interposition::filter(core).into_iter().map(instruction).collect()
}
