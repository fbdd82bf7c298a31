//! Socket options that both ends of a UNIX socket may have changed (socket(7)).

use crate::explain::{Explain, Result};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::os::fd::BorrowedFd;
use sys::unix_sockets::{number_option, option, set_number_option, set_option};

const SO_PASSPIDFD: i32 = 76;
const SO_PASSRIGHTS: i32 = 83;
const SO_INQ: i32 = 84;
const SO_SNDBUFFORCE: i32 = 32;
const SO_RCVBUFFORCE: i32 = 33;

/// Options set by writing back what was read, with the most bytes that they take.
const PLAIN: [(i32, usize); 20] = [
    (libc::SO_PASSCRED, 4),
    (libc::SO_PASSSEC, 4),
    (SO_PASSPIDFD, 4),
    (SO_PASSRIGHTS, 4),
    (SO_INQ, 4),
    (libc::SO_REUSEADDR, 4),
    (libc::SO_KEEPALIVE, 4),
    (libc::SO_BROADCAST, 4),
    (libc::SO_DONTROUTE, 4),
    (libc::SO_OOBINLINE, 4),
    (libc::SO_NO_CHECK, 4),
    (libc::SO_PRIORITY, 4),
    (libc::SO_MARK, 4),
    (libc::SO_LINGER, 8),
    (libc::SO_RCVLOWAT, 4),
    (libc::SO_RCVTIMEO, 16),
    (libc::SO_SNDTIMEO, 16),
    (libc::SO_TIMESTAMP, 4),
    (libc::SO_TIMESTAMPNS, 4),
    (libc::SO_PEEK_OFF, 4),
];

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct OptionsV1 {
    /// Number and value of options that are set by writing the same back.
    pub plain: Vec<(i32, ByteBuf)>,
    /// As getsockopt(2) says, twice what was asked for.
    pub send_buffer: i32,
    pub receive_buffer: i32,
    /// Classic BPF program (`SO_ATTACH_FILTER`), struct sock_filter after struct sock_filter.
    pub filter: ByteBuf,
    pub filter_locked: bool,
}

pub fn collect(socket: BorrowedFd) -> sys::Result<OptionsV1> {
    let mut plain = Vec::new();
    for (name, room) in PLAIN {
        match option(socket, name, room) {
            Ok(value) => plain.push((name, ByteBuf::from(value))),
            // Unknown to this kernel, or to this type of socket.
            Err(sys::Errno(libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::EINVAL)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(OptionsV1 {
        plain,
        send_buffer: number_option(socket, libc::SO_SNDBUF)?,
        receive_buffer: number_option(socket, libc::SO_RCVBUF)?,
        filter: ByteBuf::from(sys::unix_sockets::filter(socket)?),
        filter_locked: number_option(socket, libc::SO_LOCK_FILTER)? != 0,
    })
}

/// Makes room for whatever the peer of this sender had queued.
pub fn make_room(socket: BorrowedFd) {
    const ROOM: i32 = 64 << 20;
    if set_number_option(socket, SO_SNDBUFFORCE, ROOM).is_err() {
        // Capped at net.core.wmem_max, without an error.
        let _ = set_number_option(socket, libc::SO_SNDBUF, ROOM);
    }
}

pub fn apply(saved: &OptionsV1, socket: BorrowedFd, label: &str) -> Result<()> {
    let what = |name: i32| move || format!("Could not restore option {name} of {label}");
    for (name, value) in &saved.plain {
        let now = option(socket, *name, value.len().max(4)).explain(what(*name))?;
        if now != value.as_slice() {
            set_option(socket, *name, value).explain(what(*name))?;
        }
    }
    for (name, force, size) in [
        (libc::SO_SNDBUF, SO_SNDBUFFORCE, saved.send_buffer),
        (libc::SO_RCVBUF, SO_RCVBUFFORCE, saved.receive_buffer),
    ] {
        if number_option(socket, name).explain(what(name))? != size
            && set_number_option(socket, force, size / 2).is_err()
        {
            set_number_option(socket, name, size / 2).explain(what(name))?;
        }
    }
    if !saved.filter.is_empty() {
        sys::unix_sockets::attach_filter(socket, &saved.filter).explain(what(libc::SO_ATTACH_FILTER))?;
    }
    if saved.filter_locked {
        set_number_option(socket, libc::SO_LOCK_FILTER, 1).explain(what(libc::SO_LOCK_FILTER))?;
    }
    Ok(())
}
