//! What an application has for itself in `/dev`: its terminals' numbers, its shared memory, its message queues. Each is
//! a file system of its own over the host's, in the capsule's mount namespace.

use crate::link::at;
use abi::wire::{Failure, IpcList, Own, Step};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use sys::mounts;

/// The group of terminals (`tty`) on every distribution, which grantpt(3) expects.
const TERMINALS: [&std::ffi::CStr; 2] =
    [c"newinstance,ptmxmode=0666,mode=0620,gid=5", c"newinstance,ptmxmode=0666,mode=0620"];

/// Mounts what there is a place for. A host that allows no instance of devpts has its own numbers for terminals.
pub fn furnish(own_shared_memory: bool) -> Result<Own, Failure> {
    let shared_memory = own_shared_memory && Path::new("/dev/shm").is_dir();
    if shared_memory {
        mount_shared_memory().map_err(at(Step::SharedMemory))?;
    }
    if Path::new("/dev/mqueue").is_dir() {
        // Only for people who look: mq_open(3) needs no mount.
        let _ =
            mounts::open_detached(c"mqueue").and_then(|mount| mounts::attach(mount.as_fd(), c"/dev/mqueue"));
    }
    Ok(Own { terminals: mount_terminals().is_ok(), shared_memory })
}

fn mount_terminals() -> sys::Result<()> {
    // In a user namespace there may be no group 5.
    let mount = |options| mounts::mount_new(c"devpts", c"/dev/pts", false, options);
    mount(TERMINALS[0]).or_else(|_| mount(TERMINALS[1]))?;
    mounts::bind(c"/dev/pts/ptmx", c"/dev/ptmx").inspect_err(|_| {
        let _ = mounts::unmount(c"/dev/pts");
    })
}

/// As large as the host's.
fn mount_shared_memory() -> sys::Result<()> {
    let host = mounts::capacity(c"/dev/shm")?;
    let options = format!("mode=1777,size={},nr_inodes={}", host.bytes, host.inodes);
    let options = CString::new(options).map_err(|_| sys::Errno::EINVAL)?;
    mounts::mount_new(c"tmpfs", c"/dev/shm", host.executable, &options)
}

/// Opens a list of the IPC namespace that this process is in.
pub fn open(list: IpcList) -> sys::Result<OwnedFd> {
    let path = match list {
        IpcList::Segments => "/proc/sysvipc/shm",
        IpcList::Semaphores => "/proc/sysvipc/sem",
        IpcList::Queues => "/proc/sysvipc/msg",
        IpcList::PosixQueues => return mounts::open_detached(c"mqueue"),
    };
    Ok(File::open(path).map_err(|error| sys::Errno::from_io(&error))?.into())
}
