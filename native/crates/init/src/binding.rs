//! Files and folders that stand at other paths, for the application alone: bind mounts in the capsule's mount namespace.

use abi::wire::{Binding, Unbound};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use sys::{Errno, mounts};

/// Opens every source before the first mount may hide it, then mounts in the order given. Returns what failed first.
pub fn bind_all(bindings: &[Binding]) -> Option<Unbound> {
    let mut sources = Vec::with_capacity(bindings.len());
    for (index, binding) in bindings.iter().enumerate() {
        match mounts::place(binding.source.as_ref()) {
            Ok(source) => sources.push(source),
            Err(errno) => return Some(Unbound { index, errno: errno.0 }),
        }
    }
    let mut pairs = sources.iter().zip(bindings).enumerate();
    pairs.find_map(|(index, (source, binding))| {
        bind(source, &binding.target).err().map(|errno| Unbound { index, errno: errno.0 })
    })
}

fn bind(source: &OwnedFd, target: &str) -> sys::Result<()> {
    let source = CString::new(format!("/proc/self/fd/{}", source.as_raw_fd())).map_err(|_| Errno::EINVAL)?;
    let target = CString::new(target).map_err(|_| Errno::EINVAL)?;
    mounts::bind_tree(&source, &target)
}
