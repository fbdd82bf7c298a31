//! The master of the application's terminal, and what happens to its output while nobody is attached.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use sys::poll::{self, Interest};
use sys::terminal::{self, LineSettings};

pub struct Console {
    master: File,
    /// Held open so that the master never reports the end just because no process has the terminal open now.
    slave: Option<OwnedFd>,
}

impl Console {
    /// Whoever reads or writes the master polls first, and none of them may ever wait for the application.
    pub fn new(master: OwnedFd) -> Self {
        let _ = poll::never_wait(master.as_fd());
        let slave = terminal::open_slave(master.as_fd()).ok();
        Self { master: master.into(), slave }
    }

    /// Whether the terminal can have output at all.
    pub fn is_open(&self) -> bool {
        self.slave.is_some()
    }

    /// Moves output that is there to the log.
    pub fn drain(&mut self, mut log: Option<File>) {
        while self.has_output() {
            let mut bytes = [0; 16 << 10];
            match self.master.read(&mut bytes) {
                Ok(length) if length > 0 => {
                    let _ = log.as_mut().map(|log| log.write_all(&bytes[..length]));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Hung up, as when a session leader ended: later processes may open it anew.
                _ => {
                    self.slave = terminal::open_slave(self.master.as_fd()).ok();
                    return;
                }
            }
        }
    }

    fn has_output(&self) -> bool {
        let ready = poll::poll(&[(self.master.as_fd(), Interest::Readable)], Some(Duration::ZERO));
        ready.is_ok_and(|ready| ready[0])
    }
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

/// The settings of a user's terminal before somebody who is attached changed them.
pub struct Guard {
    terminal: OwnedFd,
    settings: LineSettings,
}

impl Guard {
    /// `None` when the descriptor is no terminal: there is nothing to put back.
    pub fn new(terminal: OwnedFd) -> Option<Self> {
        let settings = LineSettings::of(terminal.as_fd()).ok()?;
        Some(Self { terminal, settings })
    }

    /// Puts the settings back.
    pub fn restore(&self) {
        let _ = self.settings.apply(self.terminal.as_fd());
    }
}
