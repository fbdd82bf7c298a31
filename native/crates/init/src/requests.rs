//! What each request of an engine does.

use crate::binding;
use crate::blank;
use crate::console::{Console, Guard};
use crate::devices;
use crate::keeper::Keeper;
use crate::link::at;
use crate::program;
use crate::views;
use abi::wire::{Failure, Program, Reply, Request, Status, Step, Streams, TERMINAL};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use sys::{Errno, lifecycle, network};

/// Most descriptors that the helper keeps for others.
const MAX_DEPOSITS: usize = 256;

/// A reply and the descriptors that go with it.
type Answer = (Reply, Vec<OwnedFd>);

/// Answers every complete request of one client. An error means that the connection is of no use any more.
pub fn answer_all(keeper: &mut Keeper, id: u64) -> io::Result<()> {
    loop {
        let Some(client) = keeper.clients.get_mut(&id) else { return Ok(()) };
        let Some((request, descriptors)) = client.link.next()? else { return Ok(()) };
        let answer = answer(keeper, id, request, descriptors);
        let (reply, descriptors) = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => continue,
            Err(failure) => (Reply::Failed(failure), Vec::new()),
        };
        let Some(client) = keeper.clients.get(&id) else { return Ok(()) };
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        client.link.send(&reply, &descriptors)?;
    }
}

fn answer(
    keeper: &mut Keeper,
    id: u64,
    request: Request,
    descriptors: Vec<OwnedFd>,
) -> Result<Option<Answer>, Failure> {
    let reply = match request {
        Request::Status => return status(keeper).map(Some),
        Request::Signal { signal, to } => keeper.family.signal(signal, to).map(|()| Reply::Done)?,
        Request::Seen => {
            keeper.family.release(id);
            return Ok(None);
        }
        Request::WaitRoot => return Ok(wait_root(keeper, id).map(|reply| (reply, Vec::new()))),
        Request::Exec(program) => return exec(keeper, id, &program, descriptors).map(Some),
        Request::Attach { guarded } => return attach(keeper, id, guarded, descriptors).map(Some),
        Request::Detach => detach(keeper, id),
        Request::Spawn { set_tid } => return spawn(&descriptors, set_tid).map(Some),
        Request::AdoptRoot { pid, ending } => keeper.family.adopt(pid, ending).map(|()| Reply::Done)?,
        Request::Keep { name } => keep(keeper, name, descriptors)?,
        Request::Take { name } => return take(keeper, &name).map(Some),
        Request::HoldIds => hold(keeper, id)?,
        Request::ReleaseIds => {
            keeper.translation.iter_mut().for_each(|translation| translation.release(id));
            Reply::Done
        }
        Request::Listen => listen(keeper, descriptors)?,
        Request::OpenIpc(list) => {
            // Where ids are translated, /proc/sysvipc shows the application its own.
            let kernels = keeper.translation.as_ref().and_then(|translation| translation.kernel_list(list));
            let list = kernels.unwrap_or_else(|| devices::open(list)).map_err(at(Step::NoSuchDescriptor))?;
            return Ok(Some((Reply::Descriptor, vec![list])));
        }
        Request::MountView(view) => views::mount(&view).map(|()| Reply::Done)?,
        Request::Bind(bindings) => Reply::Bound { failed: binding::bind_all(&bindings) },
        Request::Commit => {
            keeper.builder = None;
            Reply::Done
        }
        Request::TakeOver { socket } => take_over(keeper, &socket, descriptors)?,
        Request::Yield => {
            keeper.yielded = true;
            return Ok(None);
        }
        Request::Socket { domain, kind, protocol } => {
            let socket = network::socket(domain, kind, protocol).map_err(at(Step::Socket))?;
            return Ok(Some((Reply::Descriptor, vec![socket])));
        }
        Request::Launch(_)
        | Request::Connected
        | Request::Reside(_)
        | Request::Load
        | Request::Beget(_)
        | Request::Unload => {
            return Err(misunderstood());
        }
    };
    Ok(Some((reply, Vec::new())))
}

fn status(keeper: &Keeper) -> Result<Answer, Failure> {
    let own = lifecycle::process_handle(1).map_err(at(Step::NoSuchProcess))?;
    let root = keeper.family.root_handle().map(|root| root.try_clone_to_owned());
    let root = root.transpose().map_err(crate::link::at_io(Step::NoSuchDescriptor))?;
    let status = Status {
        root: keeper.family.root(),
        running: root.is_some(),
        ending: keeper.family.ending(),
        terminal: keeper.console.is_some(),
        hostname: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim_end().to_owned(),
        own: keeper.own,
        yields: true,
    };
    Ok((Reply::Status(status), [own].into_iter().chain(root).collect()))
}

/// Nothing to say yet while the root runs.
fn wait_root(keeper: &mut Keeper, id: u64) -> Option<Reply> {
    if keeper.family.root_handle().is_none() {
        return Some(Reply::RootEnded { ending: keeper.family.ending() });
    }
    keeper.clients.get_mut(&id)?.waits_for_root = true;
    None
}

fn exec(keeper: &mut Keeper, id: u64, program: &Program, given: Vec<OwnedFd>) -> Result<Answer, Failure> {
    let started = program::start(program, &given, keeper.translation.as_ref())?;
    keeper.family.add_command(started.pid, id);
    keeper.hear(started.listener);
    if let (Streams::Terminal { like: true, .. }, Some(client)) =
        (&program.streams, keeper.clients.get_mut(&id))
    {
        client.guard = given.into_iter().next().and_then(Guard::new);
    }
    let descriptors = [started.pidfd].into_iter().chain(started.master).collect();
    Ok((Reply::Started { pid: started.pid }, descriptors))
}

fn attach(keeper: &mut Keeper, id: u64, guarded: bool, given: Vec<OwnedFd>) -> Result<Answer, Failure> {
    let console = keeper.console.as_ref().ok_or(no_descriptor())?;
    let master = console.as_fd().try_clone_to_owned().map_err(crate::link::at_io(Step::NoSuchDescriptor))?;
    if let Some(client) = keeper.clients.get_mut(&id) {
        client.attached = true;
        client.guard = given.into_iter().next().filter(|_| guarded).and_then(Guard::new);
    }
    Ok((Reply::Descriptor, vec![master]))
}

fn detach(keeper: &mut Keeper, id: u64) -> Reply {
    if let Some(client) = keeper.clients.get_mut(&id) {
        client.attached = false;
        client.guard = None;
    }
    Reply::Done
}

fn spawn(given: &[OwnedFd], set_tid: Option<i32>) -> Result<Answer, Failure> {
    let (executable, inherited) = match given {
        [executable] => (executable, None),
        [executable, inherited] => (executable, Some(inherited)),
        _ => return Err(misunderstood()),
    };
    let blank = blank::spawn(executable, inherited, set_tid)?;
    Ok((Reply::Spawned { pid: blank.pid }, vec![blank.pidfd, blank.go.into()]))
}

fn keep(keeper: &mut Keeper, name: String, given: Vec<OwnedFd>) -> Result<Reply, Failure> {
    let [descriptor] = <[OwnedFd; 1]>::try_from(given).map_err(|_| misunderstood())?;
    if name == TERMINAL {
        keeper.console = Some(Console::new(descriptor));
    } else if keeper.deposits.len() < MAX_DEPOSITS || keeper.deposits.contains_key(&name) {
        keeper.deposits.insert(name, descriptor);
    } else {
        return Err(misunderstood());
    }
    Ok(Reply::Done)
}

/// Two snapshots at once would each have to hold the table.
fn hold(keeper: &mut Keeper, id: u64) -> Result<Reply, Failure> {
    let held = keeper.translation.as_mut().is_none_or(|translation| translation.hold(id));
    if held { Ok(Reply::Done) } else { Err(Failure { step: Step::Translation, errno: Errno::EBUSY.0 }) }
}

fn listen(keeper: &mut Keeper, given: Vec<OwnedFd>) -> Result<Reply, Failure> {
    let [listener] = <[OwnedFd; 1]>::try_from(given).map_err(|_| misunderstood())?;
    keeper.hear(Some(listener));
    Ok(Reply::Done)
}

fn take_over(keeper: &mut Keeper, socket: &str, given: Vec<OwnedFd>) -> Result<Reply, Failure> {
    let [state, predecessor] = <[OwnedFd; 2]>::try_from(given).map_err(|_| misunderstood())?;
    keeper.take_over(socket, state, predecessor).map_err(at(Step::TakeOver))?;
    Ok(Reply::Done)
}

fn take(keeper: &Keeper, name: &str) -> Result<Answer, Failure> {
    let console = keeper.console.as_ref().filter(|_| name == TERMINAL).map(AsFd::as_fd);
    let descriptor = console.or_else(|| keeper.deposits.get(name).map(AsFd::as_fd)).ok_or(no_descriptor())?;
    let descriptor = descriptor.try_clone_to_owned().map_err(crate::link::at_io(Step::NoSuchDescriptor))?;
    Ok((Reply::Descriptor, vec![descriptor]))
}

fn misunderstood() -> Failure {
    Failure { step: Step::Understand, errno: Errno::EINVAL.0 }
}

fn no_descriptor() -> Failure {
    Failure { step: Step::NoSuchDescriptor, errno: Errno::ENOENT.0 }
}
