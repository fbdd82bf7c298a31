//! An application in a network namespace of its own, and sockets that its helper makes there.

mod place;

use abi::network::OwnNetwork;
use capsule::{Output, RunSpec, SocketMaker};
use place::Place;
use std::fs;
use std::os::fd::AsFd;

const LISTEN: &str = "cat /proc/net/dev; readlink /proc/self/ns/net; exec sleep 1000";

/// Starts a program in a namespace of its own; none where this user may not make one, which is said.
fn start(place: &Place) -> Option<capsule::Started> {
    let network = Some(OwnNetwork::default());
    let spec = place.spec("alone", &["/bin/sh", "-c", LISTEN]);
    match place.start(RunSpec { network, output: Output::Log, ..spec }) {
        Ok(started) => Some(started),
        Err(fault) => {
            eprintln!("skipped: {fault:?}");
            None
        }
    }
}

#[test]
fn an_application_of_its_own_network_sees_loopback_alone() {
    let place = Place::new();
    let Some(started) = start(&place) else { return };
    place.until(|| place.log(&started.aid).contains("net:["));
    let log = place.log(&started.aid);
    let interfaces: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    assert_eq!(interfaces, ["lo", "net"]);
    let ours = fs::read_link("/proc/self/ns/net").unwrap();
    assert!(!log.contains(&*ours.to_string_lossy()));
    let [application] = place.list().try_into().unwrap();
    assert_eq!(application.network.own(), Some(&OwnNetwork::default()));
}

#[test]
fn sockets_that_the_helper_makes_are_in_the_namespace() {
    let place = Place::new();
    let Some(started) = start(&place) else { return };
    let maker = SocketMaker::connect(&place.home, &started.aid).unwrap();
    let loopback = [&[2, 0, 0, 0, 127, 0, 0, 1][..], &[0; 8]].concat();
    // The same port twice: once there, once here.
    let there = maker.socket(INET, STREAM, 0).unwrap();
    sys::network::bind(there.as_fd(), &loopback).unwrap();
    let name = sys::network::local_address(there.as_fd()).unwrap();
    let again = maker.socket(INET, STREAM, 0).unwrap();
    assert!(sys::network::bind(again.as_fd(), &name).is_err());
    let namespace = fs::File::from(sys::network::namespace(there.as_fd()).unwrap());
    let inode = |file: fs::Metadata| std::os::unix::fs::MetadataExt::ino(&file);
    let theirs = fs::metadata(format!("/proc/{}/ns/net", started.pid)).unwrap();
    assert_eq!(inode(namespace.metadata().unwrap()), inode(theirs));
    assert_eq!(maker.socket(999, STREAM, 0).unwrap_err(), sys::Errno(EAFNOSUPPORT));
}

/// AF_INET, SOCK_STREAM and the error of an unknown family.
const INET: i32 = 2;
const STREAM: i32 = 1;
const EAFNOSUPPORT: i32 = 97;
