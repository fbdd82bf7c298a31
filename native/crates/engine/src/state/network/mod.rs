//! The network namespace that an application has for itself (network_namespaces(7)): its loopback interface, and what
//! is to lead out of it. What else the application has made there is refused, since it would be missing afterwards.

pub mod loopback;
mod made;
mod route;

use crate::explain::Result;
use crate::sockets::Sockets;
use abi::network::OwnNetwork;
use loopback::LoopbackV1;
use route::Router;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkV1 {
    /// What the command has put in. A field more there is a version more of this section.
    pub own: OwnNetwork,
    pub loopback: LoopbackV1,
}

/// A capsule's own network namespace, while nothing in it changes. `init` is the capsule's helper on this host.
///
/// # Errors
/// [`abi::Code::Refused`] for interfaces, routes and packet filters that the application has made itself.
pub fn collect(own: &OwnNetwork, sockets: &Sockets, init: i32) -> Result<NetworkV1> {
    let router = Router::open(sockets)?;
    let interfaces = router.interfaces()?;
    made::require_nothing(own, &interfaces, &router, sockets, init)?;
    Ok(NetworkV1 { own: own.clone(), loopback: loopback::collect(&interfaces, &router)? })
}

/// Makes the loopback interface of a new namespace what it was.
pub fn apply(saved: &NetworkV1, sockets: &Sockets) -> Result<()> {
    loopback::apply(&saved.loopback, &Router::open(sockets)?)
}
