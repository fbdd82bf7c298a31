//! A kernel for unit tests: objects of one namespace by id and key, memory for the operations of one semop. It lets
//! nobody read a status, so the logic must do without.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;

use ids::{Host, Vrid};

use crate::kernel::{Kernel, Section};
use crate::nr;

pub const EACCES: isize = -13;

#[derive(Default)]
pub struct Fake {
    /// Kernel's key of each object, by kernel's id.
    pub objects: RefCell<BTreeMap<i32, i32>>,
    /// What `random` gives, the last first; 1000 and up when it is empty.
    pub numbers: RefCell<Vec<u32>>,
    /// 16-bit words by address.
    pub memory: BTreeMap<u64, u16>,
    /// Ids that sections were asked for.
    pub used: RefCell<Vec<Vrid>>,
    next: Cell<i32>,
}

impl Fake {
    pub fn insert(&self, key: i32) -> i32 {
        self.next.set(self.next.get() + 1);
        self.objects.borrow_mut().insert(self.next.get(), key);
        self.next.get()
    }

    fn get(&self, key: i32, flags: u64) -> isize {
        let found = self.objects.borrow().iter().find(|(_, k)| **k == key).map(|(id, _)| *id);
        match found {
            Some(_) if flags & nr::IPC_CREAT != 0 && flags & nr::IPC_EXCL != 0 => nr::EEXIST,
            Some(id) => id as isize,
            None if flags & nr::IPC_CREAT == 0 => nr::ENOENT,
            None => self.insert(key) as isize,
        }
    }

    fn control(&self, id: i32, command: u64) -> isize {
        let known = self.objects.borrow().contains_key(&id);
        match (known, command as u32) {
            (false, _) => nr::EINVAL,
            (true, nr::IPC_STAT) => EACCES,
            (true, nr::IPC_RMID) => {
                self.objects.borrow_mut().remove(&id);
                0
            }
            _ => 0,
        }
    }
}

impl Kernel for Fake {
    fn call(&self, nr: u64, a: [u64; 6]) -> isize {
        match nr {
            nr::SEMGET | nr::SHMGET => self.get(a[0] as i32, a[2]),
            nr::MSGGET => self.get(a[0] as i32, a[1]),
            nr::SEMCTL => self.control(a[0] as i32, a[2]),
            nr::MSGCTL | nr::SHMCTL => self.control(a[0] as i32, a[1]),
            nr::GETPID => 77,
            other => other as isize,
        }
    }

    fn section(&self, _section: Section, vrid: Vrid, _arguments: [u64; 4]) -> isize {
        self.used.borrow_mut().push(vrid);
        0
    }

    fn load(&self, at: u64) -> u16 {
        self.memory[&at]
    }

    fn store(&self, _at: u64, _bytes: &[u8]) {}

    fn undisturbed<R>(&self, _lock: &AtomicU32, work: impl FnOnce(u32) -> R) -> R {
        work(77)
    }

    fn random(&self) -> u32 {
        self.numbers.borrow_mut().pop().unwrap_or_else(|| 1000 + self.next.get() as u32)
    }
}

impl Host for Fake {
    fn wait(&self, _word: &AtomicU32, _seen: u32, _timeout_ms: u32) {}

    fn wake(&self, _word: &AtomicU32) {}

    fn alive(&self, tid: u32) -> bool {
        tid == 77
    }
}
