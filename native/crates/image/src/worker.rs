//! The thread that writes and hashes page data, so that whoever copies it out of a stopped process need not.

use crate::checksum::BlockSums;
use crate::{Error, Result, pack};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Buffers that may wait to be written: up to 64 MiB of callers' 4 MiB buffers, so that an application that stands
/// still while its memory is read does not wait for the disk as well, unless it is large (that one is read from a copy).
pub const DEPTH: usize = 16;
/// Free buffers that are kept for the next caller.
const SPARE: usize = DEPTH + 2;
/// Bytes written and then hashed in one go: small enough that hashing finds them still in the cache.
const STRIDE: usize = 512 << 10;
/// The file gets its room on the disk in steps of this many bytes. Writing into room that is there took a
/// third less processor time (ext4, kernel 6.18) than making it page by page.
const ROOM: u64 = 64 << 20;
/// A file system with less than this left, in bytes, keeps it for others: room that is asked for ahead is missing to whoever
/// writes there at the same time, the application itself above all.
const PLENTY: u64 = 16 * ROOM;

enum Order {
    Write(Vec<u8>),
    /// Everything before this was written, or has failed.
    Flush(Sender<()>),
}

/// What the thread hands back when it ends.
pub struct Written {
    pub file: File,
    pub end: u64,
    pub sums: Vec<u64>,
}

/// Handle of the thread. Dropping it ends the thread, without writing what still waits.
pub struct Worker {
    orders: Option<SyncSender<Order>>,
    used: Receiver<Vec<u8>>,
    failure: Arc<Mutex<Option<Error>>>,
    thread: Option<JoinHandle<Written>>,
}

impl Worker {
    /// Starts the thread on a new file, with `first` as the first bytes of it.
    pub fn start(file: File, path: PathBuf, first: Vec<u8>) -> Result<Self> {
        let (orders, inbox) = sync_channel(DEPTH);
        let (outbox, used) = sync_channel(SPARE);
        let failure = Arc::new(Mutex::new(None));
        let name = path.clone();
        let desk =
            Desk { file, path, end: 0, room: 0, sums: BlockSums::new(), failure: Arc::clone(&failure) };
        let thread = thread::Builder::new()
            .name("stasis-pack".into())
            .spawn(move || desk.work(&inbox, &outbox))
            .map_err(|error| Error::io("start a thread to write", &name, &error))?;
        let worker = Self { orders: Some(orders), used, failure, thread: Some(thread) };
        worker.write(first)?;
        Ok(worker)
    }

    /// Queues `data` behind all before it; waits only while the queue is full.
    pub fn write(&self, data: Vec<u8>) -> Result<()> {
        self.check()?;
        self.order(Order::Write(data));
        Ok(())
    }

    /// Waits until everything that was queued is with the kernel.
    pub fn flush(&self) -> Result<()> {
        let (done, wait) = channel();
        self.order(Order::Flush(done));
        let _ = wait.recv(); // an error means that the thread is gone, which finish reports
        self.check()
    }

    /// A buffer that was written and is free again.
    pub fn used_buffer(&self) -> Option<Vec<u8>> {
        self.used.try_recv().ok()
    }

    /// Ends the thread after all that was queued.
    pub fn finish(mut self) -> Result<Written> {
        self.flush()?;
        self.orders = None;
        let thread = self.thread.take().expect("only finish and drop take the thread");
        match thread.join() {
            Ok(written) => Ok(written),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// The first failure of the thread, which is then that of every later call.
    fn check(&self) -> Result<()> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order); // fails only if the thread panicked, which finish reports
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(Error::Cancelled);
        drop(failure);
        self.orders = None;
        let _ = thread.join();
    }
}

/// The thread's side.
struct Desk {
    file: File,
    path: PathBuf,
    end: u64,
    /// Up to where the file has room on its disk, as far as we asked for it.
    room: u64,
    sums: BlockSums,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Desk {
    fn work(mut self, inbox: &Receiver<Order>, outbox: &SyncSender<Vec<u8>>) -> Written {
        for order in inbox {
            match order {
                Order::Write(data) => {
                    self.write(&data);
                    let _ = outbox.try_send(data); // one too many is freed
                }
                Order::Flush(done) => {
                    let _ = done.send(());
                }
            }
        }
        Written { file: self.file, end: self.end, sums: self.sums.finish() }
    }

    /// Passes over everything once something has failed, so that nobody waits for room in the queue.
    fn write(&mut self, data: &[u8]) {
        for stride in data.chunks(STRIDE) {
            if self.failed() {
                return;
            }
            self.make_room(stride.len() as u64);
            match self.file.write_all_at(stride, self.end) {
                Ok(()) => self.sums.update(stride),
                Err(error) => self.fail(Error::io("write", &self.path, &error)),
            }
            self.end += stride.len() as u64;
        }
    }

    /// A file system that cannot do it, or has not much left, decides at each write instead.
    fn make_room(&mut self, length: u64) {
        while self.end + length > self.room {
            if !sys::paths::room(self.file.as_fd()).is_ok_and(|left| left >= PLENTY) {
                self.room = u64::MAX;
                return;
            }
            let asked = sys::extents::fallocate_keep_size(self.file.as_fd(), self.room, ROOM);
            self.room = if asked.is_ok() { self.room + ROOM } else { u64::MAX };
        }
    }

    fn failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

const _: () = assert!((STRIDE as u64).is_multiple_of(pack::PAGE));
