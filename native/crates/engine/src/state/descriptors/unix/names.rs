//! Names of sockets: as text, and where the node of a relative one lies.

use super::NodeV1;
use crate::sockets::Sockets;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use sys::unix_sockets;

/// A name for messages: an abstract one with `@` for each NUL.
pub fn printable(name: &[u8]) -> String {
    let bytes: Vec<u8> = name.iter().map(|&byte| if byte == 0 { b'@' } else { byte }).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `directory` and `name` as one absolute path; an absolute name stands for itself.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if name.first() == Some(&b'/') {
        return name.to_vec();
    }
    [directory.strip_suffix(b"/").unwrap_or(directory), b"/", name].concat()
}

/// The folder that `path` is reached from by the relative `name`, where the name has no `..`.
pub fn directory_of<'p>(path: &'p [u8], name: &[u8]) -> Option<&'p [u8]> {
    let mut rest = path;
    for part in name.rsplit(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        rest = rest.strip_suffix(part)?.strip_suffix(b"/")?;
    }
    Some(if rest.is_empty() { b"/" } else { rest })
}

/// Is any socket bound to this name now? Asked in ways that no owner of the name notices: a node refuses a connection
/// of another type with EPROTOTYPE, and an abstract name cannot be bound twice.
pub fn is_taken(name: &[u8], node: Option<BorrowedFd>, kind: i32, sockets: &Sockets) -> sys::Result<bool> {
    match node {
        Some(node) => {
            let other = if kind == libc::SOCK_DGRAM { libc::SOCK_STREAM } else { libc::SOCK_DGRAM };
            let probe = sockets.unix(other)?;
            match unix_sockets::connect(probe.as_fd(), &through(node)) {
                Err(sys::Errno(libc::EPROTOTYPE)) => Ok(true),
                Err(sys::Errno(libc::ECONNREFUSED | libc::EACCES)) => Ok(false),
                Err(errno) => Err(errno),
                // A socket of the other type has the node.
                Ok(()) => Ok(true),
            }
        }
        None => {
            let probe = sockets.unix(kind)?;
            match unix_sockets::bind(probe.as_fd(), name) {
                Err(sys::Errno(libc::EADDRINUSE)) => Ok(true),
                other => other.map(|()| false),
            }
        }
    }
}

/// A name by which this thread reaches a node that it holds open, whatever its path is or was.
pub fn through(node: BorrowedFd) -> Vec<u8> {
    format!("/proc/thread-self/fd/{}", node.as_raw_fd()).into_bytes()
}

impl NodeV1 {
    /// Where bind(2) made the node, in the application's view.
    pub fn place(&self, name: &[u8]) -> Vec<u8> {
        let root = self.root.as_deref().map_or(&b""[..], |root| root.as_slice());
        [root, &join(self.directory.as_deref().map_or(b"/", |directory| directory.as_slice()), name)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_of_a_relative_name() {
        assert_eq!(directory_of(b"/tmp/a/s", b"s"), Some(&b"/tmp/a"[..]));
        assert_eq!(directory_of(b"/tmp/a/s", b"./a/s"), Some(&b"/tmp"[..]));
        assert_eq!(directory_of(b"/s", b"s"), Some(&b"/"[..]));
        assert_eq!(directory_of(b"/tmp/a/s", b"../a/s"), None);
        assert_eq!(directory_of(b"/tmp/xs", b"s"), None);
    }

    #[test]
    fn names_join_folders() {
        assert_eq!(join(b"/", b"s"), b"/s");
        assert_eq!(join(b"/tmp", b"./s"), b"/tmp/./s");
        assert_eq!(join(b"/tmp", b"/run/s"), b"/run/s");
        assert_eq!(printable(b"\0a\0"), "@a@");
    }

    #[test]
    fn a_name_is_taken_while_its_socket_lives() {
        let socket = unix_sockets::socket(libc::SOCK_STREAM).unwrap();
        let name = format!("\0stasis-test-{}", std::process::id()).into_bytes();
        let taken = || is_taken(&name, None, libc::SOCK_STREAM, &Sockets::default());
        assert_eq!(taken(), Ok(false));
        unix_sockets::bind(socket.as_fd(), &name).unwrap();
        assert_eq!(taken(), Ok(true));
    }
}
