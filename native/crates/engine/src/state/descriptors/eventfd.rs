//! Counters that wake their readers (eventfd(2)).

use super::{DescriptionV1, Found, anonymous};
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventfdV1 {
    pub count: u64,
    /// Made with `EFD_SEMAPHORE`.
    pub semaphore: bool,
}

pub fn collect(found: &Found) -> Result<EventfdV1> {
    let Some(count) = found.info.hex("eventfd-count") else {
        return found.refuse("the kernel does not tell its count");
    };
    // Kernels before 6.5 do not say which of the two it is.
    let Some(semaphore) = found.info.number("eventfd-semaphore") else {
        return found.refuse("the kernel does not tell whether it is a semaphore (Linux 6.5 does)");
    };
    Ok(EventfdV1 { count, semaphore: semaphore != 0 })
}

pub fn apply(eventfds: Vec<(&DescriptionV1, &EventfdV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, saved) in eventfds {
        let what = || "Could not restore an eventfd".to_owned();
        let file = sys::events::eventfd(saved.semaphore).explain(what)?;
        if saved.count > 0 {
            // The largest count that a write can reach; the kernel's own overflow value shows as an error there.
            let count = saved.count.min(u64::MAX - 1);
            sys::files::write_all(file.as_fd(), &count.to_le_bytes()).explain(what)?;
        }
        anonymous::enter(file, description, rebuild)?;
    }
    Ok(())
}
