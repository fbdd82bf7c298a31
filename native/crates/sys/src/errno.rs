//! The kernel's error numbers as a type.

use std::ffi::CStr;
use std::fmt;

/// An error number as the kernel reports it (`errno(3)`), always positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

/// Result of a system call.
pub type Result<T> = std::result::Result<T, Errno>;

impl Errno {
    pub const EPERM: Errno = Errno(libc::EPERM);
    pub const ENOENT: Errno = Errno(libc::ENOENT);
    pub const ENOTDIR: Errno = Errno(libc::ENOTDIR);
    pub const ESRCH: Errno = Errno(libc::ESRCH);
    pub const EINTR: Errno = Errno(libc::EINTR);
    pub const EIO: Errno = Errno(libc::EIO);
    pub const EBUSY: Errno = Errno(libc::EBUSY);
    pub const ENOSYS: Errno = Errno(libc::ENOSYS);
    pub const EAGAIN: Errno = Errno(libc::EAGAIN);
    pub const EACCES: Errno = Errno(libc::EACCES);
    pub const EEXIST: Errno = Errno(libc::EEXIST);
    pub const EFAULT: Errno = Errno(libc::EFAULT);
    pub const EINVAL: Errno = Errno(libc::EINVAL);
    pub const ENOMEM: Errno = Errno(libc::ENOMEM);
    pub const ENOSPC: Errno = Errno(libc::ENOSPC);
    pub const ECHILD: Errno = Errno(libc::ECHILD);
    pub const EPIPE: Errno = Errno(libc::EPIPE);
    pub const ECONNRESET: Errno = Errno(libc::ECONNRESET);

    /// The calling thread's `errno`, set by the libc call that just failed.
    #[must_use]
    pub fn last() -> Self {
        Self::from_io(&std::io::Error::last_os_error())
    }

    /// The number inside a `std::io::Error`; `EIO` when it did not come from the kernel.
    #[must_use]
    pub fn from_io(error: &std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }

    /// Turns the return value of a libc call (-1 and `errno`) into a result.
    pub fn check(value: libc::c_long) -> Result<u64> {
        if value == -1 { Err(Self::last()) } else { Ok(value as u64) }
    }

    /// Turns a raw kernel return value (`-4095..=-1` are errors, syscall(2)) into a result.
    pub fn from_raw(value: i64) -> Result<u64> {
        if (-4095..0).contains(&value) { Err(Self(-value as i32)) } else { Ok(value as u64) }
    }
}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        Self::from_io(&error)
    }
}

impl From<Errno> for std::io::Error {
    fn from(error: Errno) -> Self {
        std::io::Error::from_raw_os_error(error.0)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: strerror returns a NUL-terminated string that stays valid until this thread's next call
        // (glibc keeps the buffer per thread), and it is copied before that.
        let text = unsafe { CStr::from_ptr(libc::strerror(self.0)) };
        write!(f, "{} (errno {})", text.to_string_lossy(), self.0)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Errno {}
