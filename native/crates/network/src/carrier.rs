//! Waiting until frames pass a link.

use crate::error::{Attempt, Result};
use crate::messages::Conversation;
use crate::route::Rtnetlink;
use std::time::{Duration, Instant};
use sys::Errno;

/// How long the kernel may take to notice that a link is on at both ends.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What the kernel tells of links (`RTMGRP_LINK`, rtnetlink(7)).
const LINKS: u32 = 1;

/// Waits until frames pass a link that is on at both ends. Kernels since 6.8 see to that when they are asked; others do it in the
/// background, and frames that are sent before would be lost. `listen` opens a conversation in the namespace of the link.
///
/// # Errors
/// `ETIMEDOUT` when none passed by the end of `patience`; `ENODEV` when the link is not there.
pub fn await_running(
    links: &Rtnetlink,
    name: &str,
    patience: Duration,
    listen: impl FnOnce() -> sys::Result<Conversation>,
) -> Result<()> {
    if is_running(links, name)? {
        return Ok(());
    }
    let attempt = || format!("wait until frames pass the link {name}");
    let limit = Instant::now() + patience;
    let told = listen().attempt(attempt)?;
    told.listen(LINKS).attempt(attempt)?;
    // It may have come to run before anybody listened.
    while !is_running(links, name)? {
        let left = limit.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Errno(libc::ETIMEDOUT)).attempt(attempt);
        }
        told.hear(left).attempt(attempt)?;
    }
    Ok(())
}

fn is_running(links: &Rtnetlink, name: &str) -> Result<bool> {
    let link = links.link(name)?.ok_or(Errno(libc::ENODEV));
    link.map(|link| link.running).attempt(|| format!("find the link {name}"))
}
