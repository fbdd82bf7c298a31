//! The one error shape, from Rust to the terminal: code, message, hint, aftermath and a chain of causes.

use serde::Serialize;
use std::fmt;

/// Stable codes, and the exit code that each one ends the command with (docs/errors.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Anything that no other code names. Exit 1.
    Other,
    /// The request itself is wrong. Exit 2.
    Usage,
    /// No such application, process or snapshot. Exit 10.
    NoTarget,
    /// A resource of the application is refused, by name. Exit 11.
    Refused,
    /// The host's kernel or set-up lacks a feature. Exit 12.
    HostLacks,
    /// The caller may not do this. Exit 13.
    NotPermitted,
    /// The image is truncated or altered. Exit 20.
    ImageDamaged,
    /// The image is of a newer format. Exit 21.
    ImageTooNew,
    /// A restore failed and nothing is left behind. Exit 30.
    RestoreFailed,
    /// A restore failed and something is left behind. Exit 31.
    RestoreLeft,
    /// A fault of ours. Exit 70.
    Internal,
    /// Interrupted by the user. Exit 130.
    Interrupted,
}

impl Code {
    /// The command's exit code for this error.
    #[must_use]
    pub fn exit(self) -> i32 {
        match self {
            Code::Other => 1,
            Code::Usage => 2,
            Code::NoTarget => 10,
            Code::Refused => 11,
            Code::HostLacks => 12,
            Code::NotPermitted => 13,
            Code::ImageDamaged => 20,
            Code::ImageTooNew => 21,
            Code::RestoreFailed => 30,
            Code::RestoreLeft => 31,
            Code::Internal => 70,
            Code::Interrupted => 130,
        }
    }
}

/// An error as the user sees it. `message` says what was attempted, `causes` why it failed (outermost
/// first), `aftermath` what became of the user's process, `hint` what to do next.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    pub code: Code,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aftermath: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

impl Fault {
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, aftermath: None, causes: Vec::new() }
    }

    /// Adds what failed underneath.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn aftermath(mut self, aftermath: impl Into<String>) -> Self {
        self.aftermath = Some(aftermath.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
