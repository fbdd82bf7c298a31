//! A folder held by descriptor, so that what is done in it does not depend on paths or mounts.

use crate::{Errno, Result};
use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An open folder.
pub struct Folder(OwnedFd);

impl From<OwnedFd> for Folder {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Folder {
    /// Opens `name` for appending, made with mode 0600 when it is missing.
    pub fn append(&self, name: &CStr) -> Result<File> {
        self.open(name, libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND)
    }

    /// Replaces the content of `name` as a whole: whoever reads it sees the old text or the new one. Not
    /// flushed to the disk.
    pub fn replace(&self, name: &CStr, temporary: &CStr, content: &[u8]) -> Result<()> {
        let mut file = self.open(temporary, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC)?;
        file.write_all(content)?;
        self.rename(temporary, name)
    }

    /// Renames `from` to `to`, in the place of what has that name.
    pub fn rename(&self, from: &CStr, to: &CStr) -> Result<()> {
        let fd = self.0.as_raw_fd();
        // SAFETY: both names are NUL-terminated.
        let done = unsafe { libc::renameat(fd, from.as_ptr(), fd, to.as_ptr()) };
        Errno::check(done.into()).map(drop)
    }

    /// Exchanges what is called `name` here for what is called so in `other`; one that is not there is left out.
    pub fn exchange(&self, name: &CStr, other: &Folder) -> Result<()> {
        let ways = [
            (self, other, libc::RENAME_EXCHANGE),
            (self, other, libc::RENAME_NOREPLACE),
            (other, self, libc::RENAME_NOREPLACE),
        ];
        for (from, to, flags) in ways {
            let (from, to) = (from.0.as_raw_fd(), to.0.as_raw_fd());
            // SAFETY: the name is NUL-terminated.
            let done = unsafe { libc::renameat2(from, name.as_ptr(), to, name.as_ptr(), flags) };
            match Errno::check(done.into()) {
                Err(Errno::ENOENT) => {}
                done => return done.map(drop),
            }
        }
        Ok(())
    }

    /// Removes the file `name`.
    pub fn unlink(&self, name: &CStr) -> Result<()> {
        // SAFETY: the name is NUL-terminated.
        Errno::check(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) }.into()).map(drop)
    }

    fn open(&self, name: &CStr, flags: libc::c_int) -> Result<File> {
        let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW;
        // SAFETY: the name is NUL-terminated.
        let fd = unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags, 0o600) };
        let fd = Errno::check(fd.into())?;
        // SAFETY: a new descriptor that nobody else owns.
        Ok(unsafe { File::from_raw_fd(fd as i32) })
    }
}

/// Waits for the exclusive lock of an open file (flock(2)); it goes with the last descriptor.
pub fn lock(file: BorrowedFd<'_>) -> Result<()> {
    loop {
        // SAFETY: takes no pointer.
        match Errno::check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }.into()) {
            Err(Errno::EINTR) => {}
            done => return done.map(drop),
        }
    }
}

/// An executable that has no place in any file system: a memory file with this content.
pub fn executable_in_memory(name: &CStr, content: &[u8]) -> Result<File> {
    // SAFETY: the name is NUL-terminated. No MFD_NOEXEC_SEAL: the file is there to be executed.
    let fd = Errno::check(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) }.into())?;
    // SAFETY: a new descriptor that nobody else owns.
    let mut file = unsafe { File::from_raw_fd(fd as i32) };
    file.write_all(content)?;
    Ok(file)
}
