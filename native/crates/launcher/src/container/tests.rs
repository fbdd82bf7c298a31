use super::{Program, read};
use crate::sample::{self, DATA, METADATA, TREE};
use std::path::Path;

fn parse(bytes: &[u8]) -> std::io::Result<Program> {
    read(bytes, 0..bytes.len() as u64)
}

fn with_tree(tree: &str) -> std::io::Result<Program> {
    parse(&sample::container(METADATA, &[], [0; 12], tree, DATA))
}

#[test]
fn a_program_of_two_files_is_read() {
    let program = parse(&sample::plain()).expect("well formed");
    assert_eq!(program.entry, Path::new("main.mjs"));
    let files: Vec<_> =
        program.files.iter().map(|file| (file.path.as_path(), program.contents(file))).collect();
    assert_eq!(files, [(Path::new("lib/a.so"), b"\x7fELF".as_slice()), (Path::new("main.mjs"), b"abc")]);
}

#[test]
fn the_id_tells_names_and_contents_apart_but_not_times() {
    let id = |tree: &str, data: &[u8]| {
        parse(&sample::container(METADATA, &[], [0; 12], tree, data)).expect("well formed").id
    };
    let plain = id(TREE, DATA);
    assert_eq!(id(&TREE.replace("\"t\":5", "\"t\":6"), DATA), plain);
    assert_ne!(id(&TREE.replace("a.so", "b.so"), DATA), plain);
    assert_ne!(id(TREE, b"\x7fELFabd"), plain);
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sample::plain();
    for length in 0..bytes.len() {
        assert!(parse(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn no_altered_byte_makes_it_panic() {
    let bytes = sample::plain();
    for place in 0..bytes.len() {
        for value in [0, 1, b'"', b'/', 0x80, 0xff] {
            let mut altered = bytes.clone();
            altered[place] = value;
            // Reading contents proves that the ranges lie inside.
            if let Ok(program) = parse(&altered) {
                program.files.iter().for_each(|file| assert!(program.contents(file).len() <= DATA.len()));
            }
        }
    }
}

#[test]
fn a_range_outside_of_the_source_is_refused() {
    let bytes = sample::plain();
    assert!(read(&bytes[..], 0..u64::MAX).is_err());
    assert!(read(&bytes[..], u64::MAX..u64::MAX).is_err());
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    for name in ["..", ".", "", "a/b", "/etc/passwd", "a\\u0000b"] {
        assert!(with_tree(&TREE.replace("a.so", name)).is_err(), "{name:?}");
        assert!(with_tree(&TREE.replace("\"lib\"", &format!("\"{name}\""))).is_err(), "{name:?}");
        let metadata = METADATA.replace("main.mjs", name);
        assert!(parse(&sample::container(&metadata, &[], [0; 12], TREE, DATA)).is_err(), "{name:?}");
    }
}

#[test]
fn files_outside_of_the_data_are_refused() {
    for place in ["[5,3]", "[0,8]", "[18446744073709551615,2]", "[-1,2]", "[0]"] {
        assert!(with_tree(&TREE.replace("[4,3]", place)).is_err(), "{place}");
    }
}

#[test]
fn links_and_unknown_fields_are_refused() {
    assert!(with_tree(r#"[{"Symlink":{"n":"main.mjs","p":["etc"]}}]"#).is_err());
    assert!(with_tree(&TREE.replace("\"u\":true", "\"m\":[0,1]")).is_err());
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    assert!(
        with_tree(r#"[{"File":{"n":"main.mjs","o":[0,1]}},{"File":{"n":"main.mjs","o":[0,2]}}]"#).is_err()
    );
}

#[test]
fn folders_nested_without_end_are_refused() {
    let tree = format!("[{}{}]", r#"{"Dir":{"n":"d","e":["#.repeat(100), "]}}".repeat(100));
    assert!(with_tree(&tree).is_err());
}

#[test]
fn what_a_bundled_program_does_not_have_is_refused() {
    assert!(parse(&sample::container(METADATA, b"npm", [0; 12], TREE, DATA)).is_err());
    assert!(parse(&sample::container(METADATA, &[], [1; 12], TREE, DATA)).is_err());
    for (is, would) in [
        ("\"argv\":[]", "\"argv\":[\"x\"]"),
        ("\"node_modules\":null", "\"node_modules\":{}"),
        ("\"preload_modules\":[]", "\"preload_modules\":[\"x\"]"),
        ("\"argv\":[],", ""),
        ("main.mjs", "other.mjs"),
    ] {
        let metadata = METADATA.replace(is, would);
        assert!(parse(&sample::container(&metadata, &[], [0; 12], TREE, DATA)).is_err(), "{would}");
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let mut bytes = sample::plain();
    bytes.push(0);
    assert!(parse(&bytes).is_err());
}
