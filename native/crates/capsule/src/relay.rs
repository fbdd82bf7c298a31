//! Between the user's terminal and an application's pseudo terminal.

use crate::link::{Link, LinkError};
use crate::start::own_terminal;
use abi::Control;
use abi::wire::{Ending, Reply};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use sys::poll::{Interest, poll};
use sys::signals::{SIGWINCH, SignalPipe};
use sys::terminal::{self, LineSettings};

/// How often to look whether the caller has given up.
const CANCEL_INTERVAL: Duration = Duration::from_millis(50);
/// What ends the input of a line-wise terminal (Ctrl-D).
const END_OF_INPUT: u8 = 4;

/// The user's terminal with every key passed on as it is; dropping this puts its settings back.
struct RawTerminal {
    terminal: BorrowedFd<'static>,
    settings: LineSettings,
}

impl RawTerminal {
    fn enter(terminal: BorrowedFd<'static>) -> sys::Result<Self> {
        let settings = LineSettings::of(terminal)?;
        settings.raw().apply(terminal)?;
        Ok(Self { terminal, settings })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = self.settings.apply(self.terminal);
    }
}

/// A relay that is under way.
struct Relay {
    master: File,
    input: Option<File>,
    output: File,
    /// Typed, but not taken by the application yet.
    pending: Vec<u8>,
    resized: Option<SignalPipe>,
}

/// Relays until the helper says on `link` how what runs on the terminal ended; `None` where it does not know.
/// The user's terminal is as it was when this returns.
pub fn relay(link: &mut Link, master: OwnedFd, control: &Control) -> Result<Option<Ending>, LinkError> {
    let (mut relay, _raw) = Relay::begin(master)?;
    let ended = relay.run(link, control);
    if matches!(ended, Ok(_) | Err(LinkError::Ended)) {
        relay.drain()?;
    }
    ended
}

/// Relays until the process behind `handle` (a pidfd) has ended. The user's terminal is as it was when this returns.
pub fn relay_beside(handle: BorrowedFd, master: OwnedFd, control: &Control) -> Result<(), LinkError> {
    // Held open so that the master does not report the end just because no process has the terminal open now.
    let _slave = terminal::open_slave(master.as_fd());
    let (mut relay, _raw) = Relay::begin(master)?;
    while !relay.pass(handle)? {
        if control.cancelled() {
            return Err(LinkError::Cancelled);
        }
    }
    Ok(relay.drain()?)
}

/// Shows what is left in the master of an application that has ended.
pub fn show_rest(master: OwnedFd) -> io::Result<()> {
    sys::poll::never_wait(master.as_fd())?;
    let output = io::stdout().as_fd().try_clone_to_owned()?.into();
    Relay { master: master.into(), input: None, output, pending: Vec::new(), resized: None }.drain()
}

/// What poll found ready.
#[derive(Clone, Copy)]
enum Source {
    Input,
    Output,
    Room,
    Resized,
    End,
}

impl Relay {
    fn begin(master: OwnedFd) -> io::Result<(Self, Option<RawTerminal>)> {
        sys::poll::never_wait(master.as_fd())?;
        let own = own_terminal();
        let raw = own.map(RawTerminal::enter).transpose()?;
        let relay = Self {
            master: master.into(),
            input: Some(io::stdin().as_fd().try_clone_to_owned()?.into()),
            output: io::stdout().as_fd().try_clone_to_owned()?.into(),
            pending: Vec::new(),
            resized: own.map(|_| SignalPipe::new(SIGWINCH)).transpose()?,
        };
        relay.pass_size();
        Ok((relay, raw))
    }

    fn run(&mut self, link: &mut Link, control: &Control) -> Result<Option<Ending>, LinkError> {
        loop {
            match link.next()? {
                Some((Reply::RootEnded { ending }, _)) => return Ok(ending),
                Some((Reply::Ended { ending }, _)) => return Ok(Some(ending)),
                Some((Reply::Failed(failure), _)) => return Err(LinkError::Failed(failure)),
                _ => {}
            }
            if control.cancelled() {
                return Err(LinkError::Cancelled);
            }
            if self.pass(link.as_fd())? {
                link.fill()?;
            }
        }
    }

    /// Passes on what there is, waiting a while for it. True when `end` has something to say.
    fn pass(&mut self, end: BorrowedFd) -> io::Result<bool> {
        let mut ended = false;
        for source in self.ready(end)? {
            match source {
                Source::Input => self.take_input()?,
                Source::Output => drop(self.pass_output()?),
                Source::Room => self.pass_input()?,
                Source::Resized => self.pass_size(),
                Source::End => ended = true,
            }
        }
        Ok(ended)
    }

    fn ready(&self, end: BorrowedFd) -> io::Result<Vec<Source>> {
        let mut entries = vec![
            (Source::End, end, Interest::Readable),
            (Source::Output, self.master.as_fd(), Interest::Readable),
        ];
        if !self.pending.is_empty() {
            entries.push((Source::Room, self.master.as_fd(), Interest::Writable));
        } else if let Some(input) = &self.input {
            entries.push((Source::Input, input.as_fd(), Interest::Readable));
        }
        entries.extend(self.resized.iter().map(|pipe| (Source::Resized, pipe.as_fd(), Interest::Readable)));
        let list: Vec<_> = entries.iter().map(|(_, fd, interest)| (*fd, *interest)).collect();
        let ready = poll(&list, Some(CANCEL_INTERVAL))?;
        Ok(entries.iter().zip(ready).filter(|(_, ready)| *ready).map(|((source, ..), _)| *source).collect())
    }

    fn take_input(&mut self) -> io::Result<()> {
        let Some(input) = &mut self.input else { return Ok(()) };
        let mut bytes = [0; 4096];
        match input.read(&mut bytes) {
            Ok(0) => {
                self.input = None;
                // A raw terminal ends by hanging up, and that the user went away is not the end of a file.
                if own_terminal().is_none() {
                    self.pending.push(END_OF_INPUT);
                }
            }
            Ok(length) => self.pending.extend_from_slice(&bytes[..length]),
            Err(error) if passing(&error) => {}
            // The user's terminal is gone.
            Err(_) => self.input = None,
        }
        Ok(())
    }

    fn pass_input(&mut self) -> io::Result<()> {
        match self.master.write(&self.pending) {
            Ok(length) => drop(self.pending.drain(..length)),
            Err(error) if passing(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// False when there is nothing to pass on.
    fn pass_output(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 16 << 10];
        match self.master.read(&mut bytes) {
            Ok(length) if length > 0 => {
                self.show(&bytes[..length])?;
                Ok(true)
            }
            Err(error) if !passing(&error) && error.raw_os_error() != Some(sys::Errno::EIO.0) => Err(error),
            // Nothing there, or (EIO) no process has the terminal open.
            _ => Ok(false),
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        while self.pass_output()? {}
        Ok(())
    }

    /// Writes to the user's terminal, whatever mode somebody else has put the descriptor into.
    fn show(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.output.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if passing(&error) => {
                    poll(&[(self.output.as_fd(), Interest::Writable)], None)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives the application's terminal the size of the user's.
    fn pass_size(&self) {
        self.resized.iter().for_each(SignalPipe::drain);
        if let Some(size) = own_terminal().and_then(|own| terminal::window_size(own).ok()) {
            let _ = terminal::set_window_size(self.master.as_fd(), size);
        }
    }
}

fn passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
