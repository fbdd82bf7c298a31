//! Real capsules, started with the helper that Cargo just built.

mod place;

use abi::{Code, Control};
use capsule::{Ending, Recipient, State};
use place::Place;
use std::fs;
use std::time::Duration;

#[test]
fn a_detached_application_runs_logs_and_reports_its_exit_code() {
    let place = Place::new();
    let started = place.run("job", &["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]).unwrap();
    let ending = capsule::wait(&place.home, &started.aid, &Control::new()).unwrap();
    assert_eq!(ending, Some(Ending::Code(7)));
    let log = place.state(&started.aid).join("log");
    assert_eq!(fs::read_to_string(log).unwrap(), "out\nerr\n");
    let [application] = place.list().try_into().unwrap();
    assert_eq!((application.state, application.ending), (State::Exited, Some(Ending::Code(7))));
    assert_eq!(application.name, "job");
    assert!(place.sockets().is_empty(), "the socket goes with the helper");
    capsule::remove(&place.home, &started.aid).unwrap();
    assert!(place.list().is_empty());
}

#[test]
fn an_application_lives_in_namespaces_of_its_own_and_keeps_its_user() {
    let place = Place::new();
    let script = "echo $$ $(id -u) $(cat /proc/sys/kernel/hostname) $(ls -d /proc/[0-9]* | wc -l); \
                  readlink /proc/self/ns/ipc; grep CapEff /proc/self/status; ls /proc/self/fd";
    let mut spec = place.spec("where", &["/bin/sh", "-c", script]);
    spec.hostname = Some("inside".into());
    let started = place.start(spec).unwrap();
    capsule::wait(&place.home, &started.aid, &Control::new()).unwrap();
    let log = place.log(&started.aid);
    let lines: Vec<&str> = log.lines().collect();
    let uid = sys::lifecycle::effective_uid();
    assert!(lines[0].starts_with(&format!("2 {uid} inside ")), "{log}");
    assert_ne!(lines[1], fs::read_link("/proc/self/ns/ipc").unwrap().to_str().unwrap());
    if uid != 0 {
        assert_eq!(lines[2], "CapEff:\t0000000000000000");
    }
    assert_eq!(lines[3..], ["0", "1", "2", "3"], "no descriptor but the streams and that of ls itself");
}

#[test]
fn a_listing_shows_the_process_on_the_host_and_owner_of_leads_back() {
    let place = Place::new();
    let started = place.run("sleeper", &["/bin/sh", "-c", "sleep 100 & sleep 100 & wait"]).unwrap();
    place.until(|| place.list()[0].processes == Some(3));
    let [application] = place.list().try_into().unwrap();
    assert_eq!(application.state, State::Running);
    assert_eq!(application.pid, Some(started.pid));
    assert!(application.rss_bytes.unwrap() > 0);
    let processes = capsule::find(&place.home, &started.aid).unwrap().processes().unwrap();
    assert_eq!(processes[0], started.pid);
    for pid in processes {
        assert_eq!(capsule::owner_of(&place.home, pid), Some(started.aid.clone()));
    }
    assert_eq!(capsule::owner_of(&place.home, std::process::id() as i32), None);
    place.kill(&started.aid);
}

#[test]
fn a_name_is_given_to_one_running_application_only() {
    let place = Place::new();
    let first = place.run("web", &["/bin/sleep", "100"]).unwrap();
    let refused = place.run("web", &["/bin/sleep", "100"]).unwrap_err();
    assert_eq!(refused.code, Code::Usage);
    assert!(refused.to_string().contains(first.aid.as_str()), "{refused}");
    place.kill(&first.aid);
    let second = place.run("web", &["/bin/sleep", "100"]).unwrap();
    place.kill(&second.aid);
}

#[test]
fn of_many_that_start_under_one_name_at_once_one_does() {
    let place = Place::new();
    let start = || place.run("rush", &["/bin/sleep", "100"]).is_ok();
    let started = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|ok| *ok).count()
    });
    assert_eq!(started, 1);
    assert_eq!(place.list().len(), 1);
    assert_eq!(place.sockets().len(), 1);
}

#[test]
fn an_application_has_the_callers_limit_of_open_files_and_its_helper_all_there_are() {
    let place = Place::new();
    let started = place.run("limits", &["/bin/sh", "-c", "ulimit -Sn; exec sleep 100"]).unwrap();
    place.until(|| !place.log(&started.aid).is_empty());
    let init = capsule::find(&place.home, &started.aid).unwrap().hosted().unwrap().init;
    let limits = |pid: &str| -> Vec<String> {
        let text = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
        line.split_whitespace().skip(3).map(str::to_owned).collect()
    };
    assert_eq!(place.log(&started.aid).trim(), limits("self")[0]);
    assert_eq!(limits(&init.to_string())[0], limits("self")[1]);
    place.kill(&started.aid);
}

#[test]
fn a_command_that_cannot_be_executed_is_named_and_leaves_nothing() {
    let place = Place::new();
    let missing = place.run("gone", &["/no/such/program"]).unwrap_err();
    assert_eq!(missing.message, "Could not run \"/no/such/program\"");
    assert!(missing.causes.iter().any(|cause| cause.contains("No such file")), "{missing}");
    let forbidden = place.run("text", &["/etc/passwd"]).unwrap_err();
    assert!(forbidden.causes.iter().any(|cause| cause.contains("Permission denied")), "{forbidden}");
    let mut spec = place.spec("nowhere", &["/bin/true"]);
    spec.cwd = "/no/such/folder".into();
    assert!(place.start(spec).unwrap_err().to_string().contains("working folder"));
    assert!(place.list().is_empty());
    assert!(place.sockets().is_empty());
}

#[test]
fn stop_asks_first_and_kills_what_does_not_listen() {
    let place = Place::new();
    let polite =
        place.run("polite", &["/bin/sh", "-c", "trap 'exit 3' TERM; echo on; while :; do sleep 0.01; done"]);
    let polite = polite.unwrap();
    place.until(|| place.log(&polite.aid).contains("on"));
    let stopped = capsule::stop(&place.home, &polite.aid, Duration::from_secs(20), &Control::new()).unwrap();
    assert_eq!((stopped.ending, stopped.killed), (Some(Ending::Code(3)), false));

    let deaf =
        place.run("deaf", &["/bin/sh", "-c", "trap '' TERM; echo on; while :; do sleep 0.01; done"]).unwrap();
    place.until(|| place.log(&deaf.aid).contains("on"));
    let stopped = capsule::stop(&place.home, &deaf.aid, Duration::from_millis(200), &Control::new()).unwrap();
    assert_eq!((stopped.ending, stopped.killed), (Some(Ending::Signal(9)), true));
    let gone = capsule::stop(&place.home, &deaf.aid, Duration::ZERO, &Control::new()).unwrap_err();
    assert_eq!(gone.code, Code::NoTarget);
}

#[test]
fn a_daemon_outlives_its_root_process_and_is_stopped_all_the_same() {
    let place = Place::new();
    let started = place.run("daemon", &["/bin/sh", "-c", "setsid sleep 100 & exit 5"]).unwrap();
    place.until(|| place.list()[0].ending.is_some());
    let [application] = place.list().try_into().unwrap();
    assert_eq!((application.state, application.ending), (State::Running, Some(Ending::Code(5))));
    assert_eq!((application.pid, application.processes), (None, Some(1)));
    let stopped = capsule::stop(&place.home, &started.aid, Duration::from_secs(20), &Control::new()).unwrap();
    assert_eq!((stopped.ending, stopped.killed), (Some(Ending::Code(5)), false));
}

#[test]
fn a_signal_reaches_the_root_process() {
    let place = Place::new();
    let started = place.run("signalled", &["/bin/sleep", "100"]).unwrap();
    capsule::find(&place.home, &started.aid).unwrap().signal(10, Recipient::Root).unwrap();
    let ending = capsule::wait(&place.home, &started.aid, &Control::new()).unwrap();
    assert_eq!(ending, Some(Ending::Signal(10)));
}

#[test]
fn a_capsule_whose_helper_was_killed_is_lost_and_can_be_removed() {
    let place = Place::new();
    let started = place.run("unlucky", &["/bin/sleep", "100"]).unwrap();
    let hosted = capsule::find(&place.home, &started.aid).unwrap().hosted().unwrap();
    sys::lifecycle::kill(hosted.init, sys::signals::SIGKILL).unwrap();
    place.until(|| place.list()[0].state == State::Lost);
    let lost = capsule::wait(&place.home, &started.aid, &Control::new()).unwrap_err();
    assert!(lost.to_string().contains("helper is killed"), "{lost}");
    capsule::remove(&place.home, &started.aid).unwrap();
    assert!(place.sockets().is_empty());
}

#[test]
fn remove_is_refused_while_the_application_runs() {
    let place = Place::new();
    let started = place.run("busy", &["/bin/sleep", "100"]).unwrap();
    let refused = capsule::remove(&place.home, &started.aid).unwrap_err();
    assert!(refused.to_string().contains("it is running"));
    place.kill(&started.aid);
}

#[test]
fn a_wait_that_its_caller_gives_up_is_interrupted() {
    let place = Place::new();
    let started = place.run("long", &["/bin/sleep", "100"]).unwrap();
    let control = Control::new();
    control.cancel();
    let interrupted = capsule::wait(&place.home, &started.aid, &control).unwrap_err();
    assert_eq!(interrupted.code, Code::Interrupted);
    place.kill(&started.aid);
}
