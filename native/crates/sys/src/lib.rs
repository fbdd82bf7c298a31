//! ROOM 1: typed system calls, one file per area; no policy.
//!
//! `unsafe` lives here (and in `boundary` and `preload`) so that it lives nowhere else. Every function
//! wraps one documented kernel interface, returns [`Result`], and keeps the kernel's own names.

pub mod bpf;
pub mod cgroups;
mod errno;
pub mod events;
pub mod extents;
pub mod fanotify;
pub mod files;
pub mod folder;
pub mod interfaces;
pub mod lifecycle;
pub mod memory;
pub mod midwife;
pub mod mounts;
pub mod namespaces;
pub mod network;
pub mod paths;
pub mod poll;
pub mod privileges;
pub mod probe;
pub mod process;
pub mod processor;
pub mod ptrace;
pub mod pty;
pub mod region;
pub mod seccomp;
pub mod shared_words;
pub mod signals;
pub mod socket_options;
pub mod sockets;
pub mod system_v;
pub mod terminal;
pub mod trees;
pub mod unix_diag;
pub mod unix_sockets;

pub use errno::{Errno, Result};
