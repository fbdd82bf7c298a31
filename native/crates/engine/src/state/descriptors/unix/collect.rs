//! Capturing sockets one by one, then working out how they belong together.

use super::{CredentialsV1, MessageV1, NameV1, NodeV1, SocketId, SocketV1, StateV1, UnixNodeV1, UnixV1};
use super::{names, options, queue};
use crate::collection::Collection;
use crate::explain::{Explain, Result, refused};
use crate::ids::{DescriptionId, OriginalPid};
use crate::procfs::Status;
use crate::sockets::{Sockets, namespace_of};
use crate::state::descriptors::Found;
use crate::state::descriptors::external::ExternalV1;
use crate::state::filesystem::{self, FileRefV1, View};
use serde_bytes::ByteBuf;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Metadata};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use sys::unix_diag::{DiagSocket, UnixDiag};
use sys::unix_sockets;

const LISTENING: u8 = 10;
const CONNECTED: u8 = 1;
/// Why a socket is refused that would come back in the wrong network namespace.
const ELSEWHERE: &str = "it is a socket of another network namespace than its process";

/// A socket met, with what is needed to tell its place among the others.
struct Met {
    socket: SocketV1,
    diag: UnixDiag,
    network: u64,
    /// It lives in another network namespace than its process.
    foreign: bool,
    /// The node that it is bound to.
    node: Option<OwnedFd>,
    peer_name: Option<Vec<u8>>,
    /// Bytes sent that the peer has not received.
    unreceived: u32,
    pid: i32,
    fd: i32,
}

impl Met {
    fn refuse<T>(&self, why: &str) -> Result<T> {
        Err(refused(self.pid, &format!("descriptor {} ({})", self.fd, self.socket.label()), why))
    }
}

#[derive(Default)]
pub struct Collector {
    met: BTreeMap<u64, Met>,
    /// By inode of the network namespace.
    diag: HashMap<u64, DiagSocket>,
    /// Duplicates of descriptors in flight.
    pub in_flight: Vec<OwnedFd>,
    /// What `finish` makes of all this.
    pub sockets: Vec<SocketV1>,
}

/// What the kernel says of a socket, and where it found it.
struct Answer {
    diag: UnixDiag,
    network: u64,
    foreign: bool,
}

impl Collector {
    /// Asks in the network namespace of the process, then in this command's: standard streams may come from there.
    fn ask(&mut self, pid: i32, inode: u64, sockets: &Sockets) -> Result<Option<Answer>> {
        let process = pid.to_string();
        for (holder, foreign) in [(process.as_str(), false), ("thread-self", true)] {
            let network = namespace_of(holder)?;
            if let Some(diag) = self.ask_in(network, holder, inode, sockets)? {
                return Ok(Some(Answer { diag, network, foreign }));
            }
        }
        Ok(None)
    }

    /// `holder` is a process of that namespace.
    fn ask_in(
        &mut self,
        network: u64,
        holder: &str,
        inode: u64,
        sockets: &Sockets,
    ) -> Result<Option<UnixDiag>> {
        let what = || format!("Could not ask the kernel about the sockets of process {holder}");
        let diag = match self.diag.entry(network) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(fresh) => {
                let socket = if network == namespace_of("thread-self")? {
                    DiagSocket::open()
                } else if network == sockets.namespace()? {
                    const NETLINK_SOCK_DIAG: i32 = 4;
                    sockets.netlink(NETLINK_SOCK_DIAG).map(DiagSocket::from)
                } else {
                    DiagSocket::open_in(File::open(format!("/proc/{holder}/ns/net")).explain(what)?)
                };
                fresh.insert(socket.explain(what)?)
            }
        };
        diag.unix(inode).explain(what)
    }
}

pub fn collect(found: &Found, id: DescriptionId, collection: &mut Collection) -> Result<UnixV1> {
    let inode = found.meta.ino();
    let what = || format!("Could not examine {} of process {}", found.name(), found.pid);
    let Some(answer) = collection.unix.ask(found.pid, inode, &collection.sockets)? else {
        return found.refuse(ELSEWHERE);
    };
    let Answer { diag, network, foreign } = answer;
    let fd = found.file.as_fd();
    let kind = unix_sockets::number_option(fd, libc::SO_TYPE).explain(what)?;
    let fault = unix_sockets::events(fd).explain(what)? & libc::POLLERR != 0;
    let queue = collect_queue(found, kind, &diag, fault, collection)?;
    let (name, node) = collect_name(found, kind, &diag, &collection.view)?;
    let socket = SocketV1 {
        id: SocketId(inode),
        description: id,
        kind,
        holder: holder(found),
        name,
        state: StateV1::Idle,
        shutdown: diag.shutdown,
        reset: fault,
        peer_credentials: peer_credentials(found)?,
        uid: found.meta.uid(),
        gid: found.meta.gid(),
        mode: found.meta.mode() & 0o7777,
        options: options::collect(fd).explain(what)?,
        queue,
    };
    let met = Met {
        socket,
        diag,
        network,
        foreign,
        node,
        peer_name: unix_sockets::peer_name(fd).explain(what)?,
        unreceived: unix_sockets::unreceived(fd).unwrap_or(0),
        pid: found.pid,
        fd: found.fd,
    };
    collection.unix.met.insert(inode, met);
    Ok(UnixV1 { socket: SocketId(inode) })
}

/// The application's process that has it open; none when it was found in flight.
fn holder(found: &Found) -> OriginalPid {
    if found.pid == sys::process::gettid() {
        return OriginalPid(0);
    }
    OriginalPid(Status::read(&found.pid.to_string()).map_or(0, |status| status.innermost("NSpid")))
}

fn peer_credentials(found: &Found) -> Result<Option<CredentialsV1>> {
    let sender = unix_sockets::peer_credentials(found.file.as_fd())
        .explain(|| format!("Could not read the peer of {} of process {}", found.name(), found.pid))?;
    Ok(sender.and_then(queue::credentials))
}

fn collect_queue(
    found: &Found,
    kind: i32,
    diag: &UnixDiag,
    fault: bool,
    collection: &mut Collection,
) -> Result<Vec<MessageV1>> {
    if kind != libc::SOCK_DGRAM && diag.state != CONNECTED {
        return Ok(Vec::new());
    }
    if fault && kind != libc::SOCK_STREAM {
        let queued = sys::files::readable_bytes(found.file.as_fd()).unwrap_or(0);
        if kind == libc::SOCK_DGRAM || queued > 0 {
            return found.refuse("an error waits in it, which reading its queue would take away");
        }
        return Ok(Vec::new());
    }
    if kind == libc::SOCK_STREAM && unix_sockets::has_urgent_byte(found.file.as_fd()) {
        return found.refuse("an urgent byte (MSG_OOB) is queued in it");
    }
    queue::collect(found, kind, collection)
}

fn collect_name(
    found: &Found,
    kind: i32,
    diag: &UnixDiag,
    view: &View,
) -> Result<(Option<NameV1>, Option<OwnedFd>)> {
    let what = || format!("Could not read the name of {} of process {}", found.name(), found.pid);
    let Some(bytes) = unix_sockets::own_name(found.file.as_fd()).explain(what)? else {
        return Ok((None, None));
    };
    let held = kind == libc::SOCK_DGRAM || diag.state != CONNECTED;
    let mut name = NameV1 { bytes: ByteBuf::from(bytes), held, node: None };
    if name.bytes[0] == 0 {
        return Ok((Some(name), None));
    }
    let node = open_node(found, &name.bytes, view)?;
    let meta = File::from(node.try_clone().explain(what)?).metadata().explain(what)?;
    name.node = Some(describe_node(found, &node, &meta, &name.bytes, view)?);
    Ok((Some(name), Some(node)))
}

/// The node that a socket is bound to; without the privilege to ask, the one at its path.
fn open_node(found: &Found, name: &[u8], view: &View) -> Result<OwnedFd> {
    match unix_sockets::node(found.file.as_fd()) {
        Ok(node) => return Ok(node),
        Err(sys::Errno::EPERM) => {}
        Err(errno) => {
            return Err(errno).explain(|| format!("Could not find the node of {}", names::printable(name)));
        }
    }
    let cwd = filesystem::link(&format!("/proc/{}/cwd", found.pid))?;
    let path = view.path(&names::join(&cwd, name));
    sys::files::open(&path, libc::O_PATH | libc::O_NOFOLLOW)
        .or_else(|_| found.refuse("its path leads to no socket, and finding out why needs CAP_NET_ADMIN"))
}

fn describe_node(found: &Found, node: &OwnedFd, meta: &Metadata, name: &[u8], view: &View) -> Result<NodeV1> {
    let link = filesystem::link(&format!("/proc/thread-self/fd/{}", node.as_raw_fd()))?;
    let (path, deleted) = strip_deleted(&link, view);
    let root = filesystem::link(&format!("/proc/{}/root", found.pid))?;
    let root = Some(root).filter(|root| root != b"/");
    let cwd = filesystem::link(&format!("/proc/{}/cwd", found.pid))?;
    let inside = |path: &[u8]| {
        let stripped = root.as_deref().and_then(|root| path.strip_prefix(root));
        stripped.unwrap_or(path).to_vec()
    };
    let is_here = |path: &[u8]| {
        let path = [root.as_deref().unwrap_or_default(), path].concat();
        std::fs::symlink_metadata(view.path(&path))
            .is_ok_and(|at| (at.dev(), at.ino()) == (meta.dev(), meta.ino()))
    };
    let relative = name.first() != Some(&b'/');
    let by_path = names::directory_of(path, name).map(inside);
    let cwd = inside(&cwd);
    let candidates = [by_path, Some(cwd)].into_iter().flatten().filter(|_| relative);
    let mut candidates: Vec<Vec<u8>> = candidates.collect();
    let right = candidates.iter().position(|directory| is_here(&names::join(directory, name))).unwrap_or(0);
    let directory = relative.then(|| candidates.swap_remove(right));
    let place = names::join(directory.as_deref().unwrap_or(b"/"), name);
    let renamed = (!deleted && !is_here(&place)).then(|| ByteBuf::from(path.to_vec()));
    Ok(NodeV1 {
        device: meta.dev(),
        inode: meta.ino(),
        renamed,
        directory: directory.map(ByteBuf::from),
        root: root.map(ByteBuf::from),
        deleted,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
    })
}

/// Splits off the mark that the kernel appends to the name of an unlinked file, when it is one.
fn strip_deleted<'p>(path: &'p [u8], view: &View) -> (&'p [u8], bool) {
    match path.strip_suffix(b" (deleted)") {
        Some(stripped) if std::fs::symlink_metadata(view.path(path)).is_err() => (stripped, true),
        _ => (path, false),
    }
}

/// Is this the node of a socket, opened as a file?
pub fn is_node(found: &Found) -> bool {
    found.meta.file_type().is_socket() && found.flags & libc::O_PATH != 0
}

pub fn collect_node(found: &Found, collection: &Collection) -> UnixNodeV1 {
    let (path, _) = strip_deleted(&found.link, &collection.view);
    UnixNodeV1 { file: FileRefV1::new(path, &found.meta) }
}

/// Tells who is connected to whom, now that all are known. Returns the standard streams that lead outside (`stands`
/// tells at which numbers descriptions are open).
pub fn finish(
    stands: &HashMap<DescriptionId, Vec<i32>>,
    collection: &mut Collection,
) -> Result<HashMap<DescriptionId, ExternalV1>> {
    let mut met = std::mem::take(&mut collection.unix.met);
    let externals = externals(stands, &met);
    met.retain(|_, one| !externals.contains_key(&one.socket.description));
    if let Some(one) = met.values().find(|one| one.foreign) {
        return one.refuse(ELSEWHERE);
    }
    let states = met.values().map(|one| Ok((one.socket.id.0, state_of(one, &met, collection)?)));
    let states: Vec<(u64, StateV1)> = states.collect::<Result<_>>()?;
    for (inode, state) in states {
        if let Some(one) = met.get_mut(&inode) {
            one.socket.state = state;
        }
    }
    let held: Vec<u64> = met
        .values()
        .filter(|one| holds_name(one, &met, &collection.sockets))
        .map(|one| one.socket.id.0)
        .collect();
    for one in met.values_mut() {
        let is_held = held.contains(&one.socket.id.0);
        one.socket.name.iter_mut().for_each(|name| name.held |= is_held);
    }
    collection.unix.sockets = met.into_values().map(|one| one.socket).collect();
    Ok(externals)
}

/// Connections to other applications that serve as standard input, output or error.
fn externals(
    stands: &HashMap<DescriptionId, Vec<i32>>,
    met: &BTreeMap<u64, Met>,
) -> HashMap<DescriptionId, ExternalV1> {
    let leads_outside = |one: &&Met| {
        let inside = |peer: u32| met.values().any(|other| other.socket.id.0 as u32 == peer);
        !one.socket.is_datagram() && one.diag.peer.is_some_and(|peer| peer != 0 && !inside(peer))
    };
    let external = |one: &Met| {
        let lowest = stands.get(&one.socket.description)?.iter().min().copied()?;
        let stream = u32::try_from(lowest).ok().filter(|stream| *stream < 3)?;
        Some((one.socket.description, ExternalV1 { stream, name: one.socket.label() }))
    };
    met.values().filter(leads_outside).filter_map(external).collect()
}

fn state_of(one: &Met, met: &BTreeMap<u64, Met>, collection: &mut Collection) -> Result<StateV1> {
    let (diag, name) = (&one.diag, one.peer_name.clone().map(ByteBuf::from));
    if diag.state == LISTENING {
        return listening(one, met);
    }
    match diag.peer.map(u64::from) {
        None => Ok(StateV1::Idle),
        Some(0) if one.socket.is_datagram() || diag.shutdown == 3 && !is_waiting(one, met) => {
            Ok(StateV1::Widowed(name))
        }
        Some(0) if is_waiting(one, met) => Ok(StateV1::Waiting),
        Some(0) => one.refuse("it waits to be accepted by a process outside the application"),
        Some(peer) => match met.values().find(|other| other.socket.id.0 as u32 == peer as u32) {
            Some(other) => Ok(StateV1::Connected(other.socket.id)),
            None => outside(one, peer, name, collection),
        },
    }
}

fn is_waiting(one: &Met, met: &BTreeMap<u64, Met>) -> bool {
    met.values().any(|listener| listener.diag.waiting.contains(&(one.socket.id.0 as u32)))
}

fn listening(one: &Met, met: &BTreeMap<u64, Met>) -> Result<StateV1> {
    let mut waiting = Vec::new();
    for &inode in &one.diag.waiting {
        if inode == 0 {
            return one.refuse("a connection waits in it whose client has closed, and may have sent data");
        }
        let Some(client) = met.values().find(|client| client.socket.id.0 as u32 == inode) else {
            return one.refuse("a connection of a process outside the application waits in it");
        };
        if client.unreceived > 0 {
            return one.refuse("a connection waits in it with data that only accepting it can show");
        }
        if client.diag.shutdown != 0 {
            return one.refuse("a connection waits in it that its client has half closed");
        }
        waiting.push(client.socket.id);
    }
    if one.diag.queue.0 as usize != waiting.len() {
        return one.refuse("the kernel does not tell which connections wait in it");
    }
    Ok(StateV1::Listening { backlog: one.diag.queue.1, waiting })
}

/// A datagram client of another application finds its server again by name.
fn outside(one: &Met, peer: u64, name: Option<ByteBuf>, collection: &mut Collection) -> Result<StateV1> {
    let named = name.as_ref().map_or("without a name".to_owned(), |name| names::printable(name));
    if !one.socket.is_datagram() {
        return one
            .refuse(&format!("it is connected to a socket ({named}) of a process outside the application"));
    }
    match name {
        Some(name) if name[0] == 0 || name[0] == b'/' => {
            collection
                .notes
                .push(format!("{} will be connected to \"{named}\" again, by name", one.socket.label()));
            Ok(StateV1::Outside(name))
        }
        _ => one.refuse(&format!("it is connected to socket {peer} ({named}) outside the application")),
    }
}

/// An accepted socket has the name of its listener; one that was bound itself has it too. Which it is shows where
/// there is no such listener and yet the name is taken.
fn holds_name(one: &Met, met: &BTreeMap<u64, Met>, sockets: &Sockets) -> bool {
    let Some(name) = &one.socket.name else { return false };
    if name.held {
        return true;
    }
    let same = |other: &&Met| {
        other.network == one.network
            && other.socket.name.as_ref().is_some_and(|own| {
                let node = |name: &NameV1| name.node.as_ref().map(|node| (node.device, node.inode));
                own.bytes == name.bytes && node(own) == node(name)
            })
    };
    let alone = met.values().filter(same).count() == 1;
    let node = one.node.as_ref().map(|node| node.as_fd());
    alone && names::is_taken(&name.bytes, node, one.socket.kind, sockets).unwrap_or(false)
}
