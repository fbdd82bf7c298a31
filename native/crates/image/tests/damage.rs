//! A snapshot that was altered anywhere is refused, without a panic and without a large allocation.

mod scratch;

use image::{Error, Result, SnapshotReader, SnapshotWriter};
use scratch::{Scratch, check_all, own_pack, pattern, small_image};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// True for the answers that end a command with "image damaged".
fn refused(result: Result<()>) -> bool {
    matches!(result, Err(Error::Damaged { .. } | Error::TooLarge { .. }))
}

struct Sample {
    scratch: Scratch,
    dir: PathBuf,
}

impl Sample {
    fn new() -> Self {
        let scratch = Scratch::new();
        let dir = scratch.join("a");
        small_image(&dir);
        check_all(&dir).unwrap();
        Self { scratch, dir }
    }

    fn manifest(&self) -> PathBuf {
        self.dir.join("manifest")
    }

    /// Expects that the image is refused with this one bit of `path` flipped, and puts it back.
    fn flip(&self, path: &Path, at: u64, bit: u8) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << bit], at).unwrap();
        let result = check_all(&self.dir);
        assert!(refused(result.clone()), "bit {bit} of byte {at} in {}: {result:?}", path.display());
        file.write_all_at(&byte, at).unwrap();
    }

    /// Expects that the image is refused with `path` cut to any shorter length, and longer by a byte.
    fn resize(&self, path: &Path) {
        let bytes = fs::read(path).unwrap();
        fs::write(path, [&bytes[..], &[0]].concat()).unwrap();
        assert!(refused(check_all(&self.dir)), "one byte more in {}", path.display());
        let file = File::options().write(true).open(path).unwrap();
        for length in (0..bytes.len()).rev() {
            file.set_len(length as u64).unwrap();
            let result = check_all(&self.dir);
            assert!(refused(result.clone()), "{length} bytes of {}: {result:?}", path.display());
        }
    }
}

#[test]
fn every_flipped_bit_of_a_manifest_is_found() {
    let sample = Sample::new();
    let length = fs::metadata(sample.manifest()).unwrap().len();
    for at in 0..length {
        (0..8).for_each(|bit| sample.flip(&sample.manifest(), at, bit));
    }
    check_all(&sample.dir).unwrap();
}

#[test]
fn flipped_bits_all_over_a_pack_are_found() {
    let sample = Sample::new();
    let pack = own_pack(&sample.dir);
    let length = fs::metadata(&pack).unwrap().len();
    let data_end = 4 * 4096;
    for at in 0..length {
        if at < 40 || at >= data_end {
            (0..8).for_each(|bit| sample.flip(&pack, at, bit));
        } else if at % 3 == 0 {
            sample.flip(&pack, at, (at % 8) as u8);
        }
    }
    check_all(&sample.dir).unwrap();
}

#[test]
fn damage_in_any_block_of_a_large_pack_is_found_and_placed() {
    let scratch = Scratch::new();
    let dir = scratch.join("a");
    let mut writer = SnapshotWriter::create(&dir).unwrap();
    writer.pack().append_owned(pattern((5 << 20) + 777, 3)).unwrap();
    writer.commit().unwrap();
    let file = File::options().read(true).write(true).open(own_pack(&dir)).unwrap();
    let end = (5 << 20) + 4096 + 4096;
    for at in [4096, (1 << 20) - 1, 1 << 20, 3_500_000, (5 << 20) - 1, 5 << 20, end - 1] {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        let reader = SnapshotReader::open(&dir, None).expect("page data is not looked at by open");
        let error = reader.verify_packs(&mut |_, _| true).unwrap_err().to_string();
        let place = format!("at offset {} are not", at >> 20 << 20);
        assert!(error.contains(&place), "{at}: {error}");
        file.write_all_at(&byte, at).unwrap();
    }
    SnapshotReader::open(&dir, None).unwrap().verify_packs(&mut |_, _| true).unwrap();
}

#[test]
fn a_manifest_of_any_other_length_is_refused() {
    let sample = Sample::new();
    sample.resize(&sample.manifest());
}

#[test]
fn a_pack_of_any_other_length_is_refused() {
    let sample = Sample::new();
    sample.resize(&own_pack(&sample.dir));
}

#[test]
fn a_missing_pack_and_the_pack_of_another_snapshot_are_refused() {
    let sample = Sample::new();
    let other = sample.scratch.join("b");
    small_image(&other);
    let pack = own_pack(&sample.dir);
    fs::remove_file(&pack).unwrap();
    assert!(refused(check_all(&sample.dir)), "missing");
    fs::copy(own_pack(&other), &pack).unwrap();
    assert!(refused(check_all(&sample.dir)), "another's");
    fs::remove_file(&pack).unwrap();
    fs::create_dir(&pack).unwrap();
    assert!(refused(check_all(&sample.dir)), "a folder");
}

#[test]
fn what_is_no_regular_file_is_refused_without_being_opened() {
    for path in ["manifest", "pack"] {
        let sample = Sample::new();
        let path = if path == "pack" { own_pack(&sample.dir) } else { sample.manifest() };
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(refused(check_all(&sample.dir)), "a FIFO");
        fs::remove_file(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        assert!(refused(check_all(&sample.dir)), "a device");
    }
}

#[test]
fn a_manifest_that_promises_a_huge_body_allocates_nothing() {
    let sample = Sample::new();
    let file = File::options().write(true).open(sample.manifest()).unwrap();
    file.set_len(1 << 40).unwrap(); // sparse
    assert!(refused(check_all(&sample.dir)));
}
