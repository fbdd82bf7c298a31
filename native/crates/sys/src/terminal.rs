//! Pseudo terminals, line settings and window sizes (pty(7), termios(3), ioctl_tty(2)).

use crate::{Errno, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Both ends of a new pseudo terminal.
pub struct Pty {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

/// Opens a pseudo terminal in the devpts that belongs to `/dev/ptmx`. The slave is opened through the
/// master (TIOCGPTPEER, Linux 4.13), so no path has to lead to it.
pub fn open_pty() -> Result<Pty> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path is a NUL-terminated literal.
    let master = Errno::check(unsafe { libc::open(c"/dev/ptmx".as_ptr(), flags) }.into())?;
    // SAFETY: a new descriptor that nobody else owns.
    let master = unsafe { OwnedFd::from_raw_fd(master as i32) };
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads an int.
    Errno::check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) }.into())?;
    let slave = open_slave(master.as_fd())?;
    Ok(Pty { master, slave })
}

/// Opens the other end of a master, without making it anybody's controlling terminal.
pub fn open_slave(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    crate::pty::open_peer(master, libc::O_RDWR)
}

/// Makes `terminal` the controlling terminal of the calling session leader.
pub fn set_controlling(terminal: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: TIOCSCTTY takes a number; 0 never steals the terminal from another session.
    Errno::check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// The size of a terminal's window, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

/// `ENOTTY` when the descriptor is no terminal.
pub fn window_size(terminal: BorrowedFd<'_>) -> Result<WindowSize> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: TIOCGWINSZ fills in a winsize, which is plain data.
    Errno::check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) }.into())?;
    // SAFETY: filled in by the kernel.
    let size = unsafe { size.assume_init() };
    Ok(WindowSize { rows: size.ws_row, columns: size.ws_col })
}

/// Sets the size; the foreground group gets SIGWINCH when it changed.
pub fn set_window_size(terminal: BorrowedFd<'_>, size: WindowSize) -> Result<()> {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize.
    Errno::check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }.into())
        .map(drop)
}

/// The line settings of a terminal.
#[derive(Clone)]
pub struct LineSettings(libc::termios);

impl LineSettings {
    /// `ENOTTY` when the descriptor is no terminal.
    pub fn of(terminal: BorrowedFd<'_>) -> Result<Self> {
        let mut settings = MaybeUninit::<libc::termios>::zeroed();
        // SAFETY: tcgetattr fills in a termios, which is plain data.
        Errno::check(unsafe { libc::tcgetattr(terminal.as_raw_fd(), settings.as_mut_ptr()) }.into())?;
        // SAFETY: filled in by the call above.
        Ok(Self(unsafe { settings.assume_init() }))
    }

    /// The same line with every byte passed through as it is.
    #[must_use]
    pub fn raw(&self) -> Self {
        let mut settings = self.0;
        // SAFETY: changes the termios it is given.
        unsafe { libc::cfmakeraw(&raw mut settings) };
        Self(settings)
    }

    /// Puts these settings onto `terminal` at once.
    pub fn apply(&self, terminal: BorrowedFd<'_>) -> Result<()> {
        // SAFETY: tcsetattr reads a termios.
        Errno::check(
            unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &raw const self.0) }.into(),
        )
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn a_new_pty_carries_bytes_sizes_and_raw_settings() {
        let pty = open_pty().expect("a pty");
        let size = WindowSize { rows: 31, columns: 77 };
        set_window_size(pty.master.as_fd(), size).expect("a size");
        assert_eq!(window_size(pty.slave.as_fd()), Ok(size));
        LineSettings::of(pty.slave.as_fd()).expect("settings").raw().apply(pty.slave.as_fd()).expect("raw");
        File::from(pty.slave).write_all(b"a\n").expect("room");
        let mut bytes = [0; 8];
        let length = File::from(pty.master).read(&mut bytes).expect("bytes");
        assert_eq!(&bytes[..length], b"a\n", "a raw line adds no carriage return");
    }
}
