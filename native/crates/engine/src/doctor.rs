//! What this host's kernel and the caller's privileges allow, found by asking and not by guessing.
//!
//! Every check says what was found, what is needed, and what does not work without it. Probing changes nothing that
//! is there (`sys::probe`).

mod capturing;
mod memory;
mod network;
mod privileges;
mod restoring;

use abi::request::Doctor;
use abi::{Control, Fault};
use serde::Serialize;

/// One thing that stasis relies on, as this host has it.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    found: String,
    needed: &'static str,
    ok: bool,
    /// Whether stasis is of no use without it; the others each cost one feature.
    required: bool,
    /// What does not work without it.
    consequence: &'static str,
    /// The command or setting that would mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'static str>,
}

/// The answer to the request.
#[derive(Debug, Serialize)]
pub struct Checks {
    checks: Vec<Check>,
}

/// Probes the host; leaves no trace on it.
pub fn examine(_request: Doctor, control: &Control) -> Result<Checks, Fault> {
    let rooms = [capturing::checks, memory::checks, restoring::checks, privileges::checks, network::checks];
    let mut checks = Vec::new();
    for room in rooms {
        control.proceed()?;
        checks.extend(room());
    }
    Ok(Checks { checks })
}

impl Check {
    /// A check whose outcome is known already.
    fn new(name: &'static str, ok: bool, found: impl Into<String>, needed: &'static str) -> Self {
        Self { name, found: found.into(), needed, ok, required: false, consequence: "", fix: None }
    }

    /// A check that a system call answers: the kernel's error is what was found.
    fn call<T>(name: &'static str, answer: sys::Result<T>, needed: &'static str) -> Self {
        let found = answer.as_ref().err().map_or_else(|| "works".to_owned(), ToString::to_string);
        Self::new(name, answer.is_ok(), found, needed)
    }

    fn required(mut self) -> Self {
        self.required = true;
        self
    }

    fn otherwise(mut self, consequence: &'static str) -> Self {
        self.consequence = consequence;
        self
    }

    /// How to mend it, said only when there is something to mend.
    fn fix(mut self, fix: &'static str) -> Self {
        self.fix = (!self.ok).then_some(fix);
        self
    }
}

/// A file of /proc or /sys without its last line end; empty when it cannot be read.
fn text_of(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::request::Home;

    #[test]
    fn every_check_says_what_it_found_and_what_it_costs() {
        let home = Home { data: "/nowhere".into(), run: "/nowhere".into() };
        let Checks { checks } = examine(Doctor { home }, &Control::new()).unwrap();
        assert!(checks.len() > 20);
        for check in checks {
            assert!(!check.found.is_empty() && !check.consequence.is_empty(), "{check:?}");
            assert!(!check.ok || check.fix.is_none(), "{check:?}");
        }
    }
}
