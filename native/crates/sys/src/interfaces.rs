//! Network interfaces by name (netdevice(7)).

use crate::{Errno, Result, network};
use std::os::fd::AsRawFd;

/// Switches an interface of the caller's network namespace on, as `ip link set NAME up` does. Needs CAP_NET_ADMIN there.
///
/// # Errors
/// `ENODEV` when there is none of that name.
pub fn bring_up(name: &str) -> Result<()> {
    let socket = network::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    // SAFETY: a C struct of plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(Errno(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let ask = |request: &mut libc::ifreq, number: libc::c_ulong| {
        // SAFETY: both requests read and write one ifreq, whose name ends in NUL.
        Errno::check(unsafe { libc::ioctl(socket.as_raw_fd(), number as _, &raw mut *request) }.into())
    };
    ask(&mut request, libc::SIOCGIFFLAGS)?;
    // SAFETY: SIOCGIFFLAGS has filled this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    ask(&mut request, libc::SIOCSIFFLAGS).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        assert_eq!(bring_up("stasis-none"), Err(Errno(libc::ENODEV)));
        assert_eq!(bring_up("a name that is far too long"), Err(Errno(libc::ENODEV)));
    }
}
