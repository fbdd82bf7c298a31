//! The table as its users see it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::testing::{Threads, die_after, memory};
use crate::*;

const CLASS: Class = Class::Semaphores;

fn make<H: Host>(guard: &Guard<'_, '_, H>, class: Class, key: i32, srid: i32) -> Vrid {
    let reservation = guard.reserve(class, Key(key)).unwrap();
    guard.attempt(&reservation, Key(srid ^ 0x5a5a));
    guard.publish(reservation, Srid(srid))
}

fn unasked(row: &Row) -> Verdict {
    panic!("no row is unfinished, but {row:?}")
}

#[test]
fn an_id_goes_both_ways_until_it_is_removed() {
    let memory = memory();
    let table = Table::format(&memory).unwrap();
    let host = Threads::default();
    for class in Class::ALL {
        let guard = table.lock(&host, 7, unasked);
        let vrid = make(&guard, class, 99, 4321);
        assert!(vrid.0 > 0);
        assert_eq!(table.forward(class, vrid), Some(Srid(4321)));
        assert_eq!(table.reverse(class, Srid(4321)), Some(vrid));
        assert_eq!(table.by_key(class, Key(99)).unwrap().vrid, vrid);
        assert_eq!(table.counts(class), Counts { used: 1, span: 1 });
        assert!(guard.set_srid(class, vrid, Srid(9), Key(5)));
        assert_eq!(table.reverse(class, Srid(4321)), None);
        assert_eq!(table.reverse(class, Srid(9)), Some(vrid));
        guard.remove(class, vrid);
        assert_eq!(table.forward(class, vrid), None);
        assert_eq!(table.reverse(class, Srid(9)), None);
        assert_eq!(table.by_key(class, Key(99)), None);
        assert_eq!(table.counts(class), Counts::default());
        assert_ne!(make(&guard, class, 99, 4321), vrid);
    }
    assert_eq!(table.owner(), 0);
}

#[test]
fn a_removed_object_stays_translatable_without_its_key() {
    let memory = memory();
    let table = Table::format(&memory).unwrap();
    let host = Threads::default();
    let guard = table.lock(&host, 7, unasked);
    let vrid = make(&guard, Class::Memory, 5, 50);
    guard.condemn(Class::Memory, vrid);
    guard.retire(Class::Memory, vrid);
    assert_eq!(table.forward(Class::Memory, vrid), Some(Srid(50)));
    assert_eq!(table.by_key(Class::Memory, Key(5)), None);
    let other = make(&guard, Class::Memory, 5, 51);
    assert_eq!(table.by_key(Class::Memory, Key(5)).unwrap().vrid, other);
    assert_eq!(table.row_of(Class::Memory, vrid).unwrap().state, State::Removed);
}

#[test]
fn a_restored_table_holds_the_same_ids_and_goes_on_after_them() {
    let (memory, fresh) = (memory(), memory());
    let host = Threads::default();
    let table = Table::format(&memory).unwrap();
    let guard = table.lock(&host, 7, unasked);
    let ids: Vec<Vrid> = (1..=200).map(|n| make(&guard, CLASS, n, n * 10)).collect();
    ids.iter().step_by(3).for_each(|id| guard.remove(CLASS, *id));
    let restored = Table::format(&fresh).unwrap();
    let other = restored.lock(&host, 7, unasked);
    for row in table.rows(CLASS) {
        assert!(other.place(&Row { srid: Srid(row.srid.0 + 1), ..row }));
        assert!(!other.place(&row));
    }
    other.set_last(CLASS, table.last(CLASS));
    for row in table.rows(CLASS) {
        assert_eq!(restored.forward(CLASS, row.vrid), Some(Srid(row.srid.0 + 1)));
        assert_eq!(restored.by_key(CLASS, row.key).unwrap().vrid, row.vrid);
    }
    assert_eq!(make(&other, CLASS, 0, 1).0, make(&guard, CLASS, 0, 1).0);
}

#[test]
fn a_freed_id_does_not_come_back_soon() {
    let memory = memory();
    let table = Table::format(&memory).unwrap();
    let host = Threads::default();
    let guard = table.lock(&host, 7, unasked);
    let first = make(&guard, CLASS, 0, 1);
    guard.remove(CLASS, first);
    for n in 0..100_000 {
        let next = make(&guard, CLASS, 0, n);
        assert!(next.0 > 0 && next != first, "after {n} others");
        assert!(next.index() < 64);
        guard.remove(CLASS, next);
    }
}

#[test]
fn a_million_objects_fit_and_one_more_is_refused() {
    let memory = memory();
    let table = Table::format(&memory).unwrap();
    let host = Threads::default();
    let guard = table.lock(&host, 7, unasked);
    for n in 0..CAPACITY as i32 {
        let vrid = make(&guard, CLASS, n + 1, n * 3);
        assert_eq!(vrid.index(), n as u32);
    }
    assert_eq!(guard.reserve(CLASS, Key(0)).unwrap_err(), Full(CLASS));
    assert_eq!(
        guard.reserve(CLASS, Key(0)).unwrap_err().to_string(),
        "all 1048576 rows for Semaphores of the translation table are in use"
    );
    for row in table.rows(CLASS).step_by(1001) {
        assert_eq!(table.reverse(CLASS, row.srid), Some(row.vrid));
        assert_eq!(table.by_key(CLASS, row.key), Some(row));
    }
    let last = table.row(CLASS, CAPACITY - 1).unwrap();
    guard.remove(CLASS, last.vrid);
    assert_eq!(table.counts(CLASS).span, CAPACITY - 1);
    assert_eq!(make(&guard, CLASS, 7, 7).index(), CAPACITY - 1);
}

#[test]
fn memory_that_is_no_table_is_refused() {
    let memory = memory();
    assert_eq!(Table::open(&memory).err(), Some(Broken::Magic));
    assert_eq!(Table::open(&memory[..100]).err(), Some(Broken::Short));
    Table::format(&memory).unwrap();
    assert!(Table::open(&memory).is_ok());
    memory[crate::layout::VERSION_AT].store(9, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(Table::open(&memory).err(), Some(Broken::Version(9)));
}

/// One of everything, as a process would do it.
fn work<H: Host>(guard: &Guard<'_, '_, H>, kept: Vrid, removed: Vrid) {
    let reservation = guard.reserve(CLASS, Key(77)).unwrap();
    guard.attempt(&reservation, Key(700));
    let made = guard.publish(reservation, Srid(70));
    let reservation = guard.reserve(CLASS, Key(78)).unwrap();
    guard.abandon(reservation);
    guard.condemn(CLASS, removed);
    guard.remove(CLASS, removed);
    guard.condemn(CLASS, kept);
    guard.spare(CLASS, kept);
    guard.set_srid(CLASS, kept, Srid(11), Key(12));
    guard.condemn(CLASS, made);
    guard.retire(CLASS, made);
}

/// What must hold of every table, whatever happened to its owners.
fn check(table: &Table<'_>) {
    for class in Class::ALL {
        let rows: Vec<Row> = table.rows(class).collect();
        assert_eq!(rows.len() as u32, table.counts(class).used);
        assert_eq!(rows.last().map_or(0, |row| row.vrid.index() + 1), table.counts(class).span);
        for row in rows {
            assert!(row.state == State::Live || row.state == State::Removed, "{row:?}");
            assert_eq!(table.forward(class, row.vrid), Some(row.srid), "{row:?}");
            assert_eq!(table.reverse(class, row.srid), Some(row.vrid), "{row:?}");
            if row.key != Key::PRIVATE {
                assert_eq!(table.by_key(class, row.key), Some(row));
            }
        }
    }
}

#[test]
fn an_owner_may_die_at_any_store() {
    for stores in 0.. {
        let memory = memory();
        let table = Table::format(&memory).unwrap();
        let host = Threads::default();
        let (kept, removed) = {
            let guard = table.lock(&host, 7, unasked);
            (make(&guard, CLASS, 1, 10), make(&guard, CLASS, 2, 20))
        };
        die_after(Some(stores));
        let died = catch_unwind(AssertUnwindSafe(|| {
            work(&table.lock(&host, 8, unasked), kept, removed);
        }))
        .is_err();
        die_after(None);
        if !died {
            assert!(stores > 20);
            return check(&table);
        }
        assert_eq!(table.owner(), 8);
        repair_at_any_store(&table, &host, kept);
        assert!(table.forward(CLASS, kept).is_some());
        let guard = table.lock(&host, 30, unasked);
        let next = make(&guard, CLASS, 79, 71);
        assert!(next.0 > 0);
        drop(guard);
        check(&table);
    }
}

/// Successors that die while they repair, each one store later than the one before, until one is done.
fn repair_at_any_store(table: &Table<'_>, host: &Threads, kept: Vrid) {
    host.dead.lock().unwrap().insert(8);
    for stores in (0..).step_by(5) {
        let tid = 1000 + stores;
        die_after(Some(stores));
        let died = catch_unwind(AssertUnwindSafe(|| {
            drop(table.lock(host, tid, |row| {
                assert!(row.state != State::Live && row.state != State::Removed);
                if row.vrid == kept { Verdict::Live } else { Verdict::Gone }
            }));
        }))
        .is_err();
        die_after(None);
        if !died {
            return check(table);
        }
        host.dead.lock().unwrap().insert(tid);
    }
}

#[test]
fn threads_that_change_and_read_agree() {
    let memory = memory();
    let table = Table::format(&memory).unwrap();
    let host = Threads::default();
    let stays = make(&table.lock(&host, 7, unasked), CLASS, 1, 1_000_000);
    std::thread::scope(|scope| {
        let (host, table) = (&host, &table);
        for thread in 0..4u32 {
            scope.spawn(move || {
                let mut mine = HashMap::new();
                for n in 0..2000 {
                    let srid = (thread * 10_000 + n) as i32;
                    let guard = table.lock(host, 10 + thread, unasked);
                    mine.insert(make(&guard, CLASS, srid + 2, srid), srid);
                    if n % 2 == 1 {
                        let gone = *mine.keys().next().unwrap();
                        guard.remove(CLASS, gone);
                        mine.remove(&gone);
                    }
                }
                for (vrid, srid) in mine {
                    assert_eq!(table.forward(CLASS, vrid), Some(Srid(srid)));
                    assert_eq!(table.reverse(CLASS, Srid(srid)), Some(vrid));
                }
            });
        }
        for _ in 0..100_000 {
            assert_eq!(table.forward(CLASS, stays), Some(Srid(1_000_000)));
            assert_eq!(table.reverse(CLASS, Srid(1_000_000)), Some(stays));
            assert_eq!(table.by_key(CLASS, Key(1)).unwrap().vrid, stays);
        }
    });
    check(&table);
}

#[test]
fn a_kept_lock_is_the_holders_until_it_lets_go() {
    let memory = memory();
    let table = Table::format(&memory).unwrap();
    let host = Threads::default();
    table.lock(&host, HELPER, unasked).keep();
    assert_eq!(table.owner(), HELPER);
    assert!(table.held(&host, 5).is_none());
    drop(table.held(&host, HELPER).unwrap());
    assert_eq!(table.owner(), 0);
    table.lock(&host, 9, unasked).keep();
    table.reset_lock();
    assert_eq!(table.owner(), 0);
}

#[test]
fn adjustments_add_up_and_go_with_their_process_or_set() {
    let memory = memory();
    let ledger = Table::format(&memory).unwrap().ledger();
    let (one, two) = (Vrid::new(0, 1), Vrid::new(1, 1));
    ledger.add(100, one, 3, -1).unwrap();
    ledger.add(100, one, 3, -4).unwrap();
    ledger.add(100, two, 0, 40_000).unwrap();
    ledger.add(200, one, 3, 2).unwrap();
    let all = |ledger: &Ledger<'_>| {
        let mut all: Vec<_> = ledger.iter().map(|a| (a.pid, a.set, a.number, a.value)).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(all(&ledger), [(100, one, 3, -5), (100, two, 0, i16::MAX), (200, one, 3, 2)]);
    ledger.clear_process(100);
    assert_eq!(all(&ledger), [(200, one, 3, 2)]);
    ledger.zero(one, Some(2));
    assert_eq!(all(&ledger).len(), 1);
    ledger.zero(one, Some(3));
    assert_eq!(all(&ledger), []);
    ledger.add(200, two, 3, 2).unwrap();
    ledger.clear_set(two);
    ledger.add(300, two, 3, 2).unwrap();
    ledger.sweep(|pid| pid != 300);
    assert_eq!(all(&ledger), []);
}

#[test]
fn the_ledger_says_when_it_is_full() {
    let memory = memory();
    let ledger = Table::format(&memory).unwrap().ledger();
    let set = Vrid::new(0, 1);
    for n in 0..LEDGER_CAPACITY {
        ledger.add(1 + n / 1000, set, (n % 1000) as u16, 1).unwrap();
    }
    assert_eq!(ledger.add(9999, set, 0, 1), Err(LedgerFull));
    ledger.add(1, set, 0, 1).unwrap();
    ledger.clear_process(2);
    ledger.add(9999, set, 0, 1).unwrap();
}
