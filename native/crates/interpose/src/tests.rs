//! What only a kernel that misbehaves on demand shows. The answers to programs are compared with a real kernel's by
//! tests/interposition.

use ids::{Change, Class, Key, Srid, Table, Verdict, Vrid, WORDS};
use sys::shared_words::SharedWords;

use crate::core_calls::Core;
use crate::fake::Fake;
use crate::nr;

const CREATE: u64 = nr::IPC_CREAT | 0o600;

fn msgget(core: &Core<'_, '_, Fake>, key: i32, flags: u64) -> isize {
    core.call(nr::MSGGET, [key as u64, flags, 0, 0, 0, 0])
}

fn memory() -> SharedWords {
    SharedWords::anonymous(WORDS).unwrap()
}

#[test]
fn an_object_is_made_under_a_key_that_nobody_has() {
    let (memory, kernel) = (memory(), Fake::default());
    let core = Core::new(Table::format(&memory).unwrap(), &kernel);
    kernel.insert(500);
    kernel.insert(600);
    kernel.numbers.replace(vec![700, 600, 0, 500]);
    let id = msgget(&core, 1, CREATE);
    let row = core.table.row_of(Class::Messages, Vrid(id as i32)).unwrap();
    assert_eq!((row.key, row.system_key), (Key(1), Key(700)));
    assert_eq!(kernel.objects.borrow()[&row.srid.0], 700);
    assert_eq!(msgget(&core, 1, 0), id);
    assert_eq!(msgget(&core, 1, CREATE | nr::IPC_EXCL), nr::EEXIST);
    assert_eq!(msgget(&core, 2, 0), nr::ENOENT);
    assert_ne!(msgget(&core, 0, 0), msgget(&core, 0, 0));
}

#[test]
fn an_object_that_the_host_removed_makes_room_for_a_new_one() {
    let (memory, kernel) = (memory(), Fake::default());
    let core = Core::new(Table::format(&memory).unwrap(), &kernel);
    let id = msgget(&core, 1, CREATE);
    kernel.objects.borrow_mut().clear();
    assert_eq!(msgget(&core, 1, 0), nr::ENOENT);
    let other = msgget(&core, 1, CREATE);
    assert!(other > 0 && other != id);
    kernel.objects.borrow_mut().clear();
    assert_eq!(core.call(nr::MSGCTL, [other as u64, nr::IPC_RMID.into(), 0, 0, 0, 0]), nr::EINVAL);
    assert_eq!(core.table.counts(Class::Messages).used, 0);
}

#[test]
fn what_a_dead_process_left_unfinished_is_finished() {
    let (memory, kernel) = (memory(), Fake::default());
    let core = Core::new(Table::format(&memory).unwrap(), &kernel);
    let kept = msgget(&core, 1, CREATE);
    let half = msgget(&core, 2, CREATE);
    {
        let guard = core.table.lock(&kernel, 99, |_| Verdict::Gone);
        let reservation = guard.reserve(Class::Messages, Key(3)).unwrap();
        guard.attempt(&reservation, Key(300));
        kernel.insert(300);
        for id in [kept, half] {
            guard.condemn(Class::Messages, Vrid(id as i32));
        }
        let row = guard.row_of(Class::Messages, Vrid(half as i32)).unwrap();
        kernel.objects.borrow_mut().remove(&row.srid.0);
        guard.keep();
    }
    assert_eq!(msgget(&core, 1, 0), kept);
    assert_eq!(msgget(&core, 2, 0), nr::ENOENT);
    assert_eq!(msgget(&core, 3, 0), nr::ENOENT);
    assert_eq!(kernel.objects.borrow().len(), 1);
}

#[test]
fn a_full_table_refuses() {
    let (memory, kernel) = (memory(), Fake::default());
    let core = Core::new(Table::format(&memory).unwrap(), &kernel);
    let guard = core.table.lock(&kernel, 77, |_| Verdict::Gone);
    for n in 0..ids::CAPACITY {
        let reservation = guard.reserve(Class::Messages, Key(0)).unwrap();
        guard.publish(reservation, Srid(n as i32));
    }
    drop(guard);
    assert_eq!(msgget(&core, 5, CREATE), nr::ENOSPC);
    assert!(kernel.objects.borrow().is_empty());
}

#[test]
fn operations_that_will_be_undone_are_noted_with_their_process() {
    let mut kernel = Fake::default();
    // Two operations at address 100: +2 on semaphore 4 to be undone, -1 on semaphore 5 for good.
    let words = [4, 2, 0x1000, 5, u16::MAX, 0];
    kernel.memory = (0..).map(|n| 100 + 2 * n).zip(words).collect();
    let memory = memory();
    let core = Core::new(Table::format(&memory).unwrap(), &kernel);
    let set = core.call(nr::SEMGET, [0, 8, CREATE, 0, 0, 0]);
    assert_eq!(core.call(nr::SEMOP, [set as u64, 100, 2, 0, 0, 0]), 0);
    let noted: Vec<_> = core.table.ledger().iter().map(|a| (a.pid, a.set.0, a.number, a.value)).collect();
    assert_eq!(noted, [(77, set as i32, 4, -2)]);
    core.call(nr::SEMCTL, [set as u64, 4, nr::SETVAL.into(), 0, 0, 0]);
    assert_eq!(core.table.ledger().iter().count(), 0);
    core.call(nr::SEMOP, [set as u64, 100, 1, 0, 0, 0]);
    core.call(nr::SEMCTL, [set as u64, 0, nr::IPC_RMID.into(), 0, 0, 0]);
    assert_eq!(core.table.ledger().iter().count(), 0);
}

#[test]
fn other_calls_pass() {
    let (memory, kernel) = (memory(), Fake::default());
    let core = Core::new(Table::format(&memory).unwrap(), &kernel);
    assert_eq!(core.call(12345, [0; 6]), 12345);
}
