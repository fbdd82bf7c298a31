//! What trees of files are copied with: extended attributes, extents that two files share, names that change places.

use crate::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `FICLONE` (ioctl_ficlonerange(2)).
const FICLONE: libc::c_ulong = 0x4004_9409;
/// Bytes of the longest list of names and of the longest value (XATTR_LIST_MAX, XATTR_SIZE_MAX).
const LONGEST: usize = 64 << 10;

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

/// Names of the extended attributes of a file; a symbolic link is not followed (llistxattr(2)). Empty where the file
/// system has none.
pub fn attribute_names(path: &Path) -> Result<Vec<CString>> {
    let path = c_path(path)?;
    let mut names = vec![0u8; LONGEST];
    // SAFETY: `path` is NUL-terminated, and the length of the buffer is passed.
    let got = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    match Errno::check(got as i64) {
        Err(Errno(libc::EOPNOTSUPP)) => Ok(Vec::new()),
        Err(errno) => Err(errno),
        Ok(length) => {
            names.truncate(length as usize);
            let words = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
            Ok(words.filter_map(|name| CString::new(name).ok()).collect())
        }
    }
}

/// The value of an extended attribute (lgetxattr(2)); none where there is no such.
pub fn attribute(path: &Path, name: &CStr) -> Result<Option<Vec<u8>>> {
    let path = c_path(path)?;
    let mut value = vec![0u8; LONGEST];
    // SAFETY: both strings are NUL-terminated, and the length of the buffer is passed.
    let got =
        unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    match Errno::check(got as i64) {
        Err(Errno(libc::ENODATA | libc::EOPNOTSUPP)) => Ok(None),
        Err(errno) => Err(errno),
        Ok(length) => {
            value.truncate(length as usize);
            Ok(Some(value))
        }
    }
}

/// Sets an extended attribute (lsetxattr(2)).
pub fn set_attribute(path: &Path, name: &CStr, value: &[u8]) -> Result<()> {
    let path = c_path(path)?;
    // SAFETY: both strings are NUL-terminated, and pointer and length describe `value`.
    let done =
        unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::check(done.into()).map(drop)
}

/// Gives an empty file the contents of another by sharing its extents (`FICLONE`). `EOPNOTSUPP` or `EXDEV` where the file
/// systems cannot.
pub fn share_extents(from: BorrowedFd, to: BorrowedFd) -> Result<()> {
    // SAFETY: the argument is a descriptor, a plain number.
    Errno::check(unsafe { libc::ioctl(to.as_raw_fd(), FICLONE, from.as_raw_fd()).into() }).map(drop)
}

/// Copies bytes from one file to the same place in another within the kernel (copy_file_range(2)). Returns how many;
/// 0 at the end of `from`.
pub fn copy_range(from: BorrowedFd, to: BorrowedFd, at: u64, length: u64) -> Result<u64> {
    let mut source = i64::try_from(at).map_err(|_| Errno::EINVAL)?;
    let mut target = source;
    let length = usize::try_from(length).map_err(|_| Errno::EINVAL)?;
    // SAFETY: both offsets are live for the length of the call.
    let got = unsafe {
        libc::copy_file_range(from.as_raw_fd(), &raw mut source, to.as_raw_fd(), &raw mut target, length, 0)
    };
    Errno::check(got as i64)
}

/// Lets two names of one file system change places at once (renameat2(2), `RENAME_EXCHANGE`).
pub fn exchange(one: &Path, other: &Path) -> Result<()> {
    let (one, other) = (c_path(one)?, c_path(other)?);
    // SAFETY: both paths are NUL-terminated.
    let done = unsafe {
        libc::renameat2(libc::AT_FDCWD, one.as_ptr(), libc::AT_FDCWD, other.as_ptr(), libc::RENAME_EXCHANGE)
    };
    Errno::check(done.into()).map(drop)
}

/// Writes everything of a file system through to its disk (syncfs(2)).
pub fn sync_file_system(of: BorrowedFd) -> Result<()> {
    // SAFETY: a plain number.
    Errno::check(unsafe { libc::syncfs(of.as_raw_fd()).into() }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    #[test]
    fn attributes_ranges_and_names_come_through() {
        let folder = std::env::temp_dir().join(format!("stasis-trees-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let (one, other) = (folder.join("one"), folder.join("other"));
        fs::write(&one, "one").unwrap();
        fs::write(&other, "").unwrap();
        set_attribute(&one, c"user.colour", b"blue").unwrap();
        assert_eq!(attribute_names(&one).unwrap(), [c"user.colour".to_owned()]);
        assert_eq!(attribute(&one, c"user.colour"), Ok(Some(b"blue".to_vec())));
        assert_eq!(attribute(&one, c"user.none"), Ok(None));
        let (from, to) = (File::open(&one).unwrap(), File::options().write(true).open(&other).unwrap());
        assert_eq!(copy_range(from.as_fd(), to.as_fd(), 1, 9), Ok(2));
        exchange(&one, &other).unwrap();
        assert_eq!((fs::read(&one).unwrap(), fs::read(&other).unwrap()), (b"\0ne".to_vec(), b"one".to_vec()));
        fs::remove_dir_all(&folder).unwrap();
    }
}
