//! Starting a program inside the capsule, with word about whether it could be executed.

use crate::link::{at, at_io};
use abi::wire::{Failure, Program, Step, Streams};
use std::ffi::CString;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::lifecycle::{self, Fork};
use sys::terminal::{self, LineSettings, Pty, WindowSize};
use sys::{Errno, signals};

/// Where commands are sought when the environment does not say (as execvp(3) does).
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program that runs.
pub struct Started {
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub master: Option<OwnedFd>,
}

impl Started {
    /// What goes with the reply about it.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        [self.pidfd.as_fd()].into_iter().chain(self.master.as_ref().map(AsFd::as_fd)).collect()
    }
}

/// Starts `program` and returns once it has been executed. `given` are the descriptors that its streams ask for.
pub fn start(program: &Program, given: &[OwnedFd]) -> Result<Started, Failure> {
    let image = Image::of(program)?;
    let pty = match program.streams {
        Streams::Given => None,
        Streams::Terminal { rows, columns, like } => {
            let like = given.first().filter(|_| like).map(AsFd::as_fd);
            Some(new_terminal(WindowSize { rows, columns }, like).map_err(at(Step::Terminal))?)
        }
    };
    let streams = streams(pty.as_ref(), given)?;
    let (mut report, writer) = io::pipe().map_err(at_io(Step::Fork))?;
    match lifecycle::fork(None).map_err(at(Step::Fork))? {
        Fork::Child => become_program(program, &image, streams, pty.is_some(), writer),
        Fork::Parent { pid, pidfd } => {
            drop(writer);
            let mut text = Vec::new();
            // Executing closes the pipe without a word.
            report.read_to_end(&mut text).map_err(at_io(Step::Fork))?;
            match serde_json::from_slice(&text) {
                Ok(failure) => Err(failure),
                Err(_) => Ok(Started { pid, pidfd, master: pty.map(|pty| pty.master) }),
            }
        }
    }
}

fn new_terminal(size: WindowSize, like: Option<BorrowedFd<'_>>) -> sys::Result<Pty> {
    let pty = terminal::open_pty()?;
    if let Some(like) = like {
        LineSettings::of(like)?.apply(pty.slave.as_fd())?;
    }
    terminal::set_window_size(pty.master.as_fd(), size)?;
    Ok(pty)
}

fn streams<'a>(pty: Option<&'a Pty>, given: &'a [OwnedFd]) -> Result<[BorrowedFd<'a>; 3], Failure> {
    match (pty, given) {
        (Some(pty), _) => Ok([pty.slave.as_fd(); 3]),
        (None, [input, output, error]) => Ok([input.as_fd(), output.as_fd(), error.as_fd()]),
        _ => Err(Failure { step: Step::Understand, errno: Errno::EINVAL.0 }),
    }
}

/// The child's side. Never returns.
fn become_program(
    program: &Program,
    image: &Image,
    streams: [BorrowedFd<'_>; 3],
    controlling: bool,
    mut report: PipeWriter,
) -> ! {
    let failure = match prepare(program, streams, controlling) {
        Ok(()) => Failure { step: Step::Execute, errno: image.execute().0 },
        Err(failure) => failure,
    };
    let _ = report.write_all(&serde_json::to_vec(&failure).unwrap_or_default());
    lifecycle::exit_now(127)
}

fn prepare(program: &Program, streams: [BorrowedFd<'_>; 3], controlling: bool) -> Result<(), Failure> {
    lifecycle::setsid().map_err(at(Step::Session))?;
    lifecycle::install_stdio(streams).map_err(at(Step::Session))?;
    if controlling {
        terminal::set_controlling(io::stdin().as_fd()).map_err(at(Step::Terminal))?;
    }
    lifecycle::set_soft_nofile(program.nofile).map_err(at(Step::Session))?;
    std::env::set_current_dir(&program.cwd).map_err(at_io(Step::WorkingFolder))?;
    signals::reset_all().map_err(at(Step::Session))
}

/// What execve takes, made before the fork.
struct Image {
    /// Where the executable may be, in order.
    paths: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Image {
    fn of(program: &Program) -> Result<Self, Failure> {
        let strings = |list: &[String]| -> Result<Vec<CString>, Failure> {
            let nul = |_| Failure { step: Step::Execute, errno: Errno::EINVAL.0 };
            list.iter().map(|text| CString::new(text.as_str()).map_err(nul)).collect()
        };
        let path = program.env.iter().find_map(|pair| pair.strip_prefix("PATH="));
        let name = program.argv.first().map_or("", String::as_str);
        let paths = strings(&candidates(name, path.unwrap_or(DEFAULT_PATH)))?;
        Ok(Self { paths, argv: strings(&program.argv)?, env: strings(&program.env)? })
    }

    /// Tries each place; returns only when none will do. As with execvp(3), a file that is there but may not be
    /// executed is the better answer than one that is not there.
    fn execute(&self) -> Errno {
        let mut answer = Errno::ENOENT;
        for path in &self.paths {
            match lifecycle::execve(path, &self.argv, &self.env) {
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::EACCES => answer = Errno::EACCES,
                errno => return errno,
            }
        }
        answer
    }
}

fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.is_empty() {
        return Vec::new();
    }
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let folders = path.split(':').map(|folder| if folder.is_empty() { "." } else { folder });
    folders.map(|folder| format!("{folder}/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn a_name_without_a_slash_is_sought_in_every_folder_of_the_path() {
        assert_eq!(candidates("ls", "/bin::/opt"), ["/bin/ls", "./ls", "/opt/ls"]);
        assert_eq!(candidates("./ls", "/bin"), ["./ls"]);
        assert!(candidates("", "/bin").is_empty());
    }
}
