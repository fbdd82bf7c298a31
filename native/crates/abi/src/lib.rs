//! What crosses a boundary: the error shape, the requests of the command, what an operation shares with its
//! caller, and the messages between the engine and the capsule's helper.

mod control;
mod fault;
pub mod request;

pub use control::{Control, Phase, Unit};
pub use fault::{Code, Fault};
