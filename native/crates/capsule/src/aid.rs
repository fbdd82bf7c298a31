//! Application ids.

use abi::{Code, Fault};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::str::FromStr;

/// The id of an application: 12 lower-case hexadecimal digits, chosen at random.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Aid(String);

/// Length in digits.
const DIGITS: usize = 12;

impl Aid {
    /// A new id.
    ///
    /// # Errors
    /// When `/dev/urandom` cannot be read.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; DIGITS / 2];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Aid {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == DIGITS && text.bytes().all(digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::new(Code::NoTarget, format!("Could not find the application \"{text}\""))
                .because("an application id has 12 hexadecimal digits"))
        }
    }
}

impl TryFrom<String> for Aid {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|fault: Fault| fault.to_string())
    }
}

impl From<Aid> for String {
    fn from(aid: Aid) -> Self {
        aid.0
    }
}

impl fmt::Display for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Aid;

    #[test]
    fn only_twelve_lower_case_hexadecimal_digits_are_an_id() {
        assert!("0123456789ab".parse::<Aid>().is_ok());
        for wrong in ["", "0123456789a", "0123456789AB", "../../../etc", "0123456789abc"] {
            assert!(wrong.parse::<Aid>().is_err(), "{wrong}");
        }
        assert!(Aid::random().unwrap().as_str().parse::<Aid>().is_ok());
    }
}
