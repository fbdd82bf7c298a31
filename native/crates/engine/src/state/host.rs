//! The host that a snapshot was taken on: what a restore must compare itself with.

use super::processor::{self, ProcessorV1};
use crate::explain::{Explain, Result};
use crate::procfs;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostV1 {
    pub release: String,
    pub machine: String,
    pub boot_id: String,
    /// Clocks as the application saw them at the stop, nanoseconds.
    pub monotonic_ns: i64,
    pub boottime_ns: i64,
    pub realtime_ns: i64,
    /// Sizes in bytes of `[vvar]`, `[vvar_vclock]`, `[vdso]`, 0 where absent, and a hash of the last one's code.
    pub vdso: VdsoV1,
    #[serde(default)]
    pub processor: ProcessorV1,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VdsoV1 {
    pub sizes: Vec<(String, u64)>,
    pub hash: u64,
}

/// `pid` is a process of the application: its time namespace decides what its clocks show.
pub fn collect(pid: i32) -> Result<HostV1> {
    let what = || "Could not read the host's clocks".to_owned();
    let (monotonic, boottime) = clock_offsets(&pid.to_string());
    let (own_monotonic, own_boottime) = clock_offsets("self");
    let kernel = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    Ok(HostV1 {
        release: kernel("osrelease").trim().to_owned(),
        machine: std::env::consts::ARCH.to_owned(),
        boot_id: boot_id(),
        monotonic_ns: sys::process::clock(libc::CLOCK_MONOTONIC).explain(what)? - own_monotonic + monotonic,
        boottime_ns: sys::process::clock(libc::CLOCK_BOOTTIME).explain(what)? - own_boottime + boottime,
        realtime_ns: sys::process::clock(libc::CLOCK_REALTIME).explain(what)?,
        vdso: own_vdso()?,
        processor: processor::collect(),
    })
}

/// Changes with every boot of the host.
pub fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// Offsets of CLOCK_MONOTONIC and CLOCK_BOOTTIME in nanoseconds (time_namespaces(7)); zero without time namespaces.
pub fn clock_offsets(pid: &str) -> (i64, i64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/timens_offsets")).unwrap_or_default();
    let offset = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        let mut numbers = line.split_ascii_whitespace().skip(1).map(str::parse::<i64>);
        Some(numbers.next()?.ok()? * 1_000_000_000 + numbers.next()?.ok()?)
    };
    (offset("monotonic").unwrap_or(0), offset("boottime").unwrap_or(0))
}

/// The vDSO that this kernel gives to every 64-bit process, read from our own.
pub fn own_vdso() -> Result<VdsoV1> {
    use std::os::unix::fs::FileExt;
    let what = || "Could not read the vDSO".to_owned();
    let pid = std::process::id() as i32;
    let maps = procfs::places(pid).explain(what)?;
    let named = |name: &[u8]| maps.iter().find(|map| map.name == name);
    let names = ["[vvar]", "[vvar_vclock]", "[vdso]"];
    let sizes = names
        .iter()
        .filter_map(|name| named(name.as_bytes()).map(|map| ((*name).to_owned(), map.end - map.start)))
        .collect();
    let Some(code) = named(b"[vdso]") else { return Ok(VdsoV1::default()) };
    let mut bytes = vec![0u8; (code.end - code.start) as usize];
    let memory = std::fs::File::open("/proc/self/mem").explain(what)?;
    memory.read_exact_at(&mut bytes, code.start).explain(what)?;
    Ok(VdsoV1 { sizes, hash: xxhash_rust::xxh3::xxh3_64(&bytes) })
}
