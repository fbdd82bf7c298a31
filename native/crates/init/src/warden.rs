//! A process outside of the capsule that removes what the kernel would keep when the helper is killed.
//!
//! It holds the table of the application's ids and waits for the helper's end, whichever way that comes. The kernel
//! ends every process of the capsule before the helper counts as ended.

use crate::sweep;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use sys::lifecycle::{self, Fork};
use sys::poll::{Interest, poll};
use sys::shared_words::SharedWords;
use sys::{Errno, sockets};

/// Makes the warden. What is returned is for [`put_in_charge`].
pub fn engage() -> sys::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    match lifecycle::fork(None)? {
        Fork::Child => {
            // Of the maker's, nothing may live on here.
            let alone = lifecycle::close_all_but(&[theirs.as_fd()]).and_then(|()| lifecycle::setsid());
            if alone.is_ok() {
                // The name only helps a person who looks at the process list.
                let _ = lifecycle::set_name(c"stasis-warden");
                stand_by(&theirs);
            }
            lifecycle::exit_now(0)
        }
        Fork::Parent { .. } => Ok(ours),
    }
}

/// Hands the table to the warden. To be called by the helper.
pub fn put_in_charge(warden: &UnixStream, table: BorrowedFd<'_>) -> sys::Result<()> {
    const SELF: i32 = 1;
    let own = lifecycle::process_handle(SELF)?;
    sockets::send(warden.as_fd(), b"!", &[table, own.as_fd()]).map(drop)
}

/// Without a table there is nothing to remove: the helper ended before it had made one.
fn stand_by(socket: &UnixStream) {
    let Some([table, helper]) = receive(socket) else { return };
    let Ok(table) = SharedWords::of_file(&table.into(), ids::WORDS) else { return };
    while !matches!(poll(&[(helper.as_fd(), Interest::Readable)], None), Ok(ready) if ready[0]) {}
    sweep::sweep(&table);
}

fn receive(socket: &UnixStream) -> Option<[OwnedFd; 2]> {
    let mut byte = [0];
    loop {
        match sockets::receive(socket.as_fd(), &mut byte) {
            Err(Errno::EINTR) => {}
            received => return received.ok()?.1.try_into().ok(),
        }
    }
}
