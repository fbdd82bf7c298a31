//! The engine's side of a capsule: starts its helper, speaks to it, and keeps the folders in which others find it.
//!
//! ```text
//! DATA/apps/AID/meta.json      who the application is; written by the command that starts it or rolls it back
//! DATA/apps/AID/status.json    how its root process ended; written by the helper
//! DATA/apps/AID/log            what it wrote while nobody was attached
//! RUN/templates/NAME.json      a template in memory: what its resident helper holds
//! RUN/templates/NAME.sock      that helper's socket
//! DATA/apps/AID/volumes/N      its own view of a volume, in a restored application
//! DATA/layers/NAME             a captured volume that views lie on
//! RUN/names/ID                 what members of an environment see as /etc/hosts; written by the command line
//! RUN/AID.sock                 the helper's socket; an application runs as long as it can be connected to
//! ```
#![forbid(unsafe_code)]

mod aid;
mod attach;
mod building;
mod capsule;
mod clock;
mod exec;
mod faults;
mod helper;
mod home;
mod hosted;
mod interposition;
mod launched;
mod layers;
mod link;
mod listing;
mod membership;
mod meta;
mod mounting;
mod names;
mod network;
mod owner;
mod ports;
mod registration;
mod relay;
pub mod resident;
mod start;
mod stop;
mod succession;

pub use abi::request::Home;
pub use abi::wire::{ClockOffsets, Ending, IpcList, Own, Recipient, ViewKind};
pub use aid::Aid;
pub use attach::{attach, attach_pid};
pub use building::{Blank, BuildSpec, Building, build};
pub use capsule::{Capsule, Hosted, find, wait};
pub use exec::{ExecSpec, exec};
pub use helper::{Init, has_privileges};
pub use home::require_access;
pub use hosted::processes_of;
pub use interposition::Interposition;
pub use launched::{depart, emulate};
pub use layers::{VOLUMES, claim_layer, layers};
pub use listing::{Application, EnvironmentMember, State, list, members, remove, running_names};
pub use membership::{environment, kernel_refused, key_accounts, member, tunnel};
pub use meta::{Meta, Volume};
pub use mounting::collect as collect_lasting;
pub use names::HOSTS;
pub use network::SocketMaker;
pub use owner::owner_of;
pub use start::{Output, RunSpec, Started, start};
pub use stop::{Stopped, stop};
