//! What the engine and a capsule's helper (PID 1 of the application's PID namespace) say to each other.
//!
//! Both sides are of one build when a capsule starts, but a capsule outlives the command, and the command may be
//! replaced meanwhile: fields and variants may be added, never changed.
//!
//! Descriptors that go with a message are named in its comment, in their order. Pids are those of the
//! application's PID namespace; a pidfd goes along where the engine needs the pid that it sees itself.

use serde::{Deserialize, Serialize};

/// How a process ended: `{"code": n}` or `{"signal": n}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Code(i32),
    Signal(i32),
}

/// What `DATA/apps/AID/status.json` holds once the application's root process has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusFile {
    /// How the root process ended; absent while it runs, and when it was not in the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Ending>,
    /// Whether no process of the application is left. Without it, a capsule that cannot be reached is lost.
    pub finished: bool,
    /// Whether this was a restore that its maker gave up or did not live to finish: there never was an application.
    #[serde(default)]
    pub given_up: bool,
}

/// The name of that file.
pub const STATUS_FILE: &str = "status.json";
/// The file in the same folder that output goes to while nobody is attached.
pub const LOG_FILE: &str = "log";
/// The deposit that holds the master of the application's terminal.
pub const TERMINAL: &str = "terminal";

/// The deposit that holds the table of virtual ids of an application whose ids are translated.
pub const IDS: &str = "ids";

/// The first message to the helper. Descriptors: the bound socket to listen on, the application's state folder, the
/// folder of that socket; then those of `program`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch {
    /// Make a user namespace that maps this user and group to themselves (a caller without CAP_SYS_ADMIN).
    pub user: Option<User>,
    pub hostname: Option<String>,
    pub clock_offsets: Option<ClockOffsets>,
    /// The socket's name in its folder; removed at the end.
    pub socket: String,
    /// Mount a `/dev/shm` that belongs to the application alone.
    #[serde(default)]
    pub own_shared_memory: bool,
    /// What to run. Without it the helper waits for a restore to build the application, and ends with its maker
    /// until it is told to [`Request::Commit`].
    pub program: Option<Program>,
    /// Translate System V ids, instead of making an IPC namespace.
    #[serde(default)]
    pub translation: Option<Translation>,
    /// Make a network namespace, whose loopback interface is up. The helper answers with [`Reply::NetworkMade`] before it
    /// goes on, and waits for [`Request::Connected`].
    #[serde(default)]
    pub own_network: bool,
    /// What is mounted before the program starts. Without the target it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Binding>,
}

/// How System V ids are translated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translation {
    /// Where the application finds the library, the core and its table: an existing folder, which the helper covers in
    /// the capsule's mount namespace.
    pub folder: String,
    /// Programs load the library (`LD_PRELOAD`).
    pub library: bool,
    /// Calls that do not come from the core are sent to the helper.
    pub kernel: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// What `timens_offsets` gets: nanoseconds added to the host's clocks (time_namespaces(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffsets {
    pub monotonic_ns: i64,
    pub boottime_ns: i64,
}

/// A program to run inside the capsule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    pub argv: Vec<String>,
    /// The complete environment, `NAME=value`.
    pub env: Vec<String>,
    pub cwd: String,
    pub streams: Streams,
    /// Its soft limit of open files. The helper's own is as high as it may be.
    pub nofile: u64,
}

/// Where standard input, output and error of a program lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Streams {
    /// To the three descriptors that go with the message.
    Given,
    /// To a new pseudo terminal. Descriptors: the user's terminal whose settings it starts with, when `like`.
    Terminal { rows: u16, columns: u16, like: bool },
}

/// What a capsule has for itself in `/dev`, where an older one has the host's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Own {
    /// An instance of devpts at `/dev/pts`, so that terminals have numbers of the application's own.
    pub terminals: bool,
    /// A tmpfs at `/dev/shm`.
    pub shared_memory: bool,
}

/// Lists of the objects in the capsule's IPC namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpcList {
    /// `/proc/sysvipc/shm`
    Segments,
    /// `/proc/sysvipc/sem`
    Semaphores,
    /// `/proc/sysvipc/msg`
    Queues,
    /// The root folder of the namespace's mqueue file system (mq_overview(7)).
    PosixQueues,
}

/// What a signal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// The root process; once it has ended, the processes that the helper is the parent of.
    Root,
    /// Every process of the application.
    All,
}

/// A folder of its own that an application sees at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// An existing folder, which the view covers in the capsule's mount namespace.
    pub target: String,
    /// The view's part of the application's state folder; absolute.
    pub folder: String,
    pub kind: ViewKind,
}

/// What a view is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewKind {
    /// An overlay of `lower`, `upper` and `work`. `user`: it marks its layers in attributes of the user, as it must in a
    /// user namespace.
    Overlay { user: bool },
    /// The folder `tree`.
    Copy,
}

/// From the engine to the helper.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Launch(Launch),
    /// Answered by [`Reply::Status`].
    Status,
    Signal {
        signal: i32,
        to: Recipient,
    },
    /// The engine has looked at the pidfd of [`Reply::Started`], and that process may be reaped: before that it keeps
    /// its pid. Not answered.
    Seen,
    /// Answered by [`Reply::RootEnded`], at once or later. That no process is left shows as the end of the stream.
    WaitRoot,
    /// Answered by [`Reply::Started`], then by [`Reply::Ended`].
    Exec(Program),
    /// Answered by [`Reply::Descriptor`] with the master of the application's terminal; output is not logged while
    /// the connection lasts. Descriptors: the user's terminal, when `guarded`: its settings are put back if the
    /// connection ends without a [`Request::Detach`].
    Attach {
        guarded: bool,
    },
    Detach,
    /// Makes a process that waits to be released. Descriptors: the executable that it becomes then, and perhaps one
    /// that this gets as its number 3. Answered by [`Reply::Spawned`].
    Spawn {
        set_tid: Option<i32>,
    },
    /// Names the root process of a restored application; `None` when it had ended before the snapshot.
    AdoptRoot {
        pid: Option<i32>,
        ending: Option<Ending>,
    },
    /// Deposits one descriptor under a name.
    Keep {
        name: String,
    },
    /// Answered by [`Reply::Descriptor`].
    Take {
        name: String,
    },
    /// Lets nobody make or remove ids until [`Request::ReleaseIds`] or the end of the connection.
    HoldIds,
    ReleaseIds,
    /// The helper is to answer the questions of a filter. Descriptors: its listener.
    Listen,
    /// The restored application lives on its own from here.
    Commit,
    /// Answered by [`Reply::Descriptor`]: the list, open for reading.
    OpenIpc(IpcList),
    /// The restored application takes the place of a running one: it lives on its own from here, under the socket of that
    /// name, and the other helper is told to [`Request::Yield`]. A failure leaves both as they were. Descriptors: the
    /// state folder of that application, a connection to its helper.
    TakeOver {
        socket: String,
    },
    /// Another capsule has this application's place, its folder and its socket: ends with all processes, and records
    /// nothing. Not answered: the stream ends.
    Yield,
    /// Shows what is at each source at its target as well: absolute paths, all sources as they were before the first.
    /// Answered by [`Reply::Bound`].
    Bind(Vec<Binding>),
    /// Shows the application a folder, before there is one.
    MountView(View),
    /// Whatever is to lead out of the new network namespace is there. Answered as [`Request::Launch`] is.
    Connected,
    /// Makes a socket in the application's network namespace (socket(2)), close-on-exec. Answered by
    /// [`Reply::Descriptor`].
    Socket {
        domain: i32,
        kind: i32,
        protocol: i32,
    },
    /// The first message to a helper that is to hold the memory of a template. Descriptors: the bound socket to listen
    /// on, its folder. Then a [`Request::Keep`] for each pack, named by its index, one [`Request::Load`], and
    /// [`Request::Commit`]; until that the helper ends with its maker.
    Reside(Residence),
    /// Descriptors: a `residence::Plan` as JSON. Answered when all is in memory, by [`Reply::Descriptor`] with the pidfd
    /// of the helper.
    Load,
    /// Makes a process in a capsule out of the memory that the helper holds; otherwise as [`Request::Spawn`].
    /// Descriptors: the pidfd of the capsule's helper, and perhaps one that the process gets as its number 3.
    Beget(Birth),
    /// Ends the helper. Processes that were made of its memory keep what they have.
    Unload,
}

/// Who a resident helper is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residence {
    /// Files in its folder to remove at the end: its socket, and what the engine writes about it.
    pub files: Vec<String>,
}

/// A process to be made of a template's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    pub set_tid: i32,
    /// A pid that nobody has in the capsule, for an intermediate.
    pub spare: i32,
    /// The namespaces to enter, as CLONE_NEW* bits.
    pub namespaces: i32,
    /// Whether to enter the time namespace as well.
    pub time: bool,
}

/// From the helper to the engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Done,
    Failed(Failure),
    Status(Status),
    RootEnded {
        ending: Option<Ending>,
    },
    /// Descriptors: pidfd, then the master of the program's terminal when it has one.
    Started {
        pid: i32,
    },
    Ended {
        ending: Ending,
    },
    /// Descriptors: pidfd, the pipe that releases the process by one byte and ends it when closed.
    Spawned {
        pid: i32,
    },
    /// Descriptors: the one that was asked for.
    Descriptor,
    /// Descriptors: the new network namespace.
    NetworkMade,
    /// None is left out but the one that failed and those after it.
    Bound {
        failed: Option<Unbound>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub source: String,
    pub target: String,
    /// Nothing can be written by this way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// The first binding that could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unbound {
    pub index: usize,
    pub errno: i32,
}

/// Descriptors: pidfd of the helper, pidfd of the root process when `running`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Pid of the root process, once there is one.
    pub root: Option<i32>,
    /// Whether the root process runs.
    pub running: bool,
    pub ending: Option<Ending>,
    /// Whether the helper holds the master of a terminal.
    pub terminal: bool,
    /// The host name in the application's UTS namespace.
    #[serde(default)]
    pub hostname: String,
    #[serde(default)]
    pub own: Own,
    /// Whether it knows [`Request::Yield`].
    #[serde(default)]
    pub yields: bool,
}

/// What the helper could not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub step: Step,
    pub errno: i32,
}

/// Steps of the helper that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Understand,
    UserNamespace,
    MapUser,
    Namespaces,
    ClockOffsets,
    Mounts,
    MountProc,
    SharedMemory,
    Hostname,
    Listen,
    Fork,
    Terminal,
    Session,
    WorkingFolder,
    Execute,
    Signal,
    NoSuchDescriptor,
    NoSuchProcess,
    Translation,
    Filter,
    /// Filling memory from the packs of a template.
    Load,
    /// Entering a capsule to make a process there.
    Enter,
    NetworkNamespace,
    Loopback,
    Socket,
    View,
    TakeOver,
    /// Mounting the names of an environment.
    Names,
}
