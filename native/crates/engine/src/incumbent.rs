//! The running application whose place a restore takes (`stasis rollback`), held still until the restore has succeeded.
//!
//! 1. **Hold.** Every process is stopped, so that it does nothing meanwhile that the restored state knows nothing of.
//! 2. **Build.** The old state comes back in a capsule of its own, whose PID namespace has its pids free. What only one
//!    application on the host can have, a port or the path of a socket, it inherits: the very sockets that the stopped
//!    processes have, by duplicates, untouched until step 4 (`state/descriptors/inherited.rs`). File locks that they
//!    hold are taken in step 4 (`state/locks.rs`).
//! 3. **Point of no return.** Until here the new processes die with this command, and the old ones go on when it
//!    ends or gives up. Now the new ones are let live without it, and one message to the new helper decides: it moves to
//!    the application's socket and folder, and tells the old helper to go, whatever becomes of this command. Should this
//!    command be killed between the two, the new helper ends and the old application goes on.
//! 4. **Settle.** The old processes end; what was inherited gets the options that it had; locks are taken.
//! 5. The new processes run.

use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::freeze::{self, FrozenProcess, FrozenTree};
use crate::procfs::{self, FdInfo};
use crate::state::descriptors::external::Streams;
use crate::state::descriptors::inherited::Estate;
use ::capsule::{Aid, Capsule, Home};
use abi::request::Replace;
use abi::{Code, Fault};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

/// What became of the application when a rollback fails before the point of no return.
pub const UNHARMED: &str = "The application runs on as it was, unharmed";

/// An application that stands still. Dropping this lets it go on.
pub struct Incumbent {
    /// Until a new capsule has it.
    capsule: Option<Capsule>,
    pub tree: FrozenTree,
    /// Sockets that only one can have.
    pub estate: Estate,
    /// Standard input, output and error of its root process.
    streams: Option<[OwnedFd; 3]>,
}

/// Refuses a snapshot of something else.
pub fn require_same(replace: &Replace, chain: &Chain) -> Result<()> {
    let what = || format!("Could not roll the application {} back", replace.aid);
    match &chain.capsule {
        None => Err(Fault::new(Code::Usage, what())
            .because("the snapshot is of a process tree that stasis did not start")
            .hint("Restore it beside the application: stasis restore")),
        Some(saved) if saved.aid != replace.aid && !replace.foreign => Err(Fault::new(Code::Usage, what())
            .because(format!("the snapshot is of another application, \"{}\" ({})", saved.name, saved.aid))
            .hint("--force takes it all the same, as when this application was restored from it")),
        Some(_) => Ok(()),
    }
}

impl Incumbent {
    /// Stops the application.
    ///
    /// # Errors
    /// It runs on then.
    pub fn hold(replace: &Replace, home: &Home) -> Result<Self> {
        let aid: Aid = replace.aid.parse()?;
        let mut capsule = ::capsule::find(home, &aid)?;
        let hosted = capsule.hosted()?;
        let what = || format!("Could not roll \"{}\" back", capsule.name());
        if !hosted.yields {
            return Err(Fault::new(Code::Refused, what())
                .because("an older stasis started it, whose helper cannot be replaced")
                .hint("Stop it, and restore the snapshot: stasis stop, stasis restore"));
        }
        let filtered = capsule.interposition().is_some_and(|interposition| interposition.kernel);
        let tree = FrozenTree::freeze_below(hosted.init, filtered, freeze::PATIENCE, &[])?;
        let estate = Estate::of(&tree)?;
        let streams = hosted.root.and_then(|root| streams(root, &tree));
        Ok(Self { capsule: Some(capsule), tree, estate, streams })
    }

    /// Its capsule, once, for the one that takes its place.
    pub fn capsule(&mut self) -> Option<Capsule> {
        self.capsule.take()
    }

    /// Where the application's standard streams lead now; to the log, where it has none any more.
    pub fn streams(&self, log: Option<File>) -> Result<Streams> {
        let what = || "Could not keep the application's standard streams".to_owned();
        match &self.streams {
            Some(streams) => Streams::copies(streams).explain(what),
            None => Streams::detached(log),
        }
    }

    /// Does one of its processes hold a lock on the file of this device and inode?
    pub fn locks(&self, file: (u64, u64)) -> bool {
        let live = self.tree.processes.iter().filter(|process| !process.is_zombie());
        live.map(|process| process.pid).any(|pid| {
            procfs::descriptors(pid).unwrap_or_default().into_iter().any(|fd| {
                let meta = std::fs::metadata(format!("/proc/{pid}/fd/{fd}"));
                meta.is_ok_and(|meta| (meta.dev(), meta.ino()) == file)
                    && FdInfo::read(pid, fd).is_ok_and(|info| info.lines("lock:").next().is_some())
            })
        })
    }

    /// Ends it. Its helper has been told to go: this waits until the kernel has let go of every process.
    pub fn end(self) {
        // Whoever is left in the namespace gets SIGKILL with the helper; being told once more does no harm.
        let _ = self.tree.kill();
    }
}

/// The standard streams of the root process, if it has all three.
fn streams(root: i32, tree: &FrozenTree) -> Option<[OwnedFd; 3]> {
    let lives = |process: &FrozenProcess| process.pid == root && !process.is_zombie();
    tree.processes.iter().find(|process| lives(process))?;
    let handle = sys::process::pidfd_open(root).ok()?;
    let copy = |fd| sys::process::pidfd_getfd(&handle, fd).ok();
    Some([copy(0)?, copy(1)?, copy(2)?])
}
