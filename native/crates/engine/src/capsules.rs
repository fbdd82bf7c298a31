//! The operations on applications in capsules: each hands its request to the crate `capsule` and shapes the answer.

use crate::state::volumes::requested;
use abi::network::Network;
use abi::request::{
    Attach, Exec, IdKeeping, Interpose, Names, Origin, Owner, Ps, Remove, Run, Signal, Stop, Wait,
};
use abi::{Code, Control, Fault};
use capsule::{
    Aid, Application, Ending, ExecSpec, Interposition, Output, Recipient, RunSpec, State, ViewKind, Volume,
};
use serde::Serialize;
use std::time::Duration;

/// The number of SIGKILL, which spares no process of the application.
const SIGKILL: i32 = 9;

#[derive(Serialize)]
pub struct Started {
    aid: Aid,
    name: String,
    pid: i32,
}

/// Neither field where it is not known.
#[derive(Serialize)]
pub struct Ended {
    #[serde(flatten)]
    ending: Option<Ending>,
}

#[derive(Serialize)]
pub struct Stopped {
    #[serde(flatten)]
    ending: Option<Ending>,
    killed: bool,
}

#[derive(Serialize)]
pub struct Executed {
    pid: i32,
    #[serde(flatten)]
    ending: Option<Ending>,
}

#[derive(Serialize)]
pub struct Named {
    names: Vec<String>,
}

#[derive(Serialize)]
pub struct Applications {
    apps: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    aid: Aid,
    name: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<usize>,
    started: String,
    command: Vec<String>,
    /// Of a clone: the template that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    /// Which network it is on.
    network: Network,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<Folder>,
    #[serde(flatten)]
    ending: Option<Ending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss_bytes: Option<u64>,
}

/// A folder that belongs to an application's state.
#[derive(Serialize)]
struct Folder {
    path: String,
    /// `host`, or what its own view is made of.
    view: &'static str,
}

/// The application of a process.
#[derive(Serialize)]
pub struct Owned {
    aid: Aid,
}

/// Nothing to say but that it was done.
#[derive(Serialize)]
pub struct Done {}

/// Who is to see calls that bear ids; none where the kernel's namespaces do all.
fn interposition(ids: IdKeeping, interpose: Interpose) -> Result<Option<Interposition>, Fault> {
    let both = |library, kernel| Some(Interposition { library, kernel });
    Ok(match (ids, interpose) {
        (IdKeeping::Auto, Interpose::Auto | Interpose::Off)
        | (IdKeeping::Namespace, Interpose::Auto | Interpose::Off) => None,
        (IdKeeping::Namespace, _) => {
            return Err(conflict("in namespaces of its own, nothing has to be translated"));
        }
        (IdKeeping::Translate, Interpose::Off) => {
            return Err(conflict("ids that are to be translated must be seen"));
        }
        (_, Interpose::Library) => both(true, false),
        (_, Interpose::Kernel) => both(false, true),
        (IdKeeping::Translate, Interpose::Auto) => both(true, true),
    })
}

fn conflict(why: &str) -> Fault {
    Fault::new(Code::Usage, "Could not use these values of --ids and --interpose together").because(why)
}

pub fn run(request: Run, init: &[u8]) -> Result<Started, Fault> {
    let interposition = interposition(request.ids, request.interpose)?;
    let volumes = requested(&request.volumes, &request.home)?;
    let output = match (request.terminal, request.detach) {
        (true, _) => Output::Terminal,
        (false, true) => Output::Log,
        (false, false) => Output::Inherit,
    };
    let spec = RunSpec {
        name: request.name,
        argv: request.argv,
        env: request.env,
        cwd: request.cwd,
        hostname: request.hostname,
        output,
        interposition,
        network: request.network.as_ref().and_then(Network::own).cloned(),
        volumes,
        attached: !request.detach,
    };
    let started = capsule::start(&request.home, spec, init)?;
    Ok(Started { aid: started.aid, name: started.name, pid: started.pid })
}

pub fn attach(request: Attach, control: &Control) -> Result<Ended, Fault> {
    let ending = match (request.aid, request.pid) {
        (Some(aid), _) => capsule::attach(&request.home, &aid.parse()?, control)?,
        (None, Some(pid)) => capsule::attach_pid(&request.home, pid, control)?,
        (None, None) => return Err(Fault::new(Code::Usage, "Could not attach without a target")),
    };
    Ok(Ended { ending })
}

pub fn signal(request: Signal, _control: &Control) -> Result<Done, Fault> {
    let to = if request.signal == SIGKILL { Recipient::All } else { Recipient::Root };
    capsule::find(&request.home, &request.aid.parse()?)?.signal(request.signal, to)?;
    Ok(Done {})
}

pub fn stop(request: Stop, control: &Control) -> Result<Stopped, Fault> {
    let patience = Duration::from_millis(request.timeout_ms);
    let stopped = capsule::stop(&request.home, &request.aid.parse()?, patience, control)?;
    Ok(Stopped { ending: stopped.ending, killed: stopped.killed })
}

pub fn wait(request: Wait, control: &Control) -> Result<Ended, Fault> {
    Ok(Ended { ending: capsule::wait(&request.home, &request.aid.parse()?, control)? })
}

pub fn exec(request: Exec, control: &Control) -> Result<Executed, Fault> {
    let spec = ExecSpec {
        argv: request.argv,
        env: request.env,
        cwd: request.cwd,
        terminal: request.terminal,
        quiet: request.quiet,
    };
    let (pid, ending) = capsule::exec(&request.home, &request.aid.parse()?, spec, control)?;
    Ok(Executed { pid, ending })
}

pub fn names(request: Names, _: &Control) -> Result<Named, Fault> {
    capsule::require_access(&request.home)?;
    Ok(Named { names: capsule::running_names(&request.home) })
}

pub fn ps(request: Ps, _control: &Control) -> Result<Applications, Fault> {
    capsule::require_access(&request.home)?;
    Ok(Applications { apps: capsule::list(&request.home).into_iter().map(Row::from).collect() })
}

/// # Errors
/// [`Code::NoTarget`] when there is no such process, or it belongs to no application of this home.
pub fn owner(request: Owner, _control: &Control) -> Result<Owned, Fault> {
    match capsule::owner_of(&request.home, request.pid) {
        Some(aid) => Ok(Owned { aid }),
        None => {
            let exists = std::path::Path::new(&format!("/proc/{}", request.pid)).exists();
            let why = if exists { "it belongs to none" } else { "there is no such process" };
            Err(Fault::new(
                Code::NoTarget,
                format!("Could not find the application of process {}", request.pid),
            )
            .because(why)
            .hint("Run \"stasis ps\" to see your applications"))
        }
    }
}

pub fn remove(request: Remove, _control: &Control) -> Result<Done, Fault> {
    capsule::remove(&request.home, &request.aid.parse()?)?;
    Ok(Done {})
}

impl From<Application> for Row {
    fn from(application: Application) -> Self {
        Self {
            aid: application.aid,
            name: application.name,
            state: match application.state {
                State::Running => "running",
                State::Exited => "exited",
                State::Lost => "lost",
            },
            pid: application.pid,
            processes: application.processes,
            started: application.started,
            command: application.command,
            origin: application.origin,
            network: application.network,
            volumes: application.volumes.into_iter().map(Folder::from).collect(),
            ending: application.ending,
            rss_bytes: application.rss_bytes,
        }
    }
}

impl From<Volume> for Folder {
    fn from(volume: Volume) -> Self {
        let view = match volume.view {
            None => "host",
            Some(ViewKind::Overlay { .. }) => "overlay",
            Some(ViewKind::Copy) => "copy",
        };
        Self { path: volume.path, view }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_ending_is_flat_and_left_out_where_it_is_not_known() {
        let text = |ending| serde_json::to_value(Ended { ending }).unwrap();
        assert_eq!(text(Some(Ending::Code(3))), json!({"code": 3}));
        assert_eq!(text(Some(Ending::Signal(9))), json!({"signal": 9}));
        assert_eq!(text(None), json!({}));
    }
}
