//! A capsule in which a restore builds its application.

use crate::capsule::{Capsule, take};
use crate::exec::{self, ExecSpec};
use crate::helper::{Begun, Init};
use crate::interposition::{Interposition, translation};
use crate::link::{Link, LinkError};
use crate::meta::{HelperProcess, Volume};
use crate::network::{Connections, Inheritance, SocketMaker};
use crate::registration::{Particulars, Registration, register};
use crate::start::{open_log, require_helper};
use crate::succession::register_successor;
use crate::{Aid, faults, helper, home, hosted, launched};
use abi::network::OwnNetwork;
use abi::request::{Home, Origin};
use abi::wire::{ClockOffsets, Ending, Launch, Reply, Request, Step, View};
use abi::{Code, Control, Fault};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use sys::poll::{Interest, poll};

/// What the restored application is called and where its clocks stand.
pub struct BuildSpec {
    pub name: String,
    /// The command that it was started with once.
    pub command: Vec<String>,
    pub hostname: Option<String>,
    /// Makes a time namespace: nanoseconds added to the host's clocks.
    pub clock_offsets: Option<ClockOffsets>,
    /// Whether the application has a terminal whose master the helper shall keep.
    pub terminal: bool,
    /// Translate System V ids instead of making an IPC namespace.
    pub interposition: Option<Interposition>,
    /// Whether it has a `/dev/shm` of its own.
    pub own_shared_memory: bool,
    /// The template that it comes from, for a clone.
    pub origin: Option<Origin>,
    /// What its own network namespace has, if it gets one.
    pub network: Option<OwnNetwork>,
    /// The running application whose place it takes: name and AID are that one's then.
    pub replaces: Option<Capsule>,
}

/// A capsule without an application yet. Everything in it, its folder and its socket vanish when this is dropped
/// before [`commit`](Self::commit), or when its maker dies.
pub struct Building {
    // Dropped in this order: first the processes, then what leads out of their network, then the folder.
    scaffold: Scaffold,
    connections: Option<Connections>,
    pub(crate) registration: Registration,
    pub(crate) init: i32,
    replaces: Option<Capsule>,
    attempt: String,
}

/// The connection that holds an unfinished capsule up.
struct Scaffold {
    link: Option<Link>,
    init_handle: OwnedFd,
    committed: bool,
}

impl Drop for Scaffold {
    fn drop(&mut self) {
        drop(self.link.take());
        if !self.committed {
            // The helper ends with its maker's connection, and every process in there with it.
            let _ = poll(&[(self.init_handle.as_fd(), Interest::Readable)], Some(END_PATIENCE));
        }
    }
}

/// How long the kernel may take to remove what a restore that failed had built.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// A process that waits to become the executable that it was made with. It ends when this is dropped.
#[derive(Debug)]
pub struct Blank {
    /// Its pid in the application's PID namespace.
    pub pid: i32,
    /// Its pid on the host.
    pub host_pid: i32,
    pub pidfd: OwnedFd,
    go: File,
}

impl Blank {
    /// Lets it execute its executable. Seize it by ptrace before: `PTRACE_EVENT_EXEC` is then its first stop.
    ///
    /// # Errors
    /// When it has ended meanwhile.
    pub fn release(mut self) -> std::io::Result<OwnedFd> {
        self.go.write_all(b"!")?;
        Ok(self.pidfd)
    }
}

/// Starts an empty capsule. `init` is the helper's executable.
///
/// # Errors
/// When the name is taken or the host lacks something; nothing is left then.
pub fn build(home: &Home, mut spec: BuildSpec, init: Init<'_>) -> Result<Building, Fault> {
    let attempt = format!("restore \"{}\"", spec.name);
    require_helper(init, &attempt)?;
    let mut replaces = spec.replaces.take();
    let mut inherited = Inheritance::default();
    if let (Some(predecessor), Some(own)) = (&mut replaces, &mut spec.network) {
        inherited = Inheritance::of(predecessor, own)?;
    }
    let particulars = Particulars {
        name: spec.name,
        command: spec.command,
        hostname: spec.hostname.clone(),
        terminal: spec.terminal,
        translation: translation(home, spec.interposition)?,
        origin: spec.origin,
        network: spec.network,
        volumes: Vec::new(),
    };
    let registration = match &replaces {
        Some(predecessor) => register_successor(home, predecessor.successor(particulars))?,
        None => register(home, particulars)?,
    };
    let message = Launch {
        user: helper::user_namespace().map_err(faults::files(&attempt))?,
        hostname: spec.hostname,
        clock_offsets: spec.clock_offsets,
        socket: registration.socket_name(),
        own_shared_memory: spec.own_shared_memory,
        program: None,
        translation: registration.meta.translation.clone(),
        own_network: registration.meta.network.is_some(),
        // With what else is mounted.
        names: None,
    };
    begin(registration, replaces, message, init, inherited, &attempt).map_err(faults::about(&attempt))
}

fn begin(
    mut registration: Registration,
    replaces: Option<Capsule>,
    message: Launch,
    init: Init<'_>,
    inherited: Inheritance,
    attempt: &str,
) -> Result<Building, LinkError> {
    let own = registration.meta.network.as_ref();
    let begun = helper::launch(init, message, &registration.descriptors(), own, inherited)?;
    let Begun { mut link, reply: Reply::Done, connections, .. } = begun else {
        return Err(LinkError::Confused);
    };
    if let Some(connections) = &connections {
        connections.hand_over(&mut link)?;
        registration.meta.network = Some(connections.own().clone());
    }
    let report = helper::report(&mut link)?;
    Ok(Building {
        scaffold: Scaffold { link: Some(link), init_handle: report.init_handle, committed: false },
        connections,
        registration,
        replaces,
        init: report.init,
        attempt: attempt.to_owned(),
    })
}

impl Building {
    /// The token that a clone finds in a file; none for what is no clone.
    #[must_use]
    pub fn generation_token(&self) -> Option<String> {
        self.registration.meta.generation_token()
    }

    /// The new application's id.
    #[must_use]
    pub fn aid(&self) -> &Aid {
        &self.registration.meta.aid
    }

    /// The helper on the host: PID 1 of the namespaces that everything is built in (`/proc/INIT/ns`).
    #[must_use]
    pub fn init(&self) -> i32 {
        self.init
    }

    #[must_use]
    pub fn init_handle(&self) -> &OwnedFd {
        &self.scaffold.init_handle
    }

    /// What makes sockets in the capsule, also while another application has its name.
    ///
    /// # Errors
    /// When the helper does not answer.
    pub fn socket_maker(&self, home: &Home) -> Result<SocketMaker, Fault> {
        SocketMaker::connect_to(home, &self.registration.socket_name(), self.aid())
    }

    /// The new application's state folder.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.registration.folder
    }

    /// Shows the application a folder of its own. False when the kernel does not allow such a view here.
    ///
    /// # Errors
    /// When the helper does not answer.
    pub fn mount(&mut self, view: View) -> Result<bool, Fault> {
        match self.link().and_then(|link| link.tell(&Request::MountView(view), &[])) {
            Ok(()) => Ok(true),
            Err(LinkError::Failed(failure)) if failure.step == Step::View => Ok(false),
            Err(error) => Err(self.fault(error)),
        }
    }

    /// Notes which folders belong to the application's state.
    pub fn note_volumes(&mut self, volumes: Vec<Volume>) {
        self.registration.meta.volumes = volumes;
    }

    /// The log of the new application, for appending: what a detached one has as its output.
    pub fn log(&self) -> Result<File, Fault> {
        open_log(self.registration.home_folder()).map_err(faults::files(&self.attempt))
    }

    /// Makes a process, a child of the helper, with every signal at its default and unblocked, `/dev/null` as its
    /// standard streams, `inherited` as descriptor 3 and no other, and (in a user namespace, too) all the helper's capabilities after the
    /// execution as well. It is in the helper's session and process group.
    ///
    /// # Errors
    /// [`Code::RestoreFailed`] when `set_tid` is taken or cannot be had.
    pub fn spawn_blank(
        &mut self,
        executable: impl AsFd,
        inherited: Option<BorrowedFd<'_>>,
        set_tid: Option<i32>,
    ) -> Result<Blank, Fault> {
        let request = Request::Spawn { set_tid };
        let given: Vec<_> = [executable.as_fd()].into_iter().chain(inherited).collect();
        let answer = self.link().and_then(|link| link.ask(&request, &given));
        match answer {
            Ok((Reply::Spawned { pid }, descriptors)) => {
                blank(pid, descriptors).map_err(|error| self.fault(error))
            }
            Ok(_) => Err(self.fault(LinkError::Confused)),
            Err(error) => {
                let wish = set_tid.map_or("any pid".to_owned(), |pid| format!("pid {pid}"));
                Err(self.fault(error).because(format!("a process with {wish} could not be made")))
            }
        }
    }

    /// Names the process whose end is the application's exit status: its pid in the application's namespace, or
    /// `None` with what is known when it had ended before the snapshot.
    pub fn adopt_root(&mut self, pid: Option<i32>, ending: Option<Ending>) -> Result<(), Fault> {
        self.tell(&Request::AdoptRoot { pid, ending }, &[])
    }

    /// Lets the helper keep a descriptor; under the name "terminal" it is the master of the application's terminal.
    pub fn keep(&mut self, name: &str, descriptor: impl AsFd) -> Result<(), Fault> {
        self.tell(&Request::Keep { name: name.to_owned() }, &[descriptor.as_fd()])
    }

    /// A duplicate of a descriptor that the helper keeps.
    pub fn take(&mut self, name: &str) -> Result<Option<OwnedFd>, Fault> {
        self.link().and_then(|link| take(link, name)).map_err(|error| self.fault(error))
    }

    /// Lets the helper answer the questions of a filter that a process of the application has installed.
    pub fn listen(&mut self, listener: impl AsFd) -> Result<(), Fault> {
        self.tell(&Request::Listen, &[listener.as_fd()])
    }

    /// Runs a command in the capsule, where the application does not run yet, and waits for its end.
    pub fn run(&mut self, spec: ExecSpec, control: &Control) -> Result<Option<Ending>, Fault> {
        let meta = self.registration.meta.clone();
        let ended = self.link().and_then(|link| exec::run(link, &meta, spec, control));
        ended.map(|(_, ending)| ending).map_err(|error| self.fault(error))
    }

    /// Lets packets pass to and from other network namespaces.
    ///
    /// # Errors
    /// When what leads there has gone.
    pub fn open_network(&mut self) -> Result<(), Fault> {
        self.connections.as_mut().map_or(Ok(()), Connections::open)
    }

    /// The application is complete and lives on its own from here. With `attached`, this process is about to
    /// [`attach`](crate::attach()) to it.
    ///
    /// # Errors
    /// Nothing is left behind then.
    pub fn commit(mut self, attached: bool) -> Result<Aid, Fault> {
        let init = helper::process(self.init).map_err(faults::files(&self.attempt))?;
        if let Some(predecessor) = self.replaces.take() {
            return self.succeed(predecessor, init);
        }
        self.registration.note(init).map_err(faults::files(&self.attempt))?;
        let master = if attached { self.take(abi::wire::TERMINAL)? } else { None };
        self.tell(&Request::Commit, &[])?;
        self.scaffold.committed = true;
        // From here the application lives, and nothing may fail any more.
        self.connections.into_iter().for_each(Connections::keep);
        let meta = self.registration.keep();
        if let (true, Some(link)) = (attached, self.scaffold.link.take()) {
            launched::remember(meta.aid.clone(), link, master);
        }
        Ok(meta.aid)
    }

    /// The same for an application that takes another's place. The helper does all that matters by itself once it has the
    /// message, whatever becomes of this command. Returns when the other helper has gone, and every process with it got SIGKILL;
    /// one that this command traces ends when it is waited for.
    fn succeed(mut self, mut predecessor: Capsule, init: HelperProcess) -> Result<Aid, Fault> {
        // The helper takes it along, so that it is never the other application's.
        self.registration.note_here(init).map_err(faults::files(&self.attempt))?;
        let state = File::open(self.registration.home_folder()).map_err(faults::files(&self.attempt))?;
        let request = Request::TakeOver { socket: home::socket_name(&self.registration.meta.aid) };
        self.tell(&request, &[state.as_fd(), predecessor.link().as_fd()])?;
        self.scaffold.committed = true;
        if let Some(connections) = self.connections.take() {
            connections.keep();
        }
        predecessor.await_end();
        Ok(self.registration.keep().aid)
    }

    fn tell(&mut self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<(), Fault> {
        self.link().and_then(|link| link.tell(request, descriptors)).map_err(|error| self.fault(error))
    }

    pub(crate) fn link(&mut self) -> Result<&mut Link, LinkError> {
        self.scaffold.link.as_mut().ok_or(LinkError::Ended)
    }

    pub(crate) fn fault(&self, error: LinkError) -> Fault {
        let mut fault = faults::about(&self.attempt)(error);
        if matches!(fault.code, Code::Other | Code::NoTarget) {
            fault.code = Code::RestoreFailed;
        }
        fault
    }
}

pub fn blank(pid: i32, descriptors: Vec<OwnedFd>) -> Result<Blank, LinkError> {
    let [pidfd, go] = <[OwnedFd; 2]>::try_from(descriptors).map_err(|_| LinkError::Confused)?;
    let host_pid = hosted::pid_of(pidfd.as_fd())?;
    Ok(Blank { pid, host_pid, pidfd, go: go.into() })
}
