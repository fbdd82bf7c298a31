use super::{check, choose, prepare};
use crate::scratch::Scratch;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn the_cache_variable_wins_over_the_home() {
    let scratch = Scratch::new();
    let (cache, home) = (scratch.path.join("c"), scratch.path.join("h"));
    let chosen = choose(|name| match name {
        "XDG_CACHE_HOME" => Some(cache.clone().into_os_string()),
        _ => Some(home.clone().into_os_string()),
    });
    assert_eq!(chosen, Some(cache.join("stasis")));
    assert!(!home.exists());
}

#[test]
fn a_home_that_is_not_there_yet_is_created_for_this_user_alone() {
    let scratch = Scratch::new();
    let home = scratch.path.join("h");
    let chosen = choose(|name| (name == "HOME").then(|| OsString::from(&home))).expect("a folder");
    assert_eq!(chosen, home.join(".cache/stasis"));
    let mode = fs::metadata(chosen).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let scratch = Scratch::new();
    fs::set_permissions(&scratch.path, fs::Permissions::from_mode(0o777)).expect("it is ours");
    assert!(check(&scratch.path).is_err());
}

#[test]
fn a_link_and_a_file_are_refused() {
    let scratch = Scratch::new();
    let (real, link, file) = (scratch.path.join("r"), scratch.path.join("l"), scratch.path.join("f"));
    prepare(&real).expect("it is made");
    symlink(&real, &link).expect("it is made");
    fs::write(&file, "").expect("it is made");
    assert!(prepare(&link).is_err());
    assert!(prepare(&file).is_err());
}

#[test]
fn a_relative_variable_is_passed_over() {
    let scratch = Scratch::new();
    let chosen = choose(|name| match name {
        "XDG_CACHE_HOME" => Some("relative".into()),
        _ => Some(scratch.path.clone().into_os_string()),
    });
    assert_eq!(chosen, Some(scratch.path.join(".cache/stasis")));
}
