//! Files and folders that stand at other paths, for the application alone: bind mounts in the capsule's mount namespace.

use abi::wire::{Binding, Unbound};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use sys::mounts::Restrictions;
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
        bind(source, binding).err().map(|errno| Unbound { index, errno: errno.0 })
    })
}

/// Mounts the names of an environment. A host without such a file has no place for them.
pub fn bind_names(binding: &Binding) -> sys::Result<()> {
    match mounts::place(binding.source.as_ref()).and_then(|source| bind(&source, binding)) {
        Err(Errno::ENOENT) => Ok(()),
        bound => bound,
    }
}

fn bind(source: &OwnedFd, Binding { target, read_only, .. }: &Binding) -> sys::Result<()> {
    let source = CString::new(format!("/proc/self/fd/{}", source.as_raw_fd())).map_err(|_| Errno::EINVAL)?;
    let target = CString::new(target.as_str()).map_err(|_| Errno::EINVAL)?;
    mounts::bind_tree(&source, &target)?;
    if *read_only { mounts::restrict(&target, Restrictions::READ_ONLY) } else { Ok(()) }
}
