//! The operations of stasis: taking snapshots and bringing them back, and the one door through which the
//! command asks for them.
#![forbid(unsafe_code)]

mod capsules;
mod chain;
mod cloning;
mod collection;
mod delivery;
mod dispatch;
mod doctor;
mod edits;
mod environments;
mod explain;
mod family;
mod freeze;
mod housing;
mod ids;
mod incumbent;
mod inquiry;
mod inspect;
mod meeting;
mod nursery;
mod place;
mod procfs;
mod program;
mod rebuild;
mod residence;
mod resources;
mod restore;
mod snapshot;
mod sockets;
mod state;
mod store;
mod stub;
mod summary;

pub use abi::Control;
pub use dispatch::{Programs, dispatch};
pub use summary::SummaryV1;
