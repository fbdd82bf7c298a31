//! Terminals: pseudo terminals with both ends in the chain, those whose other end somebody else holds, and the sessions
//! that a terminal controls (pty(7), tty_ioctl(4), credentials(7)).

pub mod collecting;
pub mod queues;
pub mod rebuilding;

use crate::ids::OriginalPid;
use queues::QueuesV1;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sys::pty::{Termios, Window};

/// A terminal, whatever descriptions refer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TerminalV1 {
    pub id: u32,
    /// N of /dev/pts/N; none for a console, a serial line and their like, and where the number is another's.
    pub index: Option<u32>,
    pub master: MasterV1,
    /// None for a terminal that is hung up.
    pub line: Option<LineV1>,
    /// Who owns the slave's node, and its permissions.
    pub node: Option<NodeV1>,
    pub packet: bool,
    /// The slave may not be opened yet (TIOCSPTLCK).
    pub locked: bool,
    pub exclusive_master: bool,
    pub exclusive_slave: bool,
    /// The slave had been open and is so no more: readers of the master see EIO.
    pub slave_closed: bool,
    pub queues: QueuesV1,
}

/// Who holds the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MasterV1 {
    /// A process of the chain.
    Chain,
    /// The helper of the capsule: it is the terminal that `stasis run` made.
    Capsule,
    /// Somebody else, such as a terminal emulator: the user's terminal.
    Outside,
    /// Nobody: the terminal is hung up.
    Gone,
}

/// Line settings and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineV1 {
    pub iflag: u32,
    pub oflag: u32,
    pub cflag: u32,
    pub lflag: u32,
    pub cc: ByteBuf,
    pub ispeed: u32,
    pub ospeed: u32,
    /// Rows, columns, and both in pixels.
    pub window: [u16; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeV1 {
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

/// A session and the terminal that controls it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionV1 {
    pub sid: OriginalPid,
    pub terminal: u32,
    /// The group in the foreground; 0 when that is not of the application.
    pub foreground: OriginalPid,
    /// Processes of the session that have given their terminal up.
    pub without: Vec<OriginalPid>,
}

impl LineV1 {
    fn new(settings: Termios, window: Window) -> Self {
        Self {
            iflag: settings.iflag,
            oflag: settings.oflag,
            cflag: settings.cflag,
            lflag: settings.lflag,
            cc: ByteBuf::from(settings.cc.to_vec()),
            ispeed: settings.ispeed,
            ospeed: settings.ospeed,
            window: [window.rows, window.columns, window.width, window.height],
        }
    }

    pub fn settings(&self) -> Termios {
        let mut cc = [0; 19];
        cc.iter_mut().zip(self.cc.iter()).for_each(|(to, from)| *to = *from);
        Termios {
            iflag: self.iflag,
            oflag: self.oflag,
            cflag: self.cflag,
            lflag: self.lflag,
            line: 0,
            cc,
            ispeed: self.ispeed,
            ospeed: self.ospeed,
        }
    }

    pub fn window(&self) -> Window {
        let [rows, columns, width, height] = self.window;
        Window { rows, columns, width, height }
    }
}
