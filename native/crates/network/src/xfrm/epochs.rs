//! When which key is for: time is cut into epochs, the same on every host.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a key is for. Clocks of hosts that differ by less still understand each other.
pub const PERIOD: Duration = Duration::from_secs(12 * 60 * 60);

/// For how many epochs after the present one keys are there ahead.
pub(super) const AHEAD: u64 = 8;

/// How many keys of an epoch there are for one way: a sender that begins anew takes the next.
pub(super) const SLOTS: u8 = 8;

/// How many slots of an epoch may be taken, with keys for `earlier` ones there. Of those that are not due soon some are kept for
/// senders that begin anew again and again: these use the keys of later epochs early.
pub(super) fn slots(earlier: usize) -> u8 {
    if earlier < 2 { SLOTS } else { SLOTS / 2 }
}

/// Which of the keys of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number {
    pub epoch: u64,
    pub slot: u8,
}

/// Epochs of one length, in whole seconds from 2 on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    period: u64,
    /// Since 1970.
    now: u64,
}

impl Calendar {
    pub fn new(period: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { period: period.as_secs().max(2), now }
    }

    pub fn present(self) -> u64 {
        self.now / self.period
    }

    /// Those that this host sends in: it has their keys.
    pub fn sending(self) -> impl Iterator<Item = u64> {
        self.present()..=self.present() + AHEAD
    }

    /// Those that others may send in.
    pub fn receiving(self) -> impl Iterator<Item = u64> {
        self.present().saturating_sub(1)..=self.present() + AHEAD
    }

    /// When a sender goes on to the next key: seconds since 1970.
    pub fn end(self, epoch: u64) -> u64 {
        (epoch + 1) * self.period
    }

    /// When a receiver forgets a key: packets may be under way, and clocks differ.
    pub fn end_of_receiving(self, epoch: u64) -> u64 {
        self.end(epoch) + self.period
    }
}

/// The time of making that the kernel is told of a key: of several it uses the one that was made last, which must be that of
/// the earliest epoch.
pub(super) fn rank(epoch: u64) -> u64 {
    RANKS.saturating_sub(epoch)
}

/// The epoch of a key that is known by its rank.
pub(super) fn ranked(rank: u64) -> u64 {
    RANKS.saturating_sub(rank)
}

/// More than there are epochs, and before any time that one could end at.
const RANKS: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Calendar = Calendar { period: 100, now: 1050 };

    #[test]
    fn earlier_epochs_rank_higher() {
        assert!(rank(10) > rank(11));
        assert_eq!(ranked(rank(41_000)), 41_000);
        let now = Calendar::new(PERIOD);
        assert!(rank(now.present()) < now.end(now.present()));
    }

    #[test]
    fn a_receiver_has_every_key_that_a_sender_has_whose_clock_is_less_than_a_period_off() {
        let sending: Vec<u64> = NOON.sending().collect();
        assert_eq!((sending[0], NOON.end(sending[0])), (10, 1100));
        for now in [951, 1149] {
            let receiver = Calendar { now, ..NOON };
            assert!(receiver.receiving().any(|epoch| epoch == sending[0]), "{now}");
            assert!(receiver.end_of_receiving(sending[0]) > now, "{now}");
        }
    }
}
