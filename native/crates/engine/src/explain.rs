//! From a kernel's reason to an error that a person can act on.

use crate::store;
use abi::{Code, Fault};
use sys::Errno;

pub type Result<T> = std::result::Result<T, Fault>;

/// Adds what was attempted to a lower error.
pub trait Explain<T> {
    /// `message` is evaluated only on failure; write it as "Could not ...".
    fn explain(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Explain<T> for std::result::Result<T, Errno> {
    fn explain(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Fault::new(code_of(errno), message()).because(errno))
    }
}

impl<T> Explain<T> for std::io::Result<T> {
    fn explain(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let code = error.raw_os_error().map_or(Code::Other, |number| code_of(Errno(number)));
            Fault::new(code, message()).because(error)
        })
    }
}

impl<T> Explain<T> for tracee::Result<T> {
    fn explain(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Fault::new(error.errno().map_or(Code::Other, code_of), message()).because(error))
    }
}

impl<T> Explain<T> for std::result::Result<T, image::Error> {
    fn explain(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| store::fault(message(), &error))
    }
}

fn code_of(errno: Errno) -> Code {
    match errno {
        Errno::EPERM | Errno::EACCES => Code::NotPermitted,
        Errno::ESRCH => Code::NoTarget,
        _ => Code::Other,
    }
}

/// A resource that cannot be captured, named with its process, before anything is stopped for good.
pub fn refused(process: i32, what: &str, why: &str) -> Fault {
    Fault::new(Code::Refused, format!("Could not capture {what} of process {process}")).because(why)
}
