//! The room that a file has on its disk.

use crate::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Gives a file room for `length` bytes from `offset` on without changing its size or contents, fallocate(2)
/// with FALLOC_FL_KEEP_SIZE. Fails with EOPNOTSUPP where the file system cannot, with ENOSPC without room.
pub fn fallocate_keep_size(file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<()> {
    let offset = libc::off_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let length = libc::off_t::try_from(length).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the call takes plain numbers and touches no memory of this process; the borrow keeps the
    // descriptor open for its length.
    let done = unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, offset, length) };
    Errno::check(done.into()).map(|_| ())
}
