//! One more command inside a capsule.

use crate::attach::relay_and_leave;
use crate::link::{Link, LinkError, Wait};
use crate::meta::Meta;
use crate::start::{Output, environment, own_streams, own_terminal, quiet_streams, soft_nofile, stream_kind};
use crate::{Aid, faults, hosted};
use abi::request::Home;
use abi::wire::{Ending, Program, Reply, Request};
use abi::{Control, Fault};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use sys::lifecycle::signal_handle;
use sys::signals::SIGTERM;

/// What to run.
pub struct ExecSpec {
    pub argv: Vec<String>,
    /// The complete environment.
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    /// Give it a pseudo terminal instead of the caller's standard streams.
    pub terminal: bool,
    /// Nothing to read, and output goes nowhere; errors go where the caller's go.
    pub quiet: bool,
}

/// Runs a command beside an application, in its namespaces, and waits for its end. Returns its pid on the host and
/// how it ended.
///
/// # Errors
/// [`abi::Code::NoTarget`] when the application does not run; [`abi::Code::Interrupted`] when the caller gave up:
/// the command got SIGTERM then.
pub fn exec(
    home: &Home,
    aid: &Aid,
    spec: ExecSpec,
    control: &Control,
) -> Result<(i32, Option<Ending>), Fault> {
    let meta = Meta::read(home, aid).map_err(|_| faults::no_such(aid))?;
    let command = spec.argv.first().map_or("", String::as_str);
    let about = faults::about(&format!("run \"{command}\" in \"{}\"", meta.name));
    Link::connect(home, aid).and_then(|mut link| run(&mut link, &meta, spec, control)).map_err(about)
}

/// Runs a command by the connection to the capsule's helper.
pub fn run(
    link: &mut Link,
    meta: &Meta,
    spec: ExecSpec,
    control: &Control,
) -> Result<(i32, Option<Ending>), LinkError> {
    let output = if spec.terminal && !spec.quiet { Output::Terminal } else { Output::Inherit };
    let given = match output {
        _ if spec.quiet => quiet_streams(),
        Output::Terminal => own_terminal().into_iter().map(|fd| fd.try_clone_to_owned()).collect(),
        _ => own_streams(),
    };
    let given: Vec<OwnedFd> = given?;
    let program = Program {
        argv: spec.argv,
        env: environment(spec.env, meta),
        cwd: spec.cwd.to_string_lossy().into_owned(),
        streams: stream_kind(output),
        nofile: soft_nofile(),
    };
    let given: Vec<_> = given.iter().map(AsFd::as_fd).collect();
    let (Reply::Started { .. }, descriptors) = link.ask(&Request::Exec(program), &given)? else {
        return Err(LinkError::Confused);
    };
    let mut descriptors = descriptors.into_iter();
    let process = descriptors.next().ok_or(LinkError::Confused)?;
    let pid = hosted::pid_of(process.as_fd())?;
    link.send(&Request::Seen, &[])?;
    let ended = match descriptors.next() {
        Some(master) => relay_and_leave(link, master, control),
        None => ending(link, control),
    };
    if matches!(ended, Err(LinkError::Cancelled)) {
        // It may have ended just now.
        let _ = signal_handle(process.as_fd(), SIGTERM);
    }
    Ok((pid, ended?))
}

fn ending(link: &mut Link, control: &Control) -> Result<Option<Ending>, LinkError> {
    match link.receive(Wait::Until(control, None))? {
        (Reply::Ended { ending }, _) => Ok(Some(ending)),
        _ => Err(LinkError::Confused),
    }
}
