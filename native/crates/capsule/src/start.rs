//! Starting an application in a capsule of its own.

use crate::helper::{Begun, Init};
use crate::interposition::{Interposition, translation};
use crate::link::{Link, LinkError};
use crate::meta::{Meta, Volume};
use crate::network::{Connections, Inheritance};
use crate::registration::{Particulars, Registration, register};
use crate::{Aid, faults, helper, hosted, launched, names};
use abi::network::OwnNetwork;
use abi::request::Home;
use abi::wire::{LOG_FILE, Launch, Program, Recipient, Reply, Request, Streams};
use abi::{Code, Fault};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use sys::signals::SIGKILL;
use sys::terminal;

/// The environment variable that holds the AID of the application that a program was started in.
const AID_VARIABLE: &str = "STASIS_AID";

/// The environment variable that holds the generation token of a clone.
const GENERATION_VARIABLE: &str = "STASIS_GENERATION";

/// What to run.
pub struct RunSpec {
    pub name: String,
    pub argv: Vec<String>,
    /// The complete environment.
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    pub hostname: Option<String>,
    pub output: Output,
    /// Translate System V ids instead of making an IPC namespace.
    pub interposition: Option<Interposition>,
    /// What its own network namespace has, if it gets one.
    pub network: Option<OwnNetwork>,
    /// Folders of the host that belong to its state.
    pub volumes: Vec<String>,
    /// Whether the caller will [`attach`](crate::attach()) from this process: nothing is logged until then.
    pub attached: bool,
}

/// Where the application's standard streams lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Input from nowhere, output to the log.
    Log,
    /// To the caller's own standard streams.
    Inherit,
    /// To a pseudo terminal that the helper keeps.
    Terminal,
}

/// An application that runs.
#[derive(Debug)]
pub struct Started {
    pub aid: Aid,
    pub name: String,
    /// Its root process, as the host sees it.
    pub pid: i32,
}

/// Starts an application. `init` is the helper's executable.
///
/// # Errors
/// When the name is taken, the host lacks something, or the command cannot be executed; nothing is left then.
pub fn start(home: &Home, spec: RunSpec, init: &[u8]) -> Result<Started, Fault> {
    let command = spec.argv.first().cloned().unwrap_or_default();
    let attempt = format!("run \"{command}\"");
    require_helper(init.into(), &attempt)?;
    let registration = register(
        home,
        Particulars {
            name: spec.name.clone(),
            command: spec.argv.clone(),
            hostname: spec.hostname.clone(),
            terminal: spec.output == Output::Terminal,
            translation: translation(home, spec.interposition)?,
            origin: None,
            network: spec.network.clone(),
            volumes: spec.volumes.iter().map(|path| Volume { path: path.clone(), view: None }).collect(),
        },
    )?;
    begin(registration, home, spec, init).map_err(|error| match error {
        // The helper vanished before it could say why.
        LinkError::Ended => Fault::new(Code::Internal, format!("Could not {attempt}"))
            .because("the capsule's helper ended without a word"),
        error => faults::about(&attempt)(error),
    })
}

/// A library that was built without the helper cannot start one.
pub fn require_helper(init: Init<'_>, attempt: &str) -> Result<(), Fault> {
    if init.is_missing() {
        return Err(Fault::new(Code::Internal, format!("Could not {attempt}"))
            .because("this build of stasis does not contain the capsule's helper"));
    }
    Ok(())
}

fn begin(
    mut registration: Registration,
    home: &Home,
    spec: RunSpec,
    init: &[u8],
) -> Result<Started, LinkError> {
    let streams = open_streams(&registration, spec.output)?;
    let mut descriptors = registration.descriptors().to_vec();
    descriptors.extend(streams.iter().map(AsFd::as_fd));
    let message = Launch {
        user: helper::user_namespace()?,
        hostname: spec.hostname,
        clock_offsets: None,
        socket: registration.socket_name(),
        translation: registration.meta.translation.clone(),
        own_shared_memory: true,
        own_network: spec.network.is_some(),
        names: names::binding(home, spec.network.as_ref()),
        program: Some(Program {
            argv: spec.argv,
            env: environment(spec.env, &registration.meta),
            cwd: spec.cwd.to_string_lossy().into_owned(),
            streams: stream_kind(spec.output),
            nofile: soft_nofile(),
        }),
    };
    let begun =
        helper::launch(init.into(), message, &descriptors, spec.network.as_ref(), Inheritance::default())?;
    let Begun { mut link, reply, descriptors, connections } = begun;
    let (Reply::Started { .. }, [pidfd, master @ ..]) = (reply, descriptors.as_slice()) else {
        return Err(LinkError::Confused);
    };
    let settled = settle(&mut link, pidfd, &mut registration, connections.as_ref());
    let pid = settled.inspect_err(|_| {
        // It runs already, and nobody would know of it.
        let _ = link.send(&Request::Signal { signal: SIGKILL, to: Recipient::All }, &[]);
    })?;
    connections.into_iter().for_each(Connections::keep);
    let meta = registration.keep();
    if spec.attached {
        let master = master.first().map(OwnedFd::try_clone).transpose()?;
        launched::remember(meta.aid.clone(), link, master);
    }
    Ok(Started { aid: meta.aid, name: meta.name, pid })
}

/// The environment of a program in a capsule, `NAME=value`: what its caller gave it, which application it is of, and
/// in a clone what its rules say and its generation token.
pub fn environment(given: BTreeMap<String, String>, meta: &Meta) -> Vec<String> {
    let mut own = vec![format!("{AID_VARIABLE}={}", meta.aid)];
    let ruled = &meta.lasting.environment;
    own.extend(ruled.iter().map(|(name, value)| format!("{name}={value}")));
    let token = meta.generation_token().map(|token| format!("{GENERATION_VARIABLE}={token}"));
    let given = given
        .into_iter()
        .filter(|(name, _)| name != AID_VARIABLE && name != GENERATION_VARIABLE && !ruled.contains_key(name));
    given.map(|(name, value)| format!("{name}={value}")).chain(own).chain(token).collect()
}

/// Writes down who the helper is and learns the application's pid on the host.
fn settle(
    link: &mut Link,
    pidfd: &OwnedFd,
    registration: &mut Registration,
    connections: Option<&Connections>,
) -> Result<i32, LinkError> {
    let pid = hosted::pid_of(pidfd.as_fd())?;
    if let Some(connections) = connections {
        connections.hand_over(link)?;
        registration.meta.network = Some(connections.own().clone());
    }
    let report = helper::report(link)?;
    registration.note(helper::process(report.init)?)?;
    link.send(&Request::Seen, &[])?;
    Ok(pid)
}

/// What goes with the launch message for the application's streams.
fn open_streams(registration: &Registration, output: Output) -> io::Result<Vec<OwnedFd>> {
    match output {
        Output::Log => {
            let log = open_log(&registration.folder)?;
            Ok(vec![File::open("/dev/null")?.into(), log.try_clone()?.into(), log.into()])
        }
        Output::Inherit => own_streams(),
        Output::Terminal => own_terminal().into_iter().map(|fd| fd.try_clone_to_owned()).collect(),
    }
}

/// The log of an application, for appending.
pub fn open_log(folder: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(folder.join(LOG_FILE))
}

/// Duplicates of the caller's standard input, output and error.
pub fn own_streams() -> io::Result<Vec<OwnedFd>> {
    let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
    [input.as_fd(), output.as_fd(), error.as_fd()].into_iter().map(|fd| fd.try_clone_to_owned()).collect()
}

/// Nothing to read, nowhere to write, and a duplicate of the caller's standard error.
pub fn quiet_streams() -> io::Result<Vec<OwnedFd>> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    Ok(vec![null.try_clone()?.into(), null.into(), io::stderr().as_fd().try_clone_to_owned()?])
}

/// The terminal that the caller sits at, if its standard input is one.
pub fn own_terminal() -> Option<BorrowedFd<'static>> {
    // Standard input is never closed, and its handle lives as long as the process.
    static INPUT: std::sync::LazyLock<io::Stdin> = std::sync::LazyLock::new(io::stdin);
    INPUT.is_terminal().then(|| INPUT.as_fd())
}

/// How the helper shall set up the program's streams.
pub fn stream_kind(output: Output) -> Streams {
    if output != Output::Terminal {
        return Streams::Given;
    }
    let own = own_terminal();
    let size = own.and_then(|fd| terminal::window_size(fd).ok());
    let size = size.unwrap_or(terminal::WindowSize { rows: 24, columns: 80 });
    Streams::Terminal { rows: size.rows, columns: size.columns, like: own.is_some() }
}

/// The soft limit of open files that an application shall have. The runtime that this library lives in raises its own
/// to the hard limit, which select(2) and programs that close every possible descriptor suffer from; what the process
/// that started this one has is what the user meant. Not so where the hard limits differ: somebody chose them then.
pub fn soft_nofile() -> u64 {
    let limits = |pid: &str| -> Option<(u64, u64)> {
        let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap_or(u64::MAX));
        numbers.next().zip(numbers.next())
    };
    let (soft, hard) = limits("self").unwrap_or((u64::MAX, u64::MAX));
    let parent = limits(&std::os::unix::process::parent_id().to_string());
    parent.filter(|parent| parent.1 == hard && soft == hard).map_or(soft, |parent| parent.0)
}
