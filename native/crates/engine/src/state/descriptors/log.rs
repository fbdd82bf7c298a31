//! The log of a capsule: what a detached application has as its output. It belongs to the capsule, not to the
//! application's files, so a restore connects the new capsule's.

use super::{DescriptionV1, Found};
use crate::collection::Collection;
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogV1 {}

/// Is the description the log of the capsule that is being captured?
pub fn is_log(found: &Found, collection: &Collection) -> bool {
    collection.log == Some((found.meta.dev(), found.meta.ino()))
}

/// Every log becomes the output that the restore chose: the new capsule's log, or the caller's own.
pub fn apply(logs: Vec<(&DescriptionV1, &LogV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, _) in logs {
        let what = || "Could not connect the output of the application".to_owned();
        let output = rebuild.output.as_ref().ok_or(sys::Errno::ENOENT).explain(what)?;
        let file = output.try_clone().explain(what)?;
        rebuild.descriptions.insert(description.id, file);
    }
    Ok(())
}
