//! Starting a program inside the capsule, with word about whether it could be executed.

use crate::link::{at, at_io};
use crate::translation::{self, Translation};
use abi::wire::{Failure, Program, Step, Streams};
use std::ffi::CString;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use sys::lifecycle::{self, Fork};
use sys::terminal::{self, LineSettings, Pty, WindowSize};
use sys::{Errno, seccomp, signals, sockets};

/// Where commands are sought when the environment does not say (as execvp(3) does).
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program that runs.
pub struct Started {
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub master: Option<OwnedFd>,
    /// Where its filter asks about calls, when it has one.
    pub listener: Option<OwnedFd>,
}

impl Started {
    /// What goes with the reply about it.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        [self.pidfd.as_fd()].into_iter().chain(self.master.as_ref().map(AsFd::as_fd)).collect()
    }
}

/// Starts `program` and returns once it has been executed. `given` are the descriptors that its streams ask for.
pub fn start(
    program: &Program,
    given: &[OwnedFd],
    translation: Option<&Translation>,
) -> Result<Started, Failure> {
    let mut env = program.env.clone();
    if let Some(translation) = translation {
        translation.adapt(&mut env);
    }
    let image = Image::of(program, &env)?;
    let asking = translation.is_some_and(Translation::asks);
    let asking = asking.then(UnixStream::pair).transpose().map_err(at_io(Step::Filter))?;
    let (hears, asks) = asking.unzip();
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
        Fork::Child => become_program(program, &image, streams, pty.is_some(), asks, writer),
        Fork::Parent { pid, pidfd } => {
            drop((writer, asks));
            let mut text = Vec::new();
            // Executing closes the pipe without a word.
            report.read_to_end(&mut text).map_err(at_io(Step::Fork))?;
            match serde_json::from_slice(&text) {
                Ok(failure) => Err(failure),
                Err(_) => {
                    let listener = hears.map(|socket| receive(&socket)).transpose()?;
                    Ok(Started { pid, pidfd, master: pty.map(|pty| pty.master), listener })
                }
            }
        }
    }
}

/// The listener of the child's filter, which it has sent before it executed.
fn receive(socket: &UnixStream) -> Result<OwnedFd, Failure> {
    let (_, mut sent) = sockets::receive(socket.as_fd(), &mut [0]).map_err(at(Step::Filter))?;
    sent.pop().ok_or(Failure { step: Step::Filter, errno: 0 })
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
    asks: Option<UnixStream>,
    mut report: PipeWriter,
) -> ! {
    let prepared = prepare(program, streams, controlling).and_then(|()| asks.map_or(Ok(()), install_filter));
    let failure = match prepared {
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

/// Its listener goes to the helper, and nowhere else: it closes when the program is executed.
fn install_filter(socket: UnixStream) -> Result<(), Failure> {
    let listener = seccomp::install(&translation::filter()).map_err(at(Step::Filter))?;
    sockets::send(socket.as_fd(), b"!", &[listener.as_fd()]).map_err(at(Step::Filter)).map(drop)
}

/// What execve takes, made before the fork.
struct Image {
    /// Where the executable may be, in order.
    paths: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Image {
    fn of(program: &Program, env: &[String]) -> Result<Self, Failure> {
        let strings = |list: &[String]| -> Result<Vec<CString>, Failure> {
            let nul = |_| Failure { step: Step::Execute, errno: Errno::EINVAL.0 };
            list.iter().map(|text| CString::new(text.as_str()).map_err(nul)).collect()
        };
        let path = env.iter().find_map(|pair| pair.strip_prefix("PATH="));
        let name = program.argv.first().map_or("", String::as_str);
        let paths = strings(&candidates(name, path.unwrap_or(DEFAULT_PATH)))?;
        Ok(Self { paths, argv: strings(&program.argv)?, env: strings(env)? })
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
