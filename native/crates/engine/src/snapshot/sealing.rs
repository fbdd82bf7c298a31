//! Making an image complete and durable.

use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::state::process::{BodyV1, ProcessV1};
use crate::state::volumes;
use crate::summary::SummaryV1;
use abi::{Code, Control, Fault, Phase, Unit};
use image::SnapshotWriter;
use serde_json::Value;

/// Completes what was captured of volumes.
pub fn finish_volumes(
    volumes: Option<&volumes::Collector>,
    chain: &mut Chain,
    control: &Control,
) -> Result<()> {
    volumes.map_or(Ok(()), |volumes| volumes.finish(&mut chain.volumes, control))
}

pub fn threads(chain: &Chain) -> usize {
    let of = |process: &ProcessV1| match &process.body {
        BodyV1::Live(live) => live.threads.len(),
        BodyV1::Zombie { .. } => 0,
    };
    chain.processes.iter().map(of).sum()
}

/// Writes the sections and makes the snapshot durable.
pub fn flush_and_seal(
    mut writer: SnapshotWriter,
    chain: &Chain,
    label: &Value,
    control: &Control,
) -> Result<u64> {
    writer.pack().flush().explain(|| "Could not write page data".to_owned())?;
    control.phase(Phase::Finishing, 0, Unit::None);
    if control.cancelled() {
        return Err(
            Fault::new(Code::Interrupted, "Could not finish the snapshot").because("it was interrupted")
        );
    }
    let what = || "Could not finish the snapshot".to_owned();
    let text =
        serde_json::to_vec(label).map_err(|error| Fault::new(Code::Internal, what()).because(error))?;
    writer.section("label", 1, &text).explain(what)?;
    let summary = SummaryV1 { processes: chain.processes.len() as u64, threads: threads(chain) as u64 };
    summary.write(&mut writer)?;
    chain.write(&mut writer)?;
    Ok(writer.commit().explain(what)?.bytes)
}
