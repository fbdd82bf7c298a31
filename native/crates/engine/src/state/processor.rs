//! The processor: which of its features the application may have found, and the extended state of its threads.

use crate::explain::Result;
use abi::{Code, Fault};
use serde::{Deserialize, Serialize};

/// What a program finds with CPUID and then relies on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessorV1 {
    pub vendor: String,
    /// The kernel's names for the instruction set extensions (/proc/cpuinfo).
    pub features: Vec<String>,
}

/// The legacy area and the header of the XSAVE format.
const LEAST: usize = 576;
const MOST: usize = 16384;
/// Where PTRACE_GETREGSET leaves the mask of enabled components (`sw_reserved.xfeatures`).
const ENABLED: usize = 464;
/// XSTATE_BV of the header: the components that are not in their initial state.
const IN_USE: usize = 512;

/// Extensions that code in user mode can use or notice; the others of /proc/cpuinfo are the kernel's business.
const NOTICED: &[&str] = &[
    "cx16",
    "sse3",
    "pni",
    "ssse3",
    "sse4_1",
    "sse4_2",
    "sse4a",
    "popcnt",
    "abm",
    "movbe",
    "aes",
    "pclmulqdq",
    "sha_ni",
    "xsave",
    "xsavec",
    "avx",
    "f16c",
    "fma",
    "fma4",
    "xop",
    "avx2",
    "bmi1",
    "bmi2",
    "adx",
    "rtm",
    "hle",
    "erms",
    "fsrm",
    "fsgsbase",
    "rdrand",
    "rdseed",
    "rdtscp",
    "rdpid",
    "clflushopt",
    "clwb",
    "ospke",
    "gfni",
    "vaes",
    "vpclmulqdq",
    "avx_vnni",
    "avx_ifma",
    "movdiri",
    "movdir64b",
    "serialize",
    "waitpkg",
    "cldemote",
    "tsxldtrk",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "amx_fp16",
    "user_shstk",
];

/// The processor of this host.
pub fn collect() -> ProcessorV1 {
    parse(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
}

fn parse(text: &str) -> ProcessorV1 {
    let value = |key: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key))?;
        Some(line.split_once(':')?.1.trim())
    };
    let noticed = |name: &&str| NOTICED.contains(name) || name.starts_with("avx512");
    let mut features: Vec<String> = value("flags")
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter(noticed)
        .map(str::to_owned)
        .collect();
    features.sort();
    ProcessorV1 { vendor: value("vendor_id").unwrap_or_default().to_owned(), features }
}

/// Refuses a host on which the application would meet an instruction that it found but that is not there.
pub fn require(saved: &ProcessorV1, states: &mut dyn Iterator<Item = &[u8]>) -> Result<()> {
    let lacking = |what: String| {
        Fault::new(Code::HostLacks, "Could not use the snapshot on this host")
            .because(what)
            .hint("Restore it on a host with the same kind of processor")
    };
    let here = collect();
    let missing: Vec<&str> =
        saved.features.iter().filter(|name| !here.features.contains(name)).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(lacking(format!("the processor lacks {}", missing.join(", "))));
    }
    let Some((components, size)) = sys::processor::extended_state() else { return Ok(()) };
    for state in states {
        let unknown = word(state, ENABLED) & !components;
        if unknown != 0 {
            return Err(lacking(format!("the processor lacks the register state {}", names(unknown))));
        }
        if state.len() > size {
            return Err(lacking(format!(
                "its register state has {} bytes, that of this processor {size}",
                state.len()
            )));
        }
    }
    Ok(())
}

/// The state as this processor has it: zeroes for what only this one has.
pub fn fitted(state: &[u8]) -> Vec<u8> {
    let mut state = state.to_vec();
    if let Some((_, size)) = sys::processor::extended_state() {
        state.resize(size.max(state.len()), 0);
    }
    state
}

/// Is this extended state in the XSAVE format?
pub fn check(state: &[u8]) -> std::result::Result<(), String> {
    if !(LEAST..=MOST).contains(&state.len()) {
        return Err(format!("extended state has {LEAST} to {MOST} bytes, not {}", state.len()));
    }
    let enabled = word(state, ENABLED);
    let in_use = word(state, IN_USE);
    let rest = &state[IN_USE + 8..LEAST];
    if in_use & !enabled != 0 || rest.iter().any(|&byte| byte != 0) {
        return Err("its header is not one of the XSAVE format".to_owned());
    }
    Ok(())
}

fn word(state: &[u8], at: usize) -> u64 {
    crate::inquiry::word(state, at)
}

/// Names of the components of a mask (Intel SDM, volume 1, 13.1).
fn names(mask: u64) -> String {
    const NAMES: [&str; 20] = [
        "x87", "SSE", "AVX", "MPX", "MPX", "AVX-512", "AVX-512", "AVX-512", "PT", "PKRU", "PASID", "CET",
        "CET", "HDC", "UINTR", "LBR", "HWP", "AMX", "AMX", "APX",
    ];
    let mut found: Vec<String> = (0..64)
        .filter(|bit| mask >> bit & 1 == 1)
        .map(|bit| NAMES.get(bit).map_or(format!("component {bit}"), |name| (*name).to_owned()))
        .collect();
    found.dedup();
    found.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_that_programs_notice_are_kept() {
        let found = parse(
            "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 smep avx512f\n\nflags\t\t: fpu\n",
        );
        assert_eq!(found.vendor, "GenuineIntel");
        assert_eq!(found.features, ["avx2", "avx512f"]);
    }

    #[test]
    fn a_processor_without_the_feature_is_refused_by_its_name() {
        let saved = ProcessorV1 { vendor: String::new(), features: vec!["avx9000".to_owned()] };
        let fault = require(&saved, &mut std::iter::empty()).unwrap_err();
        assert_eq!(fault.code, Code::HostLacks);
        assert!(fault.to_string().contains("avx9000"), "{fault}");
    }

    #[test]
    fn unknown_register_state_is_refused_by_its_name() {
        let mut state = vec![0; LEAST];
        state[ENABLED + 7] = 0x40;
        let fault = require(&collect(), &mut std::iter::once(&state[..])).unwrap_err();
        assert!(fault.to_string().contains("component 62"), "{fault}");
        assert_eq!(names(0xe0), "AVX-512");
    }

    #[test]
    fn a_header_that_no_processor_writes_is_damage() {
        let mut state = vec![0; LEAST];
        assert!(check(&state).is_ok() && check(&state[1..]).is_err());
        state[IN_USE] = 1;
        assert!(check(&state).is_err());
        state[ENABLED] = 1;
        assert!(check(&state).is_ok());
        state[IN_USE + 8] = 1;
        assert!(check(&state).is_err());
    }
}
