//! Watches on files and folders (inotify(7)). Events that nobody has read cannot be put back, so a queue that is not
//! empty is refused.

use super::{DescriptionV1, Found, anonymous, watched};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::procfs::fields;
use crate::rebuild::Rebuild;
use crate::state::filesystem::FileRefV1;
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InotifyV1 {
    pub watches: Vec<WatchV1>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WatchV1 {
    /// Watch descriptor.
    pub wd: i32,
    pub file: FileRefV1,
    /// IN_ACCESS and so on, IN_ONESHOT, IN_EXCL_UNLINK.
    pub mask: u32,
}

pub fn collect(found: &Found, collection: &mut Collection) -> Result<InotifyV1> {
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    if sys::files::readable_bytes(found.file.as_fd()).explain(what)? > 0 {
        return found.refuse(
            "it has events that the application has not read yet, and which cannot be put back; try again when it has",
        );
    }
    let mut watches = Vec::new();
    for line in found.info.lines("inotify ") {
        let fields = fields(line);
        let hex = |key: &str| u64::from_str_radix(fields.get(key)?, 16).ok();
        let (Some(wd), Some(mask)) = (hex("wd"), hex("mask")) else {
            return found.refuse("the kernel lists its watches in an unknown way");
        };
        let file = watched::find(found, &fields, collection)?;
        watches.push(WatchV1 { wd: wd as i32, file, mask: mask as u32 });
    }
    // In this order the numbers that the kernel gives out next are those after the last one.
    watches.sort_by_key(|watch| watch.wd);
    Ok(InotifyV1 { watches })
}

/// Makes the queues, without watches, and opens what they watch while everything has a name.
pub fn apply(inotifies: Vec<(&DescriptionV1, &InotifyV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, saved) in inotifies {
        let file = sys::events::inotify().explain(|| "Could not restore an inotify".to_owned())?;
        anonymous::enter(file, description, rebuild)?;
        let mut opened = Vec::with_capacity(saved.watches.len());
        for watch in &saved.watches {
            opened.push(rebuild.open(&watch.file, libc::O_PATH | libc::O_NOFOLLOW)?);
        }
        rebuild.watched.insert(description.id, opened);
    }
    Ok(())
}

/// Adds the watches, when the restore itself opens, reads and deletes nothing any more that they would report.
pub fn watch(inotifies: Vec<(&DescriptionV1, &InotifyV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, saved) in inotifies {
        let what = || "Could not restore what an inotify watches".to_owned();
        let opened = rebuild.watched.remove(&description.id).unwrap_or_default();
        let Some(file) = rebuild.descriptions.get(&description.id) else { continue };
        for (watch, target) in saved.watches.iter().zip(opened) {
            sys::events::inotify_add(file.as_fd(), target.as_fd(), watch.mask, watch.wd)
                .explain(|| format!("Could not watch {} again", watch.file.path().display()))?;
        }
        if let Some(last) = saved.watches.last() {
            sys::events::inotify_next(file.as_fd(), last.wd.saturating_add(1)).explain(what)?;
        }
    }
    Ok(())
}
