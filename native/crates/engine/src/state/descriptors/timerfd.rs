//! Timers that are read like files (timerfd_create(2)).

use super::{DescriptionV1, Found, anonymous};
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use crate::state::host;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, BorrowedFd};
use sys::Errno;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerfdV1 {
    pub clock: i32,
    /// Expirations that nobody has read.
    pub ticks: u64,
    /// As given to timerfd_settime(2): TFD_TIMER_ABSTIME (1), TFD_TIMER_CANCEL_ON_SET (2).
    pub flags: i32,
    /// Nanoseconds until it expires, 0 when it is disarmed.
    pub left_ns: u64,
    pub interval_ns: u64,
}

pub fn collect(found: &Found) -> Result<TimerfdV1> {
    let Some(mut timer) = parse(found) else { return found.refuse("the kernel does not tell its setting") };
    if timer.left_ns == 0 && timer.interval_ns != 0 && timer.ticks != 0 {
        // A periodic timer stands still from its expiration to the next read, and says 0 until it is asked properly.
        let what = || format!("Could not read timer {} of process {}", found.fd, found.pid);
        timer.left_ns = sys::events::timerfd_left(found.file.as_fd()).explain(what)?;
        let again = crate::procfs::FdInfo::read(found.pid, found.fd).explain(what)?;
        timer.ticks = again.number("ticks").unwrap_or(timer.ticks);
    }
    Ok(timer)
}

fn parse(found: &Found) -> Option<TimerfdV1> {
    Some(TimerfdV1 {
        clock: found.info.number("clockid")? as i32,
        ticks: found.info.number("ticks")?,
        flags: found.info.octal("settime flags")? as i32,
        left_ns: nanoseconds(found.info.value("it_value")?)?,
        interval_ns: nanoseconds(found.info.value("it_interval")?)?,
    })
}

/// Parses `(seconds, nanoseconds)`.
fn nanoseconds(text: &str) -> Option<u64> {
    let (seconds, rest) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(", ")?;
    Some(seconds.parse::<u64>().ok()? * 1_000_000_000 + rest.parse::<u64>().ok()?)
}

/// Makes the timers, disarmed.
pub fn apply(timers: Vec<(&DescriptionV1, &TimerfdV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, saved) in timers {
        let file = sys::events::timerfd(saved.clock).explain(|| "Could not restore a timerfd".to_owned())?;
        anonymous::enter(file, description, rebuild)?;
    }
    Ok(())
}

/// Arms the timers: late, so that the time of the restore itself does not count.
pub fn arm(timers: Vec<(&DescriptionV1, &TimerfdV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, saved) in timers {
        let what = || "Could not arm a timerfd".to_owned();
        let Some(file) = rebuild.descriptions.get(&description.id) else { continue };
        let value = setting(saved, rebuild);
        sys::events::set_timerfd(file.as_fd(), saved.flags, saved.interval_ns, value).explain(what)?;
        if saved.ticks > 0 {
            set_ticks(file.as_fd(), saved).explain(what)?;
        }
    }
    Ok(())
}

/// The value for timerfd_settime(2). An absolute time stays what it was on the clock that the application sees: one
/// that has passed expires at once.
fn setting(saved: &TimerfdV1, rebuild: &Rebuild) -> u64 {
    if saved.left_ns == 0 || saved.flags & libc::TFD_TIMER_ABSTIME == 0 {
        return saved.left_ns;
    }
    // The processes made here have a time namespace of their own; this command does not.
    let process = rebuild.current(rebuild.image.processes[0].pid).unwrap_or(0);
    let (monotonic, boottime) = host::clock_offsets(&process.to_string());
    let (own_monotonic, own_boottime) = host::clock_offsets("self");
    let host = &rebuild.image.host;
    let (saved_now, offset) = match saved.clock {
        libc::CLOCK_MONOTONIC => (host.monotonic_ns, monotonic - own_monotonic),
        libc::CLOCK_BOOTTIME | libc::CLOCK_BOOTTIME_ALARM => (host.boottime_ns, boottime - own_boottime),
        _ => (host.realtime_ns, 0),
    };
    (saved_now + saved.left_ns as i64 - offset).max(1) as u64
}

fn set_ticks(timer: BorrowedFd, saved: &TimerfdV1) -> sys::Result<()> {
    match sys::events::set_timerfd_ticks(timer, saved.ticks) {
        // A clock that was set meanwhile cancels the timer, which its reader must hear.
        Err(Errno(libc::ECANCELED)) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_brackets_is_parsed() {
        assert_eq!(nanoseconds("(1, 973715806)"), Some(1_973_715_806));
        assert_eq!(nanoseconds("1, 2"), None);
    }
}
