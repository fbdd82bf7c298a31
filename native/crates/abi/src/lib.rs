//! What crosses a boundary: the error shape and the messages between the engine and the capsule's helper.

mod fault;

pub use fault::{Code, Fault};
