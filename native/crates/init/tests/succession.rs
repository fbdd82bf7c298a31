//! A capsule that takes the place of a running one: at the end there is one application, under the old AID.

mod place;

use abi::Control;
use capsule::{Aid, BuildSpec, Building, Ending, State};
use place::{Place, helper};
use std::fs::{self, File};

/// A capsule in the making that is to take an application's place, with one process in it.
fn successor(place: &Place, aid: &Aid) -> (Building, i32) {
    let spec = BuildSpec {
        name: "unused".into(),
        command: vec!["yes".into()],
        interposition: None,
        hostname: Some("again".into()),
        clock_offsets: None,
        own_shared_memory: true,
        origin: None,
        network: None,
        terminal: false,
        replaces: Some(capsule::find(&place.home, aid).unwrap()),
    };
    let mut building = capsule::build(&place.home, spec, helper().as_slice().into()).unwrap();
    let blank = building.spawn_blank(File::open("/usr/bin/yes").unwrap(), None, None).unwrap();
    building.adopt_root(Some(blank.pid), None).unwrap();
    let pid = blank.host_pid;
    blank.release().unwrap();
    (building, pid)
}

fn entries(place: &Place) -> Vec<String> {
    let found = fs::read_dir(place.home.data.join("apps")).unwrap().flatten();
    let mut names: Vec<_> = found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn is_gone(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[test]
fn a_successor_has_the_aid_the_name_and_the_folder_and_whoever_waits_goes_along() {
    let place = Place::new();
    let old = place.run("web", &["sleep", "1000"]).unwrap();
    let (home, aid) = (place.home.clone(), old.aid.clone());
    let waiter = std::thread::spawn(move || capsule::wait(&home, &aid, &Control::new()));
    let (building, pid) = successor(&place, &old.aid);
    assert_eq!(place.list().len(), 1, "what is not there yet is not shown");
    assert_eq!(building.commit(false).unwrap(), old.aid);
    let [application] = place.list().try_into().unwrap();
    assert_eq!(application.aid, old.aid);
    assert_eq!((&*application.name, application.state), ("web", State::Running));
    assert_eq!(application.pid, Some(pid));
    place.until(|| is_gone(old.pid));
    assert_eq!(entries(&place), [".lock", old.aid.as_str()]);
    assert_eq!(place.sockets(), [format!("{}.sock", old.aid)]);
    sys::lifecycle::kill(pid, 15).unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), Some(Ending::Signal(15)), "not the old one's end");
    assert_eq!(place.list()[0].state, State::Exited);
}

#[test]
fn a_successor_that_is_given_up_leaves_the_application_as_it_was() {
    let place = Place::new();
    let old = place.run("web", &["sleep", "1000"]).unwrap();
    let (building, pid) = successor(&place, &old.aid);
    drop(building);
    place.until(|| is_gone(pid));
    let [application] = place.list().try_into().unwrap();
    assert_eq!((application.state, application.pid), (State::Running, Some(old.pid)));
    assert_eq!(entries(&place), [".lock", old.aid.as_str()]);
    place.kill(&old.aid);
    assert_eq!(place.list()[0].state, State::Exited);
}

#[test]
fn what_a_killed_command_left_of_a_successor_goes_with_the_next_list() {
    let place = Place::new();
    let old = place.run("web", &["sleep", "1000"]).unwrap();
    let folder = place.home.data.join("apps").join(format!(".{}.0123456789ab", old.aid));
    fs::create_dir(&folder).unwrap();
    drop(std::os::unix::net::UnixListener::bind(place.home.run.join("0123456789ab.sock")).unwrap());
    assert_eq!(place.list().len(), 1);
    assert_eq!(entries(&place), [".lock", old.aid.as_str()]);
    assert_eq!(place.sockets(), [format!("{}.sock", old.aid)]);
}
