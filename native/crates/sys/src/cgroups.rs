//! Reaching a hierarchy of control groups without a mount point (cgroups(7), fsopen(2)).

use crate::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_CMD_CREATE: u32 = 6;
const CLOSE_ON_EXEC: u32 = 1;

/// The root folder of a hierarchy as the caller's cgroup namespace has it, mounted nowhere. `spec` is the middle field of
/// a line of /proc/PID/cgroup: empty for version 2, `name=...`, or controllers of version 1. Needs CAP_SYS_ADMIN.
pub fn open_hierarchy(spec: &str) -> Result<OwnedFd> {
    let context = open_context(if spec.is_empty() { c"cgroup2" } else { c"cgroup" })?;
    for option in spec.split(',').filter(|option| !option.is_empty()) {
        match option.strip_prefix("name=") {
            Some(name) => {
                configure(&context, FSCONFIG_SET_STRING, Some("name"), Some(name))?;
                if !spec.contains(',') {
                    configure(&context, FSCONFIG_SET_FLAG, Some("none"), None)?;
                }
            }
            None => configure(&context, FSCONFIG_SET_FLAG, Some(option), None)?,
        }
    }
    configure(&context, FSCONFIG_CMD_CREATE, None, None)?;
    // SAFETY: plain numbers; the new descriptor belongs to nobody else.
    unsafe {
        let fd = libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOSE_ON_EXEC, 0);
        Errno::check(fd)?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

fn open_context(kind: &CStr) -> Result<OwnedFd> {
    // SAFETY: `kind` is NUL-terminated; the new descriptor belongs to nobody else.
    unsafe {
        let fd = libc::syscall(libc::SYS_fsopen, kind.as_ptr(), CLOSE_ON_EXEC);
        Errno::check(fd)?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

fn configure(context: &OwnedFd, command: u32, key: Option<&str>, value: Option<&str>) -> Result<()> {
    let text = |text: Option<&str>| text.map(CString::new).transpose().map_err(|_| Errno::EINVAL);
    let (key, value) = (text(key)?, text(value)?);
    let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: both strings are NUL-terminated or null, as the command wants them, and live across the call.
    let done = unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, pointer(&key), pointer(&value), 0)
    };
    Errno::check(done).map(drop)
}
