//! What a restore needs of a capsule: processes under chosen pids that wait to be released, kept descriptors, clocks.

mod place;

use abi::{Code, Control};
use capsule::{Blank, BuildSpec, Building, ClockOffsets, Ending, State};
use place::{Place, helper};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

const OFFSETS: ClockOffsets =
    ClockOffsets { monotonic_ns: 7_200_000_000_001, boottime_ns: 86_400_000_000_000 };

fn build(place: &Place) -> Building {
    let spec = BuildSpec {
        name: "back".into(),
        command: vec!["yes".into()],
        interposition: None,
        network: None,
        hostname: Some("again".into()),
        clock_offsets: Some(OFFSETS),
        own_shared_memory: true,
        origin: None,
        replaces: None,
        terminal: false,
    };
    capsule::build(&place.home, spec, helper().as_slice().into()).unwrap()
}

/// A program that needs no argument and goes on for ever.
fn endless() -> File {
    File::open("/usr/bin/yes").unwrap()
}

fn status_line(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim_start_matches(':').trim().to_owned()
}

fn executes(blank: &Blank) -> bool {
    fs::read_link(format!("/proc/{}/exe", blank.host_pid)).is_ok_and(|exe| exe.ends_with("yes"))
}

#[test]
fn a_blank_waits_under_its_pid_until_it_is_released() {
    let place = Place::new();
    let mut building = build(&place);
    let blank = building.spawn_blank(endless(), None, Some(4711)).unwrap();
    assert_eq!(blank.pid, 4711);
    assert!(status_line(blank.host_pid, "NSpid").ends_with("\t4711"));
    assert!(!executes(&blank));
    building.adopt_root(Some(blank.pid), None).unwrap();
    let host_pid = blank.host_pid;
    blank.release().unwrap();
    place.until(|| status_line(host_pid, "Name") == "yes");
    let all = status_line(building.init(), "CapPrm");
    assert_eq!(status_line(host_pid, "CapEff"), all, "it needs the helper's rights to restore itself");
    assert_eq!(status_line(host_pid, "SigBlk"), "0000000000000000");
    assert_eq!(status_line(host_pid, "SigIgn"), "0000000000000000");

    let aid = building.commit(false).unwrap();
    let [application] = place.list().try_into().unwrap();
    assert_eq!((application.state, application.pid), (State::Running, Some(host_pid)));
    sys::lifecycle::kill(host_pid, 15).unwrap();
    let ending = capsule::wait(&place.home, &aid, &Control::new()).unwrap();
    assert_eq!(ending, Some(Ending::Signal(15)));
}

#[test]
fn the_clocks_of_a_restored_application_stand_where_they_were_told_to() {
    let place = Place::new();
    let mut building = build(&place);
    let blank = building.spawn_blank(endless(), None, None).unwrap();
    let offsets = fs::read_to_string(format!("/proc/{}/timens_offsets", blank.host_pid)).unwrap();
    let words: Vec<&str> = offsets.split_whitespace().collect();
    assert_eq!(words, ["monotonic", "7200", "1", "boottime", "86400", "0"]);
}

#[test]
fn a_restore_that_is_given_up_leaves_nothing() {
    let place = Place::new();
    let mut building = build(&place);
    let waiting = building.spawn_blank(endless(), None, None).unwrap();
    let released = building.spawn_blank(endless(), None, None).unwrap();
    let pids = [waiting.host_pid, released.host_pid, building.init()];
    released.release().unwrap();
    drop(building);
    assert!(pids.iter().all(|pid| ["", "Z (zombie)"].contains(&status_line(*pid, "State").as_str())));
    assert!(place.list().is_empty());
    assert!(place.sockets().is_empty());
    drop(waiting);
}

#[test]
fn a_blank_ends_when_nobody_can_release_it_any_more() {
    let place = Place::new();
    let mut building = build(&place);
    let blank = building.spawn_blank(endless(), None, None).unwrap();
    let pid = blank.host_pid;
    drop(blank);
    place.until(|| status_line(pid, "State").is_empty());
}

#[test]
fn a_pid_that_is_taken_is_refused_by_name() {
    let place = Place::new();
    let mut building = build(&place);
    let _first = building.spawn_blank(endless(), None, Some(77)).unwrap();
    let refused = building.spawn_blank(endless(), None, Some(77)).unwrap_err();
    assert_eq!(refused.code, Code::RestoreFailed);
    assert!(refused.causes.iter().any(|cause| cause.contains("pid 77")), "{refused}");
}

#[test]
fn a_deposited_descriptor_comes_back_from_the_running_application() {
    let place = Place::new();
    let mut building = build(&place);
    let (mut reader, writer) = std::io::pipe().unwrap();
    building.keep("a pipe", &writer).unwrap();
    drop(writer);
    let blank = building.spawn_blank(endless(), None, None).unwrap();
    building.adopt_root(Some(blank.pid), None).unwrap();
    blank.release().unwrap();
    let aid = building.commit(false).unwrap();
    let mut found = capsule::find(&place.home, &aid).unwrap();
    assert!(found.take("another").unwrap().is_none());
    File::from(found.take("a pipe").unwrap().unwrap()).write_all(b"kept").unwrap();
    assert_eq!(found.hosted().unwrap().hostname, "again");
    place.kill(&aid);
    let mut text = String::new();
    // Ends only because neither the helper nor the application holds the pipe any more.
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "kept");
}

#[test]
fn an_application_whose_root_had_ended_before_keeps_that_exit_status() {
    let place = Place::new();
    let mut building = build(&place);
    let blank = building.spawn_blank(endless(), None, None).unwrap();
    building.adopt_root(None, Some(Ending::Code(3))).unwrap();
    blank.release().unwrap();
    let aid = building.commit(false).unwrap();
    assert_eq!(place.list()[0].ending, Some(Ending::Code(3)));
    let stopped =
        capsule::stop(&place.home, &aid, std::time::Duration::from_secs(9), &Control::new()).unwrap();
    assert_eq!((stopped.ending, stopped.killed), (Some(Ending::Code(3)), false));
}

#[test]
fn what_a_maker_registered_that_was_killed_before_there_was_a_helper_is_forgotten() {
    let place = Place::new();
    let aid: capsule::Aid = "0123456789ab".parse().unwrap();
    fs::create_dir_all(place.state(&aid)).unwrap();
    fs::create_dir_all(&place.home.run).unwrap();
    let meta = r#"{"aid":"0123456789ab","name":"a","command":["b"],"started":"2026-01-01T00:00:00Z","terminal":false}"#;
    fs::write(place.state(&aid).join("meta.json"), meta).unwrap();
    drop(UnixListener::bind(place.home.run.join("0123456789ab.sock")).unwrap());
    assert!(place.list().is_empty());
    assert!(!place.state(&aid).exists() && place.sockets().is_empty(), "no trace is left");
}
