//! The C library's generators of random numbers. A clone begins with the state that all its siblings have: before it draws for
//! the first time, the state is seeded anew, unless the program has seeded it itself since.
//!
//! That an application is a clone shows as another generation in its table. What programs keep themselves (rand_r(3),
//! random_r(3), erand48(3)) stays as it is.

use core::marker::PhantomData;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::libc::raw;
use crate::mapping::table;
use crate::next;
use crate::way;

const GETRANDOM: u64 = 318;

/// A function of the C library behind ours, which is of type `F`.
struct Function<F> {
    name: &'static [u8],
    address: AtomicUsize,
    kind: PhantomData<F>,
}

impl<F: Copy> Function<F> {
    const fn new(name: &'static [u8]) -> Self {
        Self { name, address: AtomicUsize::new(UNKNOWN), kind: PhantomData }
    }

    /// The function; none in a program without it.
    fn get(&self) -> Option<F> {
        let mut at = self.address.load(Ordering::Relaxed);
        if at == UNKNOWN {
            at = next::find(self.name);
            self.address.store(at, Ordering::Relaxed);
        }
        // SAFETY: the address of a function of this name, whose type is as stdlib.h has it; each static below says so.
        (at != 0).then(|| unsafe { core::mem::transmute_copy::<usize, F>(&at) })
    }
}

const UNKNOWN: usize = usize::MAX;

type Seed = extern "C" fn(u32);
type Number = extern "C" fn() -> i64;

static RAND: Function<extern "C" fn() -> i32> = Function::new(b"rand");
static RANDOM: Function<Number> = Function::new(b"random");
static SRAND: Function<Seed> = Function::new(b"srand");
static SRANDOM: Function<Seed> = Function::new(b"srandom");
static INITSTATE: Function<extern "C" fn(u32, *mut u8, usize) -> *mut u8> = Function::new(b"initstate");
static DRAND48: Function<extern "C" fn() -> f64> = Function::new(b"drand48");
static LRAND48: Function<Number> = Function::new(b"lrand48");
static MRAND48: Function<Number> = Function::new(b"mrand48");
static SRAND48: Function<extern "C" fn(i64)> = Function::new(b"srand48");
static SEED48: Function<extern "C" fn(*const u16) -> *mut u16> = Function::new(b"seed48");
static LCONG48: Function<extern "C" fn(*const u16)> = Function::new(b"lcong48");

/// The generation in which the state of some functions was seeded.
struct State(AtomicU32);

/// Of rand(3) and random(3), which share it in glibc.
static PLAIN: State = State(AtomicU32::new(0));
/// Of drand48(3) and its like.
static DRAND: State = State(AtomicU32::new(0));

impl State {
    fn is_of(&self, generation: u32) -> bool {
        self.0.load(Ordering::Relaxed) == generation
    }

    /// Whatever state there is, the program has chosen it now.
    fn mark(&self) {
        self.0.store(generation(), Ordering::Relaxed);
    }
}

/// Notes the generation that a program begins in: its own seeds are as good as in any other. Finds all functions while
/// nobody loads or unloads libraries.
pub fn begin() {
    PLAIN.mark();
    DRAND.mark();
    RAND.get();
    RANDOM.get();
    SRAND.get();
    SRANDOM.get();
    INITSTATE.get();
    DRAND48.get();
    LRAND48.get();
    MRAND48.get();
    SRAND48.get();
    SEED48.get();
    LCONG48.get();
}

#[inline]
fn generation() -> u32 {
    if way::has_table() { table().map_or(0, |table| table.generation()) } else { 0 }
}

fn entropy() -> u64 {
    let mut seed = 0u64;
    raw(GETRANDOM, [&raw mut seed as u64, 8, 0, 0, 0, 0]);
    seed
}

fn freshen_plain() {
    let generation = generation();
    if PLAIN.is_of(generation) {
        return;
    }
    // Where there are two states, both; where there is one, twice.
    for function in [&SRANDOM, &SRAND] {
        if let Some(seed) = function.get() {
            seed(entropy() as u32);
        }
    }
    PLAIN.0.store(generation, Ordering::Relaxed);
}

fn freshen_drand() {
    let generation = generation();
    if DRAND.is_of(generation) {
        return;
    }
    let drawn = entropy();
    if let Some(seed48) = SEED48.get() {
        seed48([drawn as u16, (drawn >> 16) as u16, (drawn >> 32) as u16].as_ptr());
    }
    DRAND.0.store(generation, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
extern "C" fn rand() -> i32 {
    freshen_plain();
    RAND.get().map_or_else(|| (entropy() & 0x7fff_ffff) as i32, |rand| rand())
}

/// The next number of a generator; where there is no such generator, the kernel's.
fn draw(function: &Function<Number>) -> i64 {
    function.get().map_or_else(|| (entropy() & 0x7fff_ffff) as i64, |draw| draw())
}

#[unsafe(no_mangle)]
extern "C" fn random() -> i64 {
    freshen_plain();
    draw(&RANDOM)
}

fn seed(function: &Function<Seed>, value: u32) {
    if let Some(seed) = function.get() {
        seed(value);
    }
    PLAIN.mark();
}

#[unsafe(no_mangle)]
extern "C" fn srand(value: u32) {
    seed(&SRAND, value);
}

#[unsafe(no_mangle)]
extern "C" fn srandom(value: u32) {
    seed(&SRANDOM, value);
}

#[unsafe(no_mangle)]
extern "C" fn initstate(value: u32, state: *mut u8, length: usize) -> *mut u8 {
    let before = INITSTATE.get().map_or(null_mut(), |initstate| initstate(value, state, length));
    PLAIN.mark();
    before
}

#[unsafe(no_mangle)]
extern "C" fn drand48() -> f64 {
    const BITS: u32 = 53;
    freshen_drand();
    DRAND48.get().map_or_else(|| (entropy() >> (64 - BITS)) as f64 / (1u64 << BITS) as f64, |draw| draw())
}

#[unsafe(no_mangle)]
extern "C" fn lrand48() -> i64 {
    freshen_drand();
    draw(&LRAND48)
}

#[unsafe(no_mangle)]
extern "C" fn mrand48() -> i64 {
    freshen_drand();
    draw(&MRAND48)
}

#[unsafe(no_mangle)]
extern "C" fn srand48(value: i64) {
    if let Some(srand48) = SRAND48.get() {
        srand48(value);
    }
    DRAND.mark();
}

#[unsafe(no_mangle)]
extern "C" fn seed48(words: *const u16) -> *mut u16 {
    let before = SEED48.get().map_or(null_mut(), |seed48| seed48(words));
    DRAND.mark();
    before
}

#[unsafe(no_mangle)]
extern "C" fn lcong48(words: *const u16) {
    if let Some(lcong48) = LCONG48.get() {
        lcong48(words);
    }
    DRAND.mark();
}
