//! Applications on pseudo terminals, with a user who sits at one as well.
//!
//! The user's side is this very test program, started again on a pseudo terminal of the test's ([`Seat`]): attaching
//! is about the standard streams of the process that does it.

mod place;

use abi::Control;
use capsule::{Aid, Ending, ExecSpec, Home, Output, RunSpec};
use place::{Place, helper};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::{env, thread};
use sys::terminal::{self, Pty, WindowSize};

/// Tells a copy of this program what to do at its seat: `run`, `attach` or `exec`, then its arguments.
const TASK: &str = "STASIS_TEST_TASK";

/// A user's terminal with one of our programs on it.
struct Seat {
    master: File,
    slave: OwnedFd,
    shown: Arc<Mutex<String>>,
    user: Child,
    /// Its settings before the program had it.
    before: String,
}

impl Seat {
    fn new(place: &Place, task: &[&str]) -> Self {
        let Pty { master, slave } = terminal::open_pty().unwrap();
        terminal::set_window_size(master.as_fd(), WindowSize { rows: 33, columns: 99 }).unwrap();
        let before = settings(&slave);
        let stream = || slave.try_clone().unwrap();
        // setsid makes the pseudo terminal the controlling one, as a login does.
        let user = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "seated", "--ignored", "--nocapture", "--quiet"])
            .env(TASK, task.join("\n"))
            .env("STASIS_TEST_HOME", place.home.data.parent().unwrap())
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, screen) = (File::from(master.try_clone().unwrap()), Arc::clone(&shown));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                screen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
        Self { master: master.into(), slave, shown, user, before }
    }

    fn shows(&self, text: &str) -> bool {
        self.shown.lock().unwrap().contains(text)
    }

    fn expect(&self, place: &Place, text: &str) {
        place.until(|| {
            let shown = self.shows(text);
            assert!(shown || !self.shows("FAILED"), "{}", self.shown.lock().unwrap());
            shown
        });
    }

    fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    fn settings(&self) -> String {
        settings(&self.slave)
    }
}

/// Every line setting of a terminal, as stty writes it.
fn settings(slave: &OwnedFd) -> String {
    let stty = Command::new("stty").arg("-g").stdin(slave.try_clone().unwrap()).output().unwrap();
    String::from_utf8(stty.stdout).unwrap()
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.user.kill();
        let _ = self.user.wait();
    }
}

/// Not a test: what the copy of this program does at its seat.
#[test]
#[ignore = "needs a seat: started by the tests below"]
fn seated() {
    let Ok(task) = env::var(TASK) else { return };
    let root = std::path::PathBuf::from(env::var("STASIS_TEST_HOME").unwrap());
    let home = Home { data: root.join("data"), run: root.join("run") };
    let words: Vec<String> = task.split('\n').map(str::to_owned).collect();
    let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let control = Control::new();
    let ending = match words[0].as_str() {
        "run" => {
            let spec = RunSpec {
                name: "seated".into(),
                argv: words[1..].to_vec(),
                env,
                cwd: "/".into(),
                interposition: None,
                network: None,
                volumes: Vec::new(),
                hostname: None,
                output: Output::Terminal,
                attached: true,
            };
            let started = capsule::start(&home, spec, &helper()).unwrap();
            capsule::attach(&home, &started.aid, &control).unwrap()
        }
        "attach" => capsule::attach(&home, &words[1].parse::<Aid>().unwrap(), &control).unwrap(),
        _ => {
            let spec =
                ExecSpec { argv: words[2..].to_vec(), env, cwd: "/".into(), terminal: true, quiet: false };
            capsule::exec(&home, &words[1].parse::<Aid>().unwrap(), spec, &control).unwrap().1
        }
    };
    println!("ended {ending:?}");
}

#[test]
fn an_attached_application_has_the_users_size_input_and_exit_code() {
    let place = Place::new();
    let script = "stty size; tty; read line; echo \"got $line\"; exit 4";
    let mut seat = Seat::new(&place, &["run", "/bin/sh", "-c", script]);
    let before = seat.before.clone();
    seat.expect(&place, "/dev/pts/");
    assert!(seat.shows("33 99"), "{}", seat.shown.lock().unwrap());
    assert_ne!(seat.settings(), before, "the user's terminal is raw meanwhile");
    seat.type_in("hello\r");
    seat.expect(&place, "got hello");
    seat.expect(&place, "ended Some(Code(4))");
    assert_eq!(seat.settings(), before);
}

#[test]
fn control_c_reaches_the_application_and_not_the_command() {
    let place = Place::new();
    let script = "trap 'echo caught; exit 0' INT; echo on; while :; do sleep 0.01; done";
    let mut seat = Seat::new(&place, &["run", "/bin/sh", "-c", script]);
    seat.expect(&place, "on");
    seat.type_in("\x03");
    seat.expect(&place, "caught");
    seat.expect(&place, "ended Some(Code(0))");
}

#[test]
fn a_new_window_size_is_passed_on() {
    let place = Place::new();
    let script = "trap 'stty size; exit' WINCH; echo on; while :; do sleep 0.01; done";
    let seat = Seat::new(&place, &["run", "/bin/sh", "-c", script]);
    seat.expect(&place, "on");
    let size = WindowSize { rows: 12, columns: 34 };
    terminal::set_window_size(seat.master.as_fd(), size).unwrap();
    seat.expect(&place, "12 34");
}

#[test]
fn what_an_application_wrote_just_before_it_ended_is_shown() {
    let place = Place::new();
    for round in 0..10 {
        let seat = Seat::new(&place, &["run", "/bin/sh", "-c", &format!("echo round {round}")]);
        seat.expect(&place, "ended Some(Code(0))");
        assert!(seat.shows(&format!("round {round}")));
    }
}

#[test]
fn a_command_killed_while_attached_gives_the_terminal_back_and_the_application_goes_on() {
    let place = Place::new();
    let script = "echo on; read line; echo \"then $line\"; exit 0";
    let mut seat = Seat::new(&place, &["run", "/bin/sh", "-c", script]);
    let before = seat.before.clone();
    seat.expect(&place, "on");
    place.until(|| seat.settings() != before);
    let [application] = place.list().try_into().unwrap();
    let user = attached_process(&seat);
    sys::lifecycle::kill(user, sys::signals::SIGKILL).unwrap();
    place.until(|| seat.settings() == before);
    assert_eq!(place.list()[0].pid, application.pid);

    let mut again = Seat::new(&place, &["attach", application.aid.as_str()]);
    place.until(|| again.settings() != before);
    again.type_in("more\r");
    again.expect(&place, "then more");
    again.expect(&place, "ended Some(Code(0))");
    seat.user.wait().unwrap();
}

/// The copy of this program that setsid started.
fn attached_process(seat: &Seat) -> i32 {
    let setsid = seat.user.id();
    let list = std::fs::read_to_string(format!("/proc/{setsid}/task/{setsid}/children")).unwrap();
    list.trim().parse().unwrap_or(setsid as i32)
}

#[test]
fn a_command_in_a_capsule_has_a_terminal_of_its_own() {
    let place = Place::new();
    let started = place.run("host", &["/bin/sleep", "100"]).unwrap();
    let script = "tty; cat /proc/1/comm; read line; echo \"got $line\"; exit 6";
    let mut seat = Seat::new(&place, &["exec", started.aid.as_str(), "/bin/sh", "-c", script]);
    let before = seat.before.clone();
    seat.expect(&place, "stasis-init");
    seat.type_in("hello\r");
    seat.expect(&place, "got hello");
    seat.expect(&place, "ended Some(Code(6))");
    assert_eq!(seat.settings(), before);
    place.kill(&started.aid);
}

#[test]
fn output_of_a_terminal_nobody_looks_at_goes_to_the_log() {
    let place = Place::new();
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done";
    let spec = RunSpec { output: Output::Terminal, ..place.spec("writer", &["/bin/sh", "-c", script]) };
    let started = place.start(spec).unwrap();
    let ending = capsule::wait(&place.home, &started.aid, &Control::new()).unwrap();
    assert_eq!(ending, Some(Ending::Code(0)));
    let log = place.log(&started.aid);
    assert_eq!(log.lines().count(), 20_000);
    assert!(log.ends_with("line 19999\r\n"));
}
