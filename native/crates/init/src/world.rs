//! PID 1's first steps: the mounts of its namespace, its socket, and the application.

use crate::binding;
use crate::devices;
use crate::folders::Folders;
use crate::keeper::Keeper;
use crate::link::{Link, at};
use crate::translation::Translation;
use crate::{program, warden};
use abi::wire::{Failure, Launch, Reply, Request, Step};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use sys::signals::{SIGCHLD, SignalFd};
use sys::{lifecycle, namespaces, sockets};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Builds the application's world and serves until it has ended. A failure is told to the maker.
pub fn live(
    mut link: Link,
    launch: Launch,
    mut descriptors: Vec<OwnedFd>,
    warden: Option<UnixStream>,
) -> io::Result<()> {
    let given = match descriptors.len() {
        0..3 => return link.send(&Reply::Failed(Failure { step: Step::Understand, errno: 0 }), &[]),
        _ => descriptors.split_off(3),
    };
    let built = <[OwnedFd; 3]>::try_from(descriptors)
        .map_err(|_| Failure { step: Step::Understand, errno: 0 })
        .and_then(|own| build(&launch, own, warden.as_ref()));
    let mut keeper = match built {
        Ok(keeper) => keeper,
        Err(failure) => return link.send(&Reply::Failed(failure), &[]),
    };
    if launch.own_network {
        await_connection(&mut link)?;
    }
    if let Some(order) = &launch.program {
        let started = match program::start(order, &given, keeper.translation.as_ref()) {
            Ok(started) => started,
            Err(failure) => return link.send(&Reply::Failed(failure), &[]),
        };
        link.send(&Reply::Started { pid: started.pid }, &started.descriptors())?;
        keeper.run_for(link, started)?;
    } else {
        link.send(&Reply::Done, &[])?;
        keeper.build_for(link)?;
    }
    // The user's own streams must not live on with this process.
    drop(given);
    keeper.serve()
}

/// Before any process of the application is there, the maker puts in what is to lead out of the network namespace.
fn await_connection(link: &mut Link) -> io::Result<()> {
    let namespace = File::open("/proc/self/ns/net")?;
    link.send(&Reply::NetworkMade, &[namespace.as_fd()])?;
    match link.receive()? {
        (Request::Connected, _) => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn build(
    launch: &Launch,
    [listener, state, run]: [OwnedFd; 3],
    warden: Option<&UnixStream>,
) -> Result<Keeper, Failure> {
    // A session of its own: the maker's terminal going away must not reach it.
    lifecycle::setsid().map_err(at(Step::Session))?;
    // The name only helps a person who looks at the process list.
    let _ = lifecycle::set_name(c"stasis-init");
    // Connections and deposits must not fail for want of numbers.
    lifecycle::set_soft_nofile(u64::MAX).map_err(at(Step::Session))?;
    namespaces::make_mounts_private().map_err(at(Step::Mounts))?;
    namespaces::mount_proc().map_err(at(Step::MountProc))?;
    let own = devices::furnish(launch.own_shared_memory)?;
    launch.names.as_ref().map_or(Ok(()), binding::bind_names).map_err(at(Step::Names))?;
    if let Some(hostname) = &launch.hostname {
        namespaces::set_hostname(hostname).map_err(at(Step::Hostname))?;
    }
    std::env::set_current_dir("/").map_err(crate::link::at_io(Step::WorkingFolder))?;
    let translation = launch.translation.clone().map(Translation::build).transpose()?;
    if let (Some(translation), Some(warden)) = (&translation, warden) {
        warden::put_in_charge(warden, translation.file()).map_err(at(Step::Translation))?;
    }
    let children = SignalFd::new(&[SIGCHLD]).map_err(at(Step::Listen))?;
    // Listening again makes the socket's peer credentials those of this process.
    sockets::listen(listener.as_fd(), BACKLOG).map_err(at(Step::Listen))?;
    let door = UnixListener::from(listener);
    door.set_nonblocking(true).map_err(crate::link::at_io(Step::Listen))?;
    Keeper::new(door, children, Folders::new(state, run, &launch.socket), own, translation)
}
