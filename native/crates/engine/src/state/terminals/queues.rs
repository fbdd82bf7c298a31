//! What is on its way through a pseudo terminal: typed but not read, written but not shown.
//!
//! The kernel lets nobody look without taking, so everything is taken and put back at once, with line settings that
//! pass bytes through unchanged. Each byte put in is echoed, which tells when the line discipline has it (its work is
//! done by a kernel thread). All processes that use the terminal stand still meanwhile.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use sys::Errno;
use sys::poll::{Interest, poll};
use sys::pty::{self, Termios};

/// How long the kernel may take to pass bytes from one end to the other.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuesV1 {
    /// Written to the master, not read from the slave: one entry for each read of a line-wise terminal.
    pub input: Vec<PieceV1>,
    /// Written to the slave (or echoed), not read from the master.
    pub output: ByteBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceV1 {
    pub bytes: ByteBuf,
    /// Ended by the end-of-file character, which a reader does not see.
    pub end_of_file: bool,
}

/// Both ends of a terminal under examination.
pub struct Ends<'a> {
    pub master: BorrowedFd<'a>,
    /// A description of our own that never waits.
    pub slave: OwnedFd,
    pub settings: Termios,
    pub packet: bool,
}

impl<'a> Ends<'a> {
    pub fn open(master: BorrowedFd<'a>, settings: Termios, packet: bool) -> sys::Result<Self> {
        let slave = pty::open_peer(master, libc::O_RDWR | libc::O_NONBLOCK)?;
        Ok(Self { master, slave, settings, packet })
    }

    /// Whether nothing keeps bytes from being put back: output that is stopped (Ctrl-S) or full would.
    pub fn is_flowing(&self) -> sys::Result<bool> {
        poll(&[(self.slave.as_fd(), Interest::Writable)], Some(Duration::ZERO)).map(|ready| ready[0])
    }

    /// Copies what is queued. The queues are afterwards as they were.
    pub fn collect(&self) -> sys::Result<QueuesV1> {
        let output = self.take_output()?;
        let queues = QueuesV1 { input: self.take_input()?, output: ByteBuf::from(output) };
        self.apply(&queues)?;
        Ok(queues)
    }

    /// Fills empty queues and leaves the terminal with its settings.
    pub fn apply(&self, queues: &QueuesV1) -> sys::Result<()> {
        if !queues.input.is_empty() {
            self.put_input(&queues.input)?;
        }
        if !queues.output.is_empty() {
            Termios { oflag: 0, ..self.settings }.apply(self.master)?;
            sys::files::write_all(self.slave.as_fd(), &queues.output)?;
        }
        self.settings.apply(self.master)
    }

    fn is_line_wise(&self) -> bool {
        self.settings.lflag & (libc::ICANON | libc::EXTPROC) == libc::ICANON
    }

    fn take_output(&self) -> sys::Result<Vec<u8>> {
        let mut output = Vec::new();
        while poll(&[(self.master, Interest::Readable)], Some(Duration::ZERO))?[0] {
            match sys::files::read(self.master, 4096) {
                // In packet mode a byte comes first that says what the rest is (0: data).
                Ok(bytes) if self.packet => output.extend(bytes.into_iter().skip(1)),
                Ok(bytes) => output.extend(bytes),
                Err(Errno::EIO | Errno::EAGAIN) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(output)
    }

    fn take_input(&self) -> sys::Result<Vec<PieceV1>> {
        let mut pieces = self.read_pieces()?;
        if self.is_line_wise() {
            // The line that is still being typed can be read only while the terminal is not line-wise.
            let mut cc = self.settings.cc;
            cc[libc::VMIN] = 1;
            Termios { lflag: self.settings.lflag & !libc::ICANON, cc, ..self.settings }.apply(self.master)?;
            let rest = self.read_pieces()?;
            self.settings.apply(self.master)?;
            pieces.extend(rest.into_iter().map(|piece| PieceV1 { end_of_file: false, ..piece }));
        }
        Ok(pieces)
    }

    fn read_pieces(&self) -> sys::Result<Vec<PieceV1>> {
        let mut pieces = Vec::new();
        loop {
            match sys::files::read(self.slave.as_fd(), 4096) {
                Ok(bytes) if bytes.is_empty() && !self.is_line_wise() => return Ok(pieces),
                Ok(bytes) => {
                    let end_of_file = self.is_line_wise() && !self.ends_line(bytes.last().copied());
                    pieces.push(PieceV1 { bytes: ByteBuf::from(bytes), end_of_file });
                }
                Err(Errno::EAGAIN | Errno::EIO) => return Ok(pieces),
                Err(errno) => return Err(errno),
            }
        }
    }

    fn ends_line(&self, last: Option<u8>) -> bool {
        let enders = [b'\n', self.settings.cc[libc::VEOL], self.settings.cc[libc::VEOL2]];
        last.is_some_and(|last| last == b'\n' || last != 0 && enders.contains(&last))
    }

    fn put_input(&self, pieces: &[PieceV1]) -> sys::Result<()> {
        let end_of_file = unused_byte(pieces).ok_or(Errno::EINVAL)?;
        let mut cc = [0; 19];
        cc[libc::VMIN] = 1;
        if self.is_line_wise() {
            cc[libc::VEOF] = end_of_file;
            cc[libc::VEOL] = self.settings.cc[libc::VEOL];
            cc[libc::VEOL2] = self.settings.cc[libc::VEOL2];
        }
        let lflag = self.settings.lflag & (libc::ICANON | libc::IEXTEN) | libc::ECHO;
        Termios { iflag: 0, oflag: 0, lflag, cc, ..self.settings }.apply(self.master)?;
        if self.packet {
            pty::set_packet(self.master, false)?;
        }
        for piece in pieces {
            let mut bytes = piece.bytes.to_vec();
            bytes.extend(piece.end_of_file.then_some(end_of_file));
            sys::files::write_all(self.master, &bytes)?;
            self.await_echo(piece.bytes.len())?;
        }
        if self.packet { pty::set_packet(self.master, true) } else { Ok(()) }
    }

    fn await_echo(&self, length: usize) -> sys::Result<()> {
        let mut seen = 0;
        while seen < length {
            if !poll(&[(self.master, Interest::Readable)], Some(PATIENCE))?[0] {
                return Err(Errno(libc::ETIMEDOUT));
            }
            seen += sys::files::read(self.master, length - seen)?.len();
        }
        Ok(())
    }
}

/// A byte that can stand for the end of a file because nobody typed it. Not 0 or 255, which have meanings of their own.
fn unused_byte(pieces: &[PieceV1]) -> Option<u8> {
    (1..255).rev().find(|byte| *byte != b'\n' && pieces.iter().all(|piece| !piece.bytes.contains(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn terminal() -> (OwnedFd, Termios) {
        let master = pty::open_master(Path::new("/dev/ptmx"), libc::O_RDWR).expect("a pty");
        pty::set_locked(master.as_fd(), false).expect("unlocked");
        let settings = Termios::of(master.as_fd()).expect("settings");
        (master, settings)
    }

    fn piece(bytes: &[u8], end_of_file: bool) -> PieceV1 {
        PieceV1 { bytes: ByteBuf::from(bytes.to_vec()), end_of_file }
    }

    #[test]
    fn looking_at_lines_leaves_them_where_they_are() {
        let (master, settings) = terminal();
        let ends = Ends::open(master.as_fd(), settings, false).expect("a slave");
        sys::files::write_all(master.as_fd(), b"one\ntwo\x04par").expect("room");
        let wanted = [piece(b"one\n", false), piece(b"two", true), piece(b"par", false)];
        ends.await_echo(4 + 1 + 3 + 3).expect("an echo");
        let seen = ends.collect().expect("queues");
        assert_eq!(seen.input, wanted);
        assert_eq!(ends.collect().expect("queues again"), seen);
        assert_eq!(sys::files::read(ends.slave.as_fd(), 100), Ok(b"one\n".to_vec()));
        assert_eq!(sys::files::read(ends.slave.as_fd(), 100), Ok(b"two".to_vec()));
        assert_eq!(
            sys::files::read(ends.slave.as_fd(), 100),
            Err(Errno::EAGAIN),
            "the last line is not complete"
        );
        assert_eq!(Termios::of(master.as_fd()), Ok(settings));
    }

    #[test]
    fn output_and_raw_input_come_back_unchanged() {
        let (master, settings) = terminal();
        let settings = Termios { lflag: 0, iflag: 0, ..settings };
        settings.apply(master.as_fd()).expect("raw");
        let ends = Ends::open(master.as_fd(), settings, false).expect("a slave");
        let queues = QueuesV1 {
            input: vec![piece(b"a\x04\n\x00\xff\r", false)],
            output: ByteBuf::from(b"x\ny".to_vec()),
        };
        ends.apply(&queues).expect("filled");
        assert_eq!(ends.collect().expect("queues"), queues);
        assert_eq!(sys::files::read(master.as_fd(), 100), Ok(b"x\ny".to_vec()));
    }
}
