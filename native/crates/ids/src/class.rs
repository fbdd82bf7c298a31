//! What an id is an id of, and in which of the two worlds.

/// A kind of System V object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Class {
    /// Sets of semaphores (semget(2)).
    Semaphores = 0,
    /// Shared memory segments (shmget(2)).
    Memory = 1,
    /// Message queues (msgget(2)).
    Messages = 2,
}

impl Class {
    /// Every class, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Semaphores, Self::Memory, Self::Messages];
}

/// An id as the application knows it: the row's index in the low 20 bits, a generation from 1 above them. Always
/// positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(pub i32);

impl Vrid {
    /// The highest generation that still gives a positive id.
    pub const MAX_GENERATION: u32 = (1 << 11) - 1;

    /// The id of row `index` (below 2^20) in `generation` (1 to [`MAX_GENERATION`](Self::MAX_GENERATION)).
    #[must_use]
    #[inline]
    pub const fn new(index: u32, generation: u32) -> Self {
        Self((generation << 20 | index & 0xf_ffff) as i32)
    }

    /// The row.
    #[must_use]
    #[inline]
    pub const fn index(self) -> u32 {
        self.0 as u32 & 0xf_ffff
    }

    /// Which of the row's successive owners this is; 0 for no id that was ever given out.
    #[must_use]
    #[inline]
    pub const fn generation(self) -> u32 {
        self.0 as u32 >> 20
    }

    /// Whether a table can give out this id at all.
    #[must_use]
    #[inline]
    pub const fn is_possible(self) -> bool {
        self.0 > 0 && self.generation() > 0
    }
}

/// An id as the kernel knows it, in the host's IPC namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Srid(pub i32);

/// A key of System V objects: an application's own, or the one that the kernel is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub i32);

impl Key {
    /// IPC_PRIVATE: no key at all.
    pub const PRIVATE: Self = Self(0);
}
