//! What this host's kernel and the caller's privileges allow, found by asking and not by guessing.

use abi::request::Doctor;
use abi::{Control, Fault};
use serde::Serialize;

/// One thing that stasis relies on, as this host has it.
#[derive(Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub found: String,
    pub needed: &'static str,
    pub ok: bool,
    /// What does not work without it.
    pub consequence: &'static str,
    /// The command or setting that would mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub struct Checks {
    checks: Vec<Check>,
}

/// Probes the host; leaves no trace on it.
pub fn examine(_request: Doctor, _control: &Control) -> Result<Checks, Fault> {
    Ok(Checks { checks: vec![kernel()] })
}

fn kernel() -> Check {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Check {
        name: "kernel",
        ok: version(&release) >= (5, 10),
        found: release.trim().to_owned(),
        needed: "5.10",
        consequence: "no snapshot and no restore",
        fix: Some("install a newer kernel"),
    }
}

/// Major and minor number of a kernel release such as `6.1.0-18-amd64`.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn version_reads_distribution_releases() {
        assert_eq!(version("6.1.0-18-amd64"), (6, 1));
        assert_eq!(version("5.10"), (5, 10));
        assert_eq!(version(""), (0, 0));
        assert!(version("5.4.0") < (5, 10));
    }
}
