//! What makes up the state of a terminal beyond what a user of one needs: everything that a restore must put back
//! (ioctl_tty(2), ioctl_pts(2)).

use crate::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

const TIOCGPTN: u64 = 0x8004_5430;
const TIOCSPTLCK: u64 = 0x4004_5431;
const TIOCGDEV: u64 = 0x8004_5432;
const TIOCGPKT: u64 = 0x8004_5438;
const TIOCGPTLCK: u64 = 0x8004_5439;
const TIOCGEXCL: u64 = 0x8004_5440;
const TIOCPKT: u64 = 0x5420;
const TIOCEXCL: u64 = 0x540c;
const TIOCVHANGUP: u64 = 0x5437;
const TIOCGPTPEER: u64 = 0x5441;
const TIOCGETD: u64 = 0x5424;
const TCGETS2: u64 = 0x802c_542a;
const TCSETS2: u64 = 0x402c_542b;

/// `struct termios2`: line settings with exact speeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Termios {
    pub iflag: u32,
    pub oflag: u32,
    pub cflag: u32,
    pub lflag: u32,
    pub line: u8,
    pub cc: [u8; 19],
    pub ispeed: u32,
    pub ospeed: u32,
}

/// `struct winsize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Window {
    pub rows: u16,
    pub columns: u16,
    pub width: u16,
    pub height: u16,
}

/// Calls an ioctl that fills in, or reads, one `T`.
fn exchange<T>(fd: BorrowedFd<'_>, request: u64, value: &mut T) -> Result<()> {
    // SAFETY: every request above that is used with this function moves exactly the `T` that its caller passes,
    // which is live, writable and plain data.
    Errno::check(unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(value)) }.into()).map(drop)
}

fn integer(fd: BorrowedFd<'_>, request: u64) -> Result<i32> {
    let mut value = 0i32;
    exchange(fd, request, &mut value).map(|()| value)
}

impl Termios {
    /// Either end of a pty answers for the slave. `EIO` when the terminal is hung up, `ENOTTY` when it is none.
    pub fn of(fd: BorrowedFd<'_>) -> Result<Self> {
        let mut settings = Self::default();
        exchange(fd, TCGETS2, &mut settings).map(|()| settings)
    }

    /// Takes effect at once and discards nothing.
    pub fn apply(mut self, fd: BorrowedFd<'_>) -> Result<()> {
        exchange(fd, TCSETS2, &mut self)
    }
}

impl Window {
    pub fn of(fd: BorrowedFd<'_>) -> Result<Self> {
        let mut window = Self::default();
        exchange(fd, libc::TIOCGWINSZ, &mut window).map(|()| window)
    }

    pub fn apply(mut self, fd: BorrowedFd<'_>) -> Result<()> {
        exchange(fd, libc::TIOCSWINSZ, &mut self)
    }
}

/// N of /dev/pts/N, asked of the master.
pub fn index(master: BorrowedFd<'_>) -> Result<u32> {
    integer(master, TIOCGPTN).map(|index| index as u32)
}

/// The device number of the terminal that a descriptor (of /dev/tty, for one) really refers to: major and minor.
pub fn device(terminal: BorrowedFd<'_>) -> Result<(u32, u32)> {
    integer(terminal, TIOCGDEV).map(|device| decode_device(device as u32))
}

/// A device number as the kernel encodes it for 32 bits, in /proc/PID/stat for one.
#[must_use]
pub fn decode_device(device: u32) -> (u32, u32) {
    ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00))
}

/// Opens a new pty in the devpts that belongs to the `ptmx` at `path`: its master, whose slave is locked.
pub fn open_master(path: &Path, flags: i32) -> Result<OwnedFd> {
    crate::files::open(path, flags)
}

/// Opens the slave of a master (TIOCGPTPEER), never as controlling terminal. The descriptor is close-on-exec, but not by
/// O_CLOEXEC: this call would keep that among the description's flags, and every duplicate would look like it in /proc.
pub fn open_peer(master: BorrowedFd<'_>, flags: i32) -> Result<OwnedFd> {
    let flags = (flags | libc::O_NOCTTY) & !libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags; the new descriptor belongs to nobody else.
    unsafe {
        let fd = Errno::check(libc::ioctl(master.as_raw_fd(), TIOCGPTPEER, flags).into())?;
        let slave = OwnedFd::from_raw_fd(fd as i32);
        Errno::check(libc::fcntl(slave.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC).into())?;
        Ok(slave)
    }
}

pub fn is_locked(master: BorrowedFd<'_>) -> Result<bool> {
    integer(master, TIOCGPTLCK).map(|locked| locked != 0)
}

pub fn set_locked(master: BorrowedFd<'_>, locked: bool) -> Result<()> {
    exchange(master, TIOCSPTLCK, &mut i32::from(locked))
}

/// Packet mode, as set with TIOCPKT.
pub fn is_packet(master: BorrowedFd<'_>) -> Result<bool> {
    integer(master, TIOCGPKT).map(|packet| packet != 0)
}

pub fn set_packet(master: BorrowedFd<'_>, packet: bool) -> Result<()> {
    exchange(master, TIOCPKT, &mut i32::from(packet))
}

/// Whether this end may be opened no more (TIOCEXCL).
pub fn is_exclusive(terminal: BorrowedFd<'_>) -> Result<bool> {
    integer(terminal, TIOCGEXCL).map(|exclusive| exclusive != 0)
}

pub fn set_exclusive(terminal: BorrowedFd<'_>) -> Result<()> {
    command(terminal, TIOCEXCL)
}

/// Cuts all present descriptors of this terminal off from it (vhangup(2)).
pub fn hang_up(terminal: BorrowedFd<'_>) -> Result<()> {
    command(terminal, TIOCVHANGUP)
}

fn command(terminal: BorrowedFd<'_>, request: u64) -> Result<()> {
    // SAFETY: the requests used here take no argument.
    Errno::check(unsafe { libc::ioctl(terminal.as_raw_fd(), request, 0) }.into()).map(drop)
}

/// The line discipline; 0 is the ordinary one.
pub fn discipline(terminal: BorrowedFd<'_>) -> Result<i32> {
    integer(terminal, TIOCGETD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn state_of_a_new_pty_is_readable_and_settable() {
        let master = open_master(Path::new("/dev/ptmx"), libc::O_RDWR).expect("a pty");
        assert_eq!(is_locked(master.as_fd()), Ok(true));
        set_locked(master.as_fd(), false).expect("unlocked");
        let slave = open_peer(master.as_fd(), libc::O_RDWR).expect("its slave");
        assert_eq!(device(slave.as_fd()), Ok((136, index(master.as_fd()).expect("an index"))));
        let settings = Termios { lflag: 0, ..Termios::of(slave.as_fd()).expect("settings") };
        settings.apply(master.as_fd()).expect("set through the master");
        assert_eq!(Termios::of(slave.as_fd()), Ok(settings));
        set_packet(master.as_fd(), true).expect("packet mode");
        assert_eq!(is_packet(master.as_fd()), Ok(true));
        assert_eq!(is_exclusive(slave.as_fd()), Ok(false));
        drop(master);
        assert_eq!(Termios::of(slave.as_fd()), Err(Errno::EIO), "the slave is hung up");
    }

    #[test]
    fn device_numbers_have_twelve_and_twenty_bits() {
        assert_eq!(decode_device(0x8803), (136, 3));
        assert_eq!(decode_device(0x0010_8803), (136, 0x103));
    }
}
