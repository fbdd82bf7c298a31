//! ROOM 2: the cdylib. The symbols that the command loads, a table of jobs, and the fence that no panic crosses.
//!
//! A request goes in as JSON, its operation runs on a thread of its own (ptrace belongs to the thread that attached,
//! and the caller's pool threads come and go), and the response comes out as JSON. No logic of the operations is here.

pub mod embedded;
mod exports;
mod fence;
mod jobs;
