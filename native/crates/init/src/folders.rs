//! The files that the helper leaves for those who come later: status, log, and the socket that it removes.

use abi::wire::{LOG_FILE, STATUS_FILE, StatusFile};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::OwnedFd;
use sys::Errno;
use sys::folder::Folder;

/// What an application that takes another's place brings along: who it is, its views of volumes, its private files.
const OWN: [&CStr; 3] = [c"meta.json", c"volumes", c"files"];

pub struct Folders {
    state: Folder,
    run: Folder,
    socket: CString,
}

impl Folders {
    pub fn new(state: OwnedFd, run: OwnedFd, socket: &str) -> Self {
        let socket = CString::new(socket).unwrap_or_default();
        Self { state: state.into(), run: run.into(), socket }
    }

    /// Records how far the application has come. A full disk must not stop the helper from reaping, so what cannot
    /// be written is not: the application then counts as lost.
    pub fn record(&self, status: &StatusFile) {
        let text = serde_json::to_vec(status).unwrap_or_default();
        let name = CString::new(STATUS_FILE).unwrap_or_default();
        let _ = self.state.replace(&name, c"status.json.new", &text);
    }

    /// The log, for appending; `None` when it cannot be opened, and output is then lost.
    pub fn log(&self) -> Option<File> {
        self.state.append(&CString::new(LOG_FILE).ok()?).ok()
    }

    /// Goes on in another state folder, under another name of the socket, in one step for whoever connects. What is the
    /// application's own moves along; what was the other's stays here.
    pub fn move_to(&mut self, state: OwnedFd, socket: &str) -> sys::Result<()> {
        let socket = CString::new(socket).map_err(|_| Errno::EINVAL)?;
        self.run.rename(&self.socket, &socket)?;
        let left = std::mem::replace(&mut self.state, state.into());
        self.socket = socket;
        for name in OWN {
            // The application lives already, and its mounts are made: a file system that cannot do this costs the record.
            let _ = left.exchange(name, &self.state);
        }
        Ok(())
    }

    /// Removes the socket: nobody can reach this capsule any more.
    pub fn close_door(&self) {
        let _ = self.run.unlink(&self.socket);
    }
}
