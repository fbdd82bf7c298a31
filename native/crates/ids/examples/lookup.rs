//! What a look-up in the translation table costs, by the number of rows: `cargo run --release --example lookup -p ids`.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use ids::{Change, Class, Host, Key, Srid, Table, Verdict, WORDS};
use sys::shared_words::SharedWords;

const CLASS: Class = Class::Semaphores;
/// Few enough that most rounds pass without another process on this core.
const LOOKUPS: usize = 10_000;
const ROUNDS: usize = 401;

struct Alone;

impl Host for Alone {
    fn wait(&self, _word: &AtomicU32, _seen: u32, _timeout_ms: u32) {}
    fn wake(&self, _word: &AtomicU32) {}
    fn alive(&self, _tid: u32) -> bool {
        true
    }
}

fn main() {
    println!("{:>9} {:>12} {:>12}", "rows", "forward, ns", "reverse, ns");
    for rows in [1_000, 100_000, 1_000_000] {
        let memory = SharedWords::anonymous(WORDS).expect("memory for a table");
        let table = Table::format(&memory).expect("a table's size");
        let guard = table.lock(&Alone, 1, |_| Verdict::Gone);
        for n in 0..rows {
            // System ids as the kernel gives them: a slot of 32768, a sequence number above.
            let srid = (n % 32_000) + (n / 32_000 + 1) * 32_768;
            let reservation = guard.reserve(CLASS, Key(0)).expect("room");
            guard.publish(reservation, Srid(srid));
        }
        let (vrids, srids) = shuffled(&table);
        let forward = median(&vrids, |vrid| table.forward(CLASS, *vrid));
        let reverse = median(&srids, |srid| table.reverse(CLASS, *srid));
        println!("{rows:>9} {forward:>12.1} {reverse:>12.1}");
    }
}

/// Every id of the class, in an order that no cache foresees.
fn shuffled(table: &Table<'_>) -> (Vec<ids::Vrid>, Vec<Srid>) {
    let mut rows: Vec<_> = table.rows(CLASS).collect();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for at in (1..rows.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        rows.swap(at, (seed % (at as u64 + 1)) as usize);
    }
    rows.iter().map(|row| (row.vrid, row.srid)).unzip()
}

/// Nanoseconds of one look-up in the median of many rounds that go through all of `ids`.
fn median<I, R>(ids: &[I], look_up: impl Fn(&I) -> R) -> f64 {
    let mut ids = ids.iter().cycle();
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for id in ids.by_ref().take(LOOKUPS) {
                black_box(look_up(id));
            }
            start.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
