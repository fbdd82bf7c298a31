//! One file per kind of state; each has `collect` and `apply`, and the structs that an image holds.

pub mod async_io;
pub mod capsule;
pub mod cgroups;
pub mod credentials;
pub mod descriptors;
pub mod filesystem;
pub mod frozen_copy;
pub mod ghosts;
pub mod host;
pub mod identity;
pub mod layout;
pub mod limits;
pub mod locks;
pub mod memory;
pub mod namespaces;
pub mod pages;
pub mod process;
pub mod processor;
pub mod scheduling;
pub mod seccomp;
pub mod shared_memory;
pub mod signals;
pub mod system_v;
pub mod terminals;
pub mod thread;
pub mod timers;
