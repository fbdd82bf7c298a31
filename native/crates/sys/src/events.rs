//! Descriptors that report events: eventfd(2), epoll(7), timerfd_create(2), signalfd(2), inotify(7).

use crate::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A new counter at 0 (eventfd(2)); close-on-exec.
pub fn eventfd(semaphore: bool) -> Result<OwnedFd> {
    let flags = libc::EFD_CLOEXEC | if semaphore { libc::EFD_SEMAPHORE } else { 0 };
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::eventfd(0, flags).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// A new, empty epoll, close-on-exec.
pub fn epoll() -> Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::epoll_create1(libc::EPOLL_CLOEXEC).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Has `epoll` watch descriptor `target` of the calling thread's table.
pub fn epoll_add(epoll: BorrowedFd, target: RawFd, events: u32, data: u64) -> Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: `event` is live for the call.
    unsafe {
        let done = libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, target, &raw mut event);
        Errno::check(done.into()).map(drop)
    }
}

pub fn epoll_modify(epoll: BorrowedFd, target: RawFd, events: u32, data: u64) -> Result<()> {
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: `event` is live for the call.
    unsafe {
        let done = libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_MOD, target, &raw mut event);
        Errno::check(done.into()).map(drop)
    }
}

/// Takes one ready event, if there is any, without waiting. Says whether there was.
pub fn epoll_take(epoll: BorrowedFd) -> Result<bool> {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: `event` has room for the one event that is asked for.
    let got = unsafe { libc::epoll_wait(epoll.as_raw_fd(), &raw mut event, 1, 0) };
    Errno::check(got.into()).map(|count| count > 0)
}

/// `struct epoll_params` (busy polling, Linux 6.9), as one word.
pub type EpollParameters = u64;

const EPIOCSPARAMS: u64 = 0x4008_8a01;
const EPIOCGPARAMS: u64 = 0x8008_8a02;

/// Busy-poll parameters; none on kernels that have no such thing.
pub fn epoll_parameters(epoll: BorrowedFd) -> Option<EpollParameters> {
    let mut parameters = 0u64;
    // SAFETY: `parameters` has the size of struct epoll_params, 8 bytes.
    let done = unsafe { libc::ioctl(epoll.as_raw_fd(), EPIOCGPARAMS as _, &raw mut parameters) };
    Errno::check(done.into()).is_ok().then_some(parameters)
}

pub fn set_epoll_parameters(epoll: BorrowedFd, parameters: EpollParameters) -> Result<()> {
    // SAFETY: `parameters` has the size of struct epoll_params and is only read.
    let done = unsafe { libc::ioctl(epoll.as_raw_fd(), EPIOCSPARAMS as _, &raw const parameters) };
    Errno::check(done.into()).map(drop)
}

/// A new, disarmed timer on `clock`, close-on-exec.
pub fn timerfd(clock: i32) -> Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::timerfd_create(clock, libc::TFD_CLOEXEC).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

fn itimerspec(interval_ns: u64, value_ns: u64) -> libc::itimerspec {
    let time = |ns: u64| libc::timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    };
    libc::itimerspec { it_interval: time(interval_ns), it_value: time(value_ns) }
}

/// Arms a timer; nanoseconds. `flags` as in timerfd_settime(2).
pub fn set_timerfd(timer: BorrowedFd, flags: i32, interval_ns: u64, value_ns: u64) -> Result<()> {
    let setting = itimerspec(interval_ns, value_ns);
    // SAFETY: `setting` is live and only read; the old setting is not asked for.
    let done =
        unsafe { libc::timerfd_settime(timer.as_raw_fd(), flags, &raw const setting, std::ptr::null_mut()) };
    Errno::check(done.into()).map(drop)
}

/// Nanoseconds that a timer has left, 0 when it is disarmed. A periodic timer that nobody has read is brought up to
/// date by this, which no read(2) can tell.
pub fn timerfd_left(timer: BorrowedFd) -> Result<u64> {
    let mut setting = itimerspec(0, 0);
    // SAFETY: `setting` is live and is filled.
    Errno::check(unsafe { libc::timerfd_gettime(timer.as_raw_fd(), &raw mut setting).into() })?;
    Ok(setting.it_value.tv_sec as u64 * 1_000_000_000 + setting.it_value.tv_nsec as u64)
}

/// Sets how many expirations a read will report (`TFD_IOC_SET_TICKS`; Linux 3.17, CONFIG_CHECKPOINT_RESTORE).
pub fn set_timerfd_ticks(timer: BorrowedFd, ticks: u64) -> Result<()> {
    const TFD_IOC_SET_TICKS: u64 = 0x4008_5400;
    // SAFETY: `ticks` is live and only read.
    let done = unsafe { libc::ioctl(timer.as_raw_fd(), TFD_IOC_SET_TICKS as _, &raw const ticks) };
    Errno::check(done.into()).map(drop)
}

/// A new signalfd for the signals of `mask` (bit 0 is signal 1), close-on-exec.
pub fn signalfd(mask: u64) -> Result<OwnedFd> {
    // SAFETY: `mask` is 8 bytes long, as the last argument but one says; the new descriptor belongs to nobody else.
    unsafe {
        let fd = libc::syscall(libc::SYS_signalfd4, -1, &raw const mask, 8usize, libc::SFD_CLOEXEC);
        Ok(OwnedFd::from_raw_fd(Errno::check(fd)? as RawFd))
    }
}

/// A new event queue without watches, close-on-exec.
pub fn inotify() -> Result<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::inotify_init1(libc::IN_CLOEXEC).into())?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Has the next watch get the number `wd` (`INOTIFY_IOC_SETNEXTWD`; Linux 4.16, CONFIG_CHECKPOINT_RESTORE).
pub fn inotify_next(inotify: BorrowedFd, wd: i32) -> Result<()> {
    const INOTIFY_IOC_SETNEXTWD: u64 = 0x4004_4900;
    // SAFETY: plain numbers.
    let done =
        unsafe { libc::ioctl(inotify.as_raw_fd(), INOTIFY_IOC_SETNEXTWD as _, libc::c_long::from(wd)) };
    Errno::check(done.into()).map(drop)
}

/// Watches an open file, which may be open with O_PATH, under the number `wd`.
pub fn inotify_add(inotify: BorrowedFd, target: BorrowedFd, mask: u32, wd: i32) -> Result<()> {
    inotify_next(inotify, wd)?;
    let path = format!("/proc/thread-self/fd/{}\0", target.as_raw_fd());
    // SAFETY: `path` is NUL-terminated.
    let got = unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), path.as_ptr().cast(), mask) };
    // EEXIST: two of the watches lead to one file now.
    if Errno::check(got.into())? as i32 == wd { Ok(()) } else { Err(Errno::EEXIST) }
}
