//! Where a process tree comes back that stasis did not start: under its own ids in the caller's namespaces, or, where
//! those cannot be had, in a capsule, whose PID namespace has them free. Decided before anything is created.

use crate::chain::Chain;
use crate::state::capsule::CapsuleV1;
use crate::state::process::{BodyV1, ProcessV1};
use abi::request::Restore;
use std::os::unix::ffi::OsStrExt;
use sys::{Errno, probe, process};

/// Longest name of an application.
const NAME_LENGTH: usize = 63;

/// Gives the chain a capsule if it needs one. Returns what the user should know.
pub fn assign(chain: &mut Chain, request: &Restore) -> Vec<String> {
    if chain.capsule.is_some() {
        return Vec::new();
    }
    let own_network = request.network.as_ref().is_some_and(|network| network.own().is_some());
    let why = match (obstacle(chain), &request.name) {
        (Some(why), _) => why,
        (None, _) if own_network => "a network namespace of its own was asked for".to_owned(),
        (None, Some(_)) => "a name was asked for".to_owned(),
        (None, None) => return Vec::new(),
    };
    let root = &chain.processes[0];
    let taken: Vec<String> = capsule::list(&request.home)
        .into_iter()
        .filter(|application| matches!(application.state, capsule::State::Running))
        .map(|application| application.name)
        .collect();
    let name = request.name.clone().unwrap_or_else(|| free_name(&root.comm, &taken));
    let note = format!("it runs in a new capsule under the name \"{name}\", because {why}");
    chain.capsule = Some(CapsuleV1 {
        aid: String::new(),
        name,
        command: vec![command(root)],
        hostname: String::new(),
        root: Some(root.pid),
        ending: None,
        terminal: false,
        lasting: abi::edits::Lasting::default(),
    });
    vec![note]
}

/// Why the chain cannot have its ids here, if so.
fn obstacle(chain: &Chain) -> Option<String> {
    if probe::set_tid().is_err() {
        return Some("you may not choose process ids here".to_owned());
    }
    ids(chain).find(|id| is_taken(*id)).map(|id| format!("the process id {id} is taken here"))
}

/// Ids of all processes and threads that will be made.
fn ids(chain: &Chain) -> impl Iterator<Item = i32> {
    chain.processes.iter().flat_map(|process| {
        let threads = match &process.body {
            BodyV1::Live(live) => &live.threads[1..],
            BodyV1::Zombie { .. } => &[],
        };
        std::iter::once(process.pid.0).chain(threads.iter().map(|thread| thread.tid.0))
    })
}

/// Does a process, thread or process group have this id? One that may not be signalled exists as well.
fn is_taken(id: i32) -> bool {
    [id, -id].into_iter().any(|target| process::kill(target, 0) != Err(Errno::ESRCH))
        || std::path::Path::new(&format!("/proc/{id}")).exists()
}

fn command(root: &ProcessV1) -> String {
    match &root.body {
        BodyV1::Live(live) => {
            String::from_utf8_lossy(live.executable.path().as_os_str().as_bytes()).into_owned()
        }
        BodyV1::Zombie { .. } => root.comm.clone(),
    }
}

/// A name made from that of the process, with a number where it is taken.
fn free_name(comm: &str, taken: &[String]) -> String {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let kept = comm.to_lowercase().replace(|letter| !plain(letter) && !"_.-".contains(letter), "-");
    let mut base = kept.trim_start_matches(|letter| !plain(letter)).to_owned();
    if base.is_empty() {
        "app".clone_into(&mut base);
    }
    base.truncate(NAME_LENGTH - 6);
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_free() {
        assert_eq!(free_name("redis-server", &[]), "redis-server");
        assert_eq!(free_name("(Web Content)", &[]), "web-content-");
        assert_eq!(free_name("ä", &[]), "app");
        let taken = ["nginx".to_owned(), "nginx-2".to_owned()];
        assert_eq!(free_name("nginx", &taken), "nginx-3");
    }

    #[test]
    fn ids_of_processes_and_threads_are_taken() {
        assert!(is_taken(std::process::id() as i32) && is_taken(process::gettid()));
        assert!(!is_taken(4 << 20));
    }
}
