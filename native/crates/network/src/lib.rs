//! Virtual network environments on this host, through netlink alone.
//!
//! An environment is a bridge, routes to it and two tables of nftables, and where it goes on to other hosts a VXLAN link and two tables
//! more; a member is a network namespace with one link to
//! the bridge. Everything has names and addresses that follow from the environment's id and the member's number in it
//! ([`names`]), on every host alike, so there is nothing to be kept in mind: what is missing is made anew.

#![forbid(unsafe_code)]

mod announcement;
pub mod carrier;
pub mod environment;
mod error;
mod forwarding;
pub mod link;
pub mod member;
pub mod messages;
pub mod names;
pub mod nftables;
pub mod publishing;
mod rights;
pub mod route;
mod ruleset;
pub mod subnet;
pub mod tunnel;
mod vxlan;
pub mod xfrm;

pub use environment::{Conflict, Environment, Inspection};
pub use error::{Error, Result, Taken};
pub use member::{Attached, Member};
pub use names::Id;
pub use publishing::{Protocol, Published};
pub use subnet::Subnet;
pub use tunnel::Tunnel;
