//! A folder with everything that a folder can hold is captured, copied, and told from what it is not.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use volume::{BodyV1, Circumstances, Error, Known, Layers, TreeV1};

/// What somebody does to a capture.
type Damage<'a> = &'a dyn Fn(&Path);

/// A folder that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("stasis-volume-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        volume::remove(&self.0).unwrap();
    }
}

fn populate(folder: &Path) {
    fs::create_dir_all(folder.join("inner/deep")).unwrap();
    fs::write(folder.join("plain"), "plain").unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    fs::hard_link(folder.join("plain"), folder.join("inner/again")).unwrap();
    symlink("../nowhere", folder.join("inner/link")).unwrap();
    sys::files::make_fifo(&folder.join("fifo"), 0o640).unwrap();
    drop(UnixListener::bind(folder.join("socket")).unwrap());
    let sparse = File::create(folder.join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(b"data", 40 << 20).unwrap();
    sys::trees::set_attribute(&folder.join("empty"), c"user.colour", b"blue").unwrap();
    fs::set_permissions(folder.join("empty"), Permissions::from_mode(0o4711)).unwrap();
    sys::paths::set_times(&folder.join("empty"), 5, 1_000_000_007, true).unwrap();
    fs::write(folder.join("inner/deep/secret"), "x").unwrap();
    fs::set_permissions(folder.join("inner/deep/secret"), Permissions::from_mode(0o200)).unwrap();
    fs::set_permissions(folder.join("inner/deep"), Permissions::from_mode(0o555)).unwrap();
}

fn with<'a>(known: &'a Known, mapped: &'a HashSet<(u64, u64)>) -> Circumstances<'a> {
    Circumstances {
        known,
        layers: None,
        mapped,
        // As if everything had changed long ago.
        since_ns: i64::MAX,
        true_times: true,
        tolerant: false,
        go_on: &|| true,
    }
}

fn capture(from: &Path, to: &Path, known: &Known) -> TreeV1 {
    let mut tree = volume::capture(from, from, to, &with(known, &HashSet::new())).unwrap();
    tree.complete(to, &mut |_| true).unwrap();
    tree
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

#[test]
fn a_capture_holds_everything_but_sockets_and_a_copy_of_it_is_the_folder_again() {
    let scratch = Scratch::new("kinds");
    let (from, to, copy) = (scratch.at("from"), scratch.at("to"), scratch.at("copy"));
    populate(&from);
    let tree = capture(&from, &to, &Known::default());
    assert_eq!((tree.entries.len(), tree.files()), (10, 4));
    volume::check_structure(&tree, &to).unwrap();
    volume::check_contents(&tree, &to, &mut |_| true).unwrap();
    volume::copy(&tree, &to, &copy).unwrap();
    for folder in [&to, &copy] {
        let meta = |name: &str| fs::symlink_metadata(folder.join(name)).unwrap();
        assert_eq!(inode(&folder.join("plain")), inode(&folder.join("inner/again")));
        assert_eq!(fs::read_link(folder.join("inner/link")).unwrap(), Path::new("../nowhere"));
        assert!(meta("fifo").file_type().is_fifo() && meta("fifo").mode() & 0o777 == 0o640);
        assert!(meta("sparse").len() == 64 << 20 && meta("sparse").blocks() < 64, "it lost its holes");
        assert_eq!((meta("empty").mode() & 0o7777, meta("empty").mtime_nsec()), (0o4711, 7));
        let colour = sys::trees::attribute(&folder.join("empty"), c"user.colour");
        assert_eq!(colour, Ok(Some(b"blue".to_vec())));
        assert!(!folder.join("socket").exists());
    }
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&copy.join("inner/deep")), mode(&copy.join("inner/deep/secret"))), (0o555, 0o200));
    assert_eq!((mode(&to.join("inner/deep")), mode(&to.join("inner/deep/secret"))), (0o755, 0o600));
    // Another capture of the copy says the same of everything.
    let again = capture(&copy, &scratch.at("again"), &Known::default());
    let essence = |tree: &TreeV1| {
        let of = |entry: &volume::EntryV1| {
            let sum = if let BodyV1::File { checksum, .. } = entry.body { checksum } else { 0 };
            (entry.path.clone(), entry.mode, entry.modified_ns, sum)
        };
        tree.entries.iter().map(of).collect::<HashSet<_>>()
    };
    assert_eq!(essence(&tree), essence(&again));
}

#[test]
fn what_has_not_changed_is_taken_from_the_capture_before() {
    let scratch = Scratch::new("known");
    let (from, first, second) = (scratch.at("from"), scratch.at("first"), scratch.at("second"));
    populate(&from);
    let tree = capture(&from, &first, &Known::default());
    let mut known = Known::default();
    known.add(&tree, &first);
    File::options().write(true).open(from.join("plain")).unwrap().write_all_at(b"PLAIN", 0).unwrap();
    let tree = capture(&from, &second, &known);
    assert_eq!(inode(&first.join("sparse")), inode(&second.join("sparse")));
    assert_ne!(inode(&first.join("plain")), inode(&second.join("plain")));
    assert_eq!(fs::read(first.join("plain")).unwrap(), b"plain");
    assert_eq!(fs::read(second.join("inner/again")).unwrap(), b"PLAIN");
    volume::check_structure(&tree, &second).unwrap();
    volume::check_contents(&tree, &second, &mut |_| true).unwrap();
    // A file that is mapped for writing may change without a sign of it.
    let meta = fs::metadata(from.join("sparse")).unwrap();
    let mapped = HashSet::from([(meta.dev(), meta.ino())]);
    let third = scratch.at("third");
    let tree = volume::capture(&from, &from, &third, &with(&known, &mapped)).unwrap();
    assert_ne!(inode(&third.join("sparse")), inode(&second.join("sparse")));
    let mut known = Known::default();
    known.add(&tree, &third);
    assert!(known.find(&meta).is_none());
}

#[test]
fn a_file_that_has_just_changed_is_not_known_again() {
    let scratch = Scratch::new("racy");
    fs::create_dir(scratch.at("from")).unwrap();
    fs::write(scratch.at("from").join("file"), "x").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    let (known, mapped) = (Known::default(), HashSet::new());
    let circumstances = Circumstances { since_ns: now, ..with(&known, &mapped) };
    let tree =
        volume::capture(&scratch.at("from"), Path::new("x"), &scratch.at("to"), &circumstances).unwrap();
    assert!(matches!(tree.entries[1].body, BodyV1::File { origin: None, .. }));
}

#[test]
fn every_difference_from_what_was_captured_is_found() {
    let scratch = Scratch::new("damage");
    populate(&scratch.at("from"));
    let tree = capture(&scratch.at("from"), &scratch.at("to"), &Known::default());
    let damages: [(&str, Damage); 8] = [
        ("missing", &|folder| fs::remove_file(folder.join("fifo")).unwrap()),
        ("put into", &|folder| fs::write(folder.join("more"), "").unwrap()),
        ("mode", &|folder| {
            fs::set_permissions(folder.join("empty"), Permissions::from_mode(0o600)).unwrap();
        }),
        ("time", &|folder| sys::paths::set_times(&folder.join("empty"), 0, 0, true).unwrap()),
        ("size", &|folder| fs::write(folder.join("empty"), "x").unwrap()),
        ("attributes", &|folder| {
            sys::trees::set_attribute(&folder.join("empty"), c"user.colour", b"red").unwrap();
        }),
        ("another name", &|folder| {
            fs::rename(folder.join("plain"), folder.join("old")).unwrap();
            fs::copy(folder.join("old"), folder.join("plain")).unwrap();
            fs::remove_file(folder.join("old")).unwrap();
        }),
        ("leads", &|folder| {
            fs::remove_file(folder.join("inner/link")).unwrap();
            symlink("elsewhere", folder.join("inner/link")).unwrap();
        }),
    ];
    for (index, (word, damage)) in damages.iter().enumerate() {
        let copy = scratch.at(&format!("copy-{index}"));
        volume::copy(&tree, &scratch.at("to"), &copy).unwrap();
        for entry in &tree.entries {
            if matches!(entry.body, BodyV1::Folder | BodyV1::File { .. }) {
                let mode = Permissions::from_mode(entry.mode_in_capture());
                fs::set_permissions(entry.below(&copy), mode).unwrap();
            }
        }
        volume::check_structure(&tree, &copy).unwrap();
        damage(&copy);
        let error = volume::check_structure(&tree, &copy).unwrap_err();
        assert!(
            matches!(error, Error::Damaged { .. }) && error.to_string().contains(word),
            "{word}: {error}"
        );
    }
    let sparse = File::options().write(true).open(scratch.at("to").join("sparse")).unwrap();
    sparse.write_all_at(b"!", 50 << 20).unwrap();
    let error = volume::check_contents(&tree, &scratch.at("to"), &mut |_| true).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    assert!(matches!(
        volume::check_contents(&tree, &scratch.at("to"), &mut |_| false),
        Err(Error::Cancelled)
    ));
}

#[test]
fn second_names_make_a_capture_of_a_capture() {
    let scratch = Scratch::new("names");
    populate(&scratch.at("from"));
    let tree = capture(&scratch.at("from"), &scratch.at("to"), &Known::default());
    volume::link(&tree, &scratch.at("to"), &scratch.at("linked")).unwrap();
    volume::check_structure(&tree, &scratch.at("linked")).unwrap();
    assert_eq!(inode(&scratch.at("to").join("sparse")), inode(&scratch.at("linked").join("sparse")));
    volume::remove(&scratch.at("to")).unwrap();
    volume::check_contents(&tree, &scratch.at("linked"), &mut |_| true).unwrap();
}

/// Plays an overlay: what a process sees is a folder, and behind it are two.
#[test]
fn what_an_overlay_left_alone_is_not_copied() {
    let scratch = Scratch::new("layers");
    let (from, lower, upper, merged) =
        (scratch.at("from"), scratch.at("lower"), scratch.at("upper"), scratch.at("merged"));
    populate(&from);
    let tree = capture(&from, &lower, &Known::default());
    volume::copy(&tree, &lower, &merged).unwrap();
    fs::create_dir_all(upper.join("inner")).unwrap();
    for folder in [&merged, &upper] {
        fs::write(folder.join("inner/new"), "new").unwrap();
        fs::write(folder.join("empty"), "changed").unwrap();
    }
    let layers = Layers::new(upper, lower.clone(), tree, true);
    let (known, mapped) = (Known::default(), HashSet::new());
    let circumstances = Circumstances { layers: Some(&layers), ..with(&known, &mapped) };
    let to = scratch.at("to");
    let mut tree = volume::capture(&merged, &merged, &to, &circumstances).unwrap();
    tree.complete(&to, &mut |_| true).unwrap();
    assert_eq!(inode(&lower.join("sparse")), inode(&to.join("sparse")));
    assert_ne!(inode(&lower.join("empty")), inode(&to.join("empty")));
    assert_eq!(fs::read(to.join("empty")).unwrap(), b"changed");
    assert_eq!(fs::read(to.join("inner/new")).unwrap(), b"new");
    volume::check_structure(&tree, &to).unwrap();
    volume::check_contents(&tree, &to, &mut |_| true).unwrap();
}
