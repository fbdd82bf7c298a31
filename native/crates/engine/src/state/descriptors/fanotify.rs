//! Watches on files, mounts and file systems (fanotify(7)). Events that nobody has read are left out, with a note: they
//! hold descriptors of their own, and a watch on a mount sees what this command does there, too.

use super::{DescriptionV1, Found, anonymous, watched};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::procfs::{self, fields};
use crate::rebuild::Rebuild;
use crate::state::filesystem::FileRefV1;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::os::fd::AsFd;
use sys::fanotify::{MARK_FILESYSTEM, MARK_IGNORE, MARK_IGNORED_MASK, MARK_IGNORED_SURV_MODIFY, MARK_MOUNT};

/// FAN_CLASS_CONTENT and FAN_CLASS_PRE_CONTENT: others wait for what the application decides.
const DECIDES: u32 = 0x0c;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FanotifyV1 {
    /// FAN_CLASS_NOTIF and so on, as given to fanotify_init(2).
    pub flags: u32,
    /// Status flags of the descriptors that events bring.
    pub event_flags: u32,
    /// Oldest first.
    pub marks: Vec<MarkV1>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkV1 {
    /// The marked file, or a mount point of the marked mount or file system.
    pub file: FileRefV1,
    /// 0 for a file, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM.
    pub kind: u32,
    /// FAN_MARK_IGNORED_SURV_MODIFY, FAN_MARK_EVICTABLE, FAN_MARK_IGNORE.
    pub flags: u32,
    /// FAN_ACCESS and so on.
    pub mask: u64,
    pub ignored: u64,
}

pub fn collect(found: &Found, collection: &mut Collection) -> Result<FanotifyV1> {
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    let unknown = "the kernel lists what it watches in an unknown way";
    let (mut group, mut marks) = (None, Vec::new());
    for line in found.info.lines("fanotify ") {
        let fields = fields(line);
        let hex = |key: &str| u64::from_str_radix(fields.get(key)?, 16).ok();
        if let (Some(flags), Some(event_flags)) = (hex("flags"), hex("event-flags")) {
            group = Some((flags as u32, event_flags as u32));
            continue;
        }
        let (Some(flags), Some(mask), Some(ignored)) = (hex("mflags"), hex("mask"), hex("ignored_mask"))
        else {
            return found.refuse(unknown);
        };
        let (kind, file) = target(found, &fields, collection)?;
        marks.push(MarkV1 { file, kind, flags: flags as u32, mask, ignored });
    }
    let Some((flags, event_flags)) = group else { return found.refuse(unknown) };
    if flags & DECIDES != 0 {
        return found.refuse("others wait for the application to permit what they do (FAN_CLASS_CONTENT)");
    }
    if sys::files::readable_bytes(found.file.as_fd()).explain(what)? > 0 {
        collection.notes.push(format!(
            "Events that wait in descriptor {} (fanotify) of process {} are not in the snapshot",
            found.fd, found.pid
        ));
    }
    marks.reverse();
    Ok(FanotifyV1 { flags, event_flags, marks })
}

/// What a line of fdinfo marks: its kind, and a file by which it is found again.
fn target(
    found: &Found,
    fields: &HashMap<&str, &str>,
    collection: &mut Collection,
) -> Result<(u32, FileRefV1)> {
    if fields.contains_key("ino") {
        return Ok((0, watched::find(found, fields, collection)?));
    }
    let number = |key: &str| u32::from_str_radix(fields.get(key)?, 16).ok();
    let (kind, point) = match (number("mnt_id"), number("sdev")) {
        (Some(id), _) => (MARK_MOUNT, procfs::mount_point(found.pid, |mount| mount.id == id)),
        (None, Some(device)) => {
            let device = watched::split(device.into());
            (MARK_FILESYSTEM, procfs::mount_point(found.pid, |mount| mount.device == device))
        }
        _ => (0, None),
    };
    let Some(point) = point else { return found.refuse("it watches a mount that its process does not see") };
    let meta = std::fs::metadata(collection.view.path(&point))
        .explain(|| format!("Could not examine what process {} watches", found.pid))?;
    Ok((kind, FileRefV1::new(&point, &meta)))
}

/// Makes the groups, without marks, and opens what they mark while everything has a name.
pub fn apply(groups: Vec<(&DescriptionV1, &FanotifyV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, saved) in groups {
        let file = sys::fanotify::group(saved.flags, saved.event_flags)
            .explain(|| "Could not restore a fanotify group".to_owned())?;
        anonymous::enter(file, description, rebuild)?;
        let mut opened = Vec::with_capacity(saved.marks.len());
        for mark in &saved.marks {
            opened.push(rebuild.open(&mark.file, libc::O_PATH | libc::O_NOFOLLOW)?);
        }
        rebuild.watched.insert(description.id, opened);
    }
    Ok(())
}

/// Adds the marks, when the restore itself does nothing any more that they would report.
pub fn watch(groups: Vec<(&DescriptionV1, &FanotifyV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, saved) in groups {
        let opened = rebuild.watched.remove(&description.id).unwrap_or_default();
        let Some(file) = rebuild.descriptions.get(&description.id) else { continue };
        for (mark, target) in saved.marks.iter().zip(opened) {
            for (flags, mask) in additions(mark) {
                sys::fanotify::mark(file.as_fd(), flags, mask, target.as_fd())
                    .explain(|| format!("Could not watch {} again", mark.file.path().display()))?;
            }
        }
    }
    Ok(())
}

/// A mark reports some events and ignores others; each part is added by a call of its own.
fn additions(mark: &MarkV1) -> Vec<(u32, u64)> {
    let ignoring = MARK_IGNORE | MARK_IGNORED_SURV_MODIFY;
    let manner = if mark.flags & MARK_IGNORE != 0 { 0 } else { MARK_IGNORED_MASK };
    let parts =
        [(mark.kind | (mark.flags & !ignoring), mark.mask), (mark.kind | mark.flags | manner, mark.ignored)];
    parts.into_iter().filter(|(_, mask)| *mask != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_added_in_its_parts() {
        let file = FileRefV1::default();
        let mark = MarkV1 { file, kind: MARK_MOUNT, flags: MARK_IGNORED_SURV_MODIFY, mask: 0x20, ignored: 2 };
        let ignored = MARK_MOUNT | MARK_IGNORED_SURV_MODIFY | MARK_IGNORED_MASK;
        assert_eq!(additions(&mark), [(MARK_MOUNT, 0x20), (ignored, 2)]);
        let ignore = MARK_IGNORE | MARK_IGNORED_SURV_MODIFY;
        let mark = MarkV1 { kind: 0, flags: ignore, mask: 0, ignored: 0x100, ..mark };
        assert_eq!(additions(&mark), [(ignore, 0x100)]);
    }
}
