//! Descriptors from which a process reads its signals (signalfd(2)). They have no state but their mask: what is pending
//! belongs to the process that reads.

use super::{DescriptionV1, Found, anonymous};
use crate::explain::{Explain, Result};
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignalfdV1 {
    /// Bit 0 is signal 1.
    pub mask: u64,
}

pub fn collect(found: &Found) -> Result<SignalfdV1> {
    match found.info.hex("sigmask") {
        Some(mask) => Ok(SignalfdV1 { mask }),
        None => found.refuse("the kernel does not tell its signals"),
    }
}

pub fn apply(signalfds: Vec<(&DescriptionV1, &SignalfdV1)>, rebuild: &mut Rebuild) -> Result<()> {
    for (description, saved) in signalfds {
        let file = sys::events::signalfd(saved.mask).explain(|| "Could not restore a signalfd".to_owned())?;
        anonymous::enter(file, description, rebuild)?;
    }
    Ok(())
}
