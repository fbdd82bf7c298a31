//! Where sockets are made for an application: in the network namespace that it is in. Whatever is done with a socket
//! afterwards happens in the namespace that it was made in, whoever does it.

use crate::explain::{Explain, Result};
use abi::request::Home;
use capsule::{Aid, SocketMaker};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

/// By default, the sockets of an application that is in this command's namespace.
#[derive(Default)]
pub struct Sockets(Option<Inside>);

/// A network namespace of an application's own.
struct Inside {
    maker: SocketMaker,
    /// Inode of the namespace.
    namespace: u64,
}

impl Sockets {
    /// Those of a capsule with a network namespace of its own, whose helper is `init` on this host.
    ///
    /// # Errors
    /// When the capsule does not answer.
    pub fn inside(home: &Home, aid: &Aid, init: i32) -> Result<Self> {
        Self::made_by(SocketMaker::connect(home, aid)?, init)
    }

    /// The same in a capsule that is being built.
    ///
    /// # Errors
    /// When the namespace cannot be found.
    pub fn made_by(maker: SocketMaker, init: i32) -> Result<Self> {
        Ok(Self(Some(Inside { maker, namespace: namespace_of(&init.to_string())? })))
    }

    /// A new socket, close-on-exec (socket(2)).
    pub fn make(&self, domain: i32, kind: i32, protocol: i32) -> sys::Result<OwnedFd> {
        match &self.0 {
            None => sys::network::socket(domain, kind, protocol),
            Some(inside) => inside.maker.socket(domain, kind, protocol),
        }
    }

    /// A new UNIX socket, close-on-exec, that never waits.
    pub fn unix(&self, kind: i32) -> sys::Result<OwnedFd> {
        self.make(libc::AF_UNIX, kind | libc::SOCK_NONBLOCK, 0)
    }

    /// A new netlink socket, close-on-exec, to ask about the namespace (netlink(7)).
    pub fn netlink(&self, protocol: i32) -> sys::Result<OwnedFd> {
        self.make(libc::AF_NETLINK, libc::SOCK_RAW, protocol)
    }

    /// Inode of the network namespace that they are in.
    pub fn namespace(&self) -> Result<u64> {
        match &self.0 {
            None => namespace_of("thread-self"),
            Some(inside) => Ok(inside.namespace),
        }
    }

    /// Whether the namespace is the application's own.
    pub fn are_inside(&self) -> bool {
        self.0.is_some()
    }
}

/// Inode of the network namespace of a process (`/proc/PID/ns/net`).
pub fn namespace_of(pid: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/ns/net");
    let meta = std::fs::metadata(&path).explain(|| format!("Could not read {path}"))?;
    Ok(meta.ino())
}
