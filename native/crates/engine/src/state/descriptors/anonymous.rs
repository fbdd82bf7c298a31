//! Descriptors without a file system behind them (`anon_inode:` in /proc): told apart here by the kernel's own names.

use super::{
    DescriptionV1, Found, KindV1, bpf_map, epoll, eventfd, fanotify, inotify, pidfd, signalfd, timerfd,
};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::ids::DescriptionId;
use crate::rebuild::Rebuild;
use std::os::fd::{AsFd, OwnedFd};

/// What stasis refuses, and why. Everything else that has no name here is refused as unknown.
const REFUSED: [(&str, &str); 6] = [
    (
        "[io_uring]",
        "stasis cannot capture the requests of an io_uring; run the application with io_uring switched off",
    ),
    ("[userfaultfd]", "the page faults that it handles belong to a live monitor (userfaultfd)"),
    ("[perf_event]", "performance counters cannot be put back"),
    ("bpf-prog", "BPF programs live in the kernel, outside the application"),
    ("bpf_link", "BPF links live in the kernel, outside the application"),
    ("seccomp notify", "it supervises the system calls of another process (seccomp_unotify)"),
];

/// The kernel's name for a descriptor of this sort.
pub fn name(found: &Found) -> Option<&str> {
    std::str::from_utf8(found.link.strip_prefix(b"anon_inode:")?).ok()
}

pub fn collect(name: &str, found: &Found, id: DescriptionId, collection: &mut Collection) -> Result<KindV1> {
    match name {
        "[eventfd]" => eventfd::collect(found).map(KindV1::Eventfd),
        "[eventpoll]" => epoll::collect(found, id, collection).map(KindV1::Epoll),
        "[timerfd]" => timerfd::collect(found).map(KindV1::Timerfd),
        "inotify" => inotify::collect(found, collection).map(KindV1::Inotify),
        "[fanotify]" => fanotify::collect(found, collection).map(KindV1::Fanotify),
        "bpf-map" => bpf_map::collect(found, collection).map(KindV1::BpfMap),
        "[pidfd]" => pidfd::collect(found, id, collection).map(KindV1::Pidfd),
        "[signalfd]" => signalfd::collect(found).map(KindV1::Signalfd),
        other => match REFUSED.iter().find(|(refused, _)| other == *refused) {
            Some((_, why)) => found.refuse(why),
            None => found.refuse("stasis does not capture this kind of descriptor"),
        },
    }
}

/// Enters a new description, after giving it the status flags that fcntl(2) sets.
pub fn enter(file: OwnedFd, description: &DescriptionV1, rebuild: &mut Rebuild) -> Result<()> {
    let what = || format!("Could not restore the flags of description {}", description.id.0);
    sys::files::set_status_flags(file.as_fd(), description.flags & !libc::O_ACCMODE).explain(what)?;
    rebuild.descriptions.insert(description.id, file);
    Ok(())
}
