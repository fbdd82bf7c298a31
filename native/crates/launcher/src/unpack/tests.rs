use super::{Unpacked, keep};
use crate::container::Program;
use crate::runtime::Runtime;
use crate::sample;
use crate::scratch::Scratch;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

const SCRIPT: &[u8] = b"#!/bin/sh\nexit 7\n";

/// A runtime that is a small script.
fn runtime() -> Runtime {
    let packed = zstd::encode_all(SCRIPT, 1).expect("memory suffices");
    let sha256 = format!("{:x}", Sha256::digest(SCRIPT));
    Runtime { packed: packed.leak(), bytes: SCRIPT.len() as u64, sha256: sha256.leak() }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn whole(unpacked: &Unpacked, program: &Program) -> bool {
    fs::read(&unpacked.executable).is_ok_and(|bytes| bytes == SCRIPT)
        && program.files.iter().all(|file| {
            fs::read(unpacked.program.join(&file.path)).is_ok_and(|bytes| bytes == program.contents(file))
        })
}

#[test]
fn the_first_start_unpacks_and_the_second_writes_nothing() {
    let (scratch, runtime, program) = (Scratch::new(), runtime(), sample::program());
    let first = keep(&scratch.path, &runtime, &program).expect("unpacks");
    assert!(whole(&first, &program));
    assert_eq!(Command::new(&first.executable).status().expect("it runs").code(), Some(7));
    fs::remove_file(scratch.path.join("lock")).expect("there is a lock");
    keep(&scratch.path, &runtime, &program).expect("is there");
    assert_eq!(names(&scratch.path).len(), 2, "no lock was taken");
}

#[test]
fn eight_first_starts_at_once_all_find_it_whole() {
    let (scratch, runtime, program) = (Scratch::new(), runtime(), sample::program());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let unpacked = keep(&scratch.path, &runtime, &program).expect("unpacks");
                assert!(whole(&unpacked, &program));
            });
        }
    });
    assert_eq!(names(&scratch.path).len(), 3, "{:?}", names(&scratch.path));
}

#[test]
fn a_cut_off_file_is_written_again() {
    let (scratch, runtime, program) = (Scratch::new(), runtime(), sample::program());
    let unpacked = keep(&scratch.path, &runtime, &program).expect("unpacks");
    for path in [&unpacked.executable, &unpacked.program.join("main.mjs")] {
        fs::write(path, "x").expect("it is ours");
        keep(&scratch.path, &runtime, &program).expect("unpacks again");
        assert!(whole(&unpacked, &program));
    }
}

#[test]
fn a_damaged_runtime_leaves_nothing_behind() {
    let (scratch, program) = (Scratch::new(), sample::program());
    let damaged = Runtime { sha256: "00", ..runtime() };
    assert!(keep(&scratch.path, &damaged, &program).is_err());
    assert_eq!(names(&scratch.path), ["lock"]);
}

#[test]
fn what_an_interrupted_start_left_is_removed() {
    let (scratch, runtime, program) = (Scratch::new(), runtime(), sample::program());
    fs::create_dir(scratch.path.join("partial-1")).expect("it is ours");
    keep(&scratch.path, &runtime, &program).expect("unpacks");
    assert!(!scratch.path.join("partial-1").exists());
}

#[test]
fn another_version_is_removed_only_when_nobody_used_it_for_a_day() {
    let (scratch, runtime, program) = (Scratch::new(), runtime(), sample::program());
    let other = |name: &str, hours: u64| -> PathBuf {
        let path = scratch.path.join(name);
        fs::create_dir(&path).expect("it is ours");
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        fs::File::open(&path).and_then(|folder| folder.set_modified(then)).expect("it is ours");
        path
    };
    let (old, young, foreign) = (other("runtime-aa", 25), other("program-bb", 23), other("else", 99));
    keep(&scratch.path, &runtime, &program).expect("unpacks");
    assert_eq!([old.exists(), young.exists(), foreign.exists()], [false, true, true]);
}
