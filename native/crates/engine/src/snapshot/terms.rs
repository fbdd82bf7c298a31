//! What snapshots are taken with, besides what they are of.

use crate::meeting::Seat;
use crate::state::base::Base;
use crate::state::volumes;

/// What a snapshot is taken with.
#[derive(Clone, Copy, Default)]
pub struct Terms<'a> {
    /// Others, with whom it waits at the gates of [`super::together`].
    pub company: Option<&'a Seat<'a>>,
    /// An earlier snapshot, whose pages need not be copied again.
    pub base: Option<&'a Base>,
    /// Is it to be such a base?
    pub lasting: bool,
}

/// What is there besides the application.
pub struct Means<'a> {
    pub volumes: Option<&'a volumes::Collector>,
    /// An earlier snapshot, and the number of its pack in this one.
    pub lent: Option<(&'a Base, u32)>,
    pub lasting: bool,
}
