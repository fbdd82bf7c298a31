//! POSIX message queues (mq_overview(7)): their messages cannot be read without taking them out, so an application that
//! has one is refused, whether or not a process has it open.

use crate::explain::{Explain, Result, refused};
use crate::freeze::FrozenTree;
use std::os::fd::{AsRawFd, OwnedFd};

/// `queues` is the root folder of the mqueue file system of the application's IPC namespace.
pub fn require_none(tree: &FrozenTree, queues: Option<&OwnedFd>) -> Result<()> {
    let Some(queues) = queues else { return Ok(()) };
    let what = || "Could not list the POSIX message queues of the application".to_owned();
    let mut listed =
        std::fs::read_dir(format!("/proc/thread-self/fd/{}", queues.as_raw_fd())).explain(what)?;
    let Some(first) = listed.next().transpose().explain(what)? else { return Ok(()) };
    let name = format!("the POSIX message queue /{}", first.file_name().to_string_lossy());
    Err(refused(tree.processes[0].pid, &name, "its messages cannot be read in place"))
}
