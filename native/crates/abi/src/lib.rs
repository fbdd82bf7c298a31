//! What crosses a boundary: the error shape, the requests of the command, what an operation shares with its
//! caller, and the messages between the engine and the capsule's helper.

#![forbid(unsafe_code)]

mod control;
pub mod edits;
mod fault;
pub mod frame;
mod gates;
pub mod interposition;
pub mod network;
pub mod request;
pub mod residence;
pub mod wire;

pub use control::{Control, Phase, Unit};
pub use fault::{Code, Fault};
pub use gates::{Gates, Reached};
