//! What is written comes back.

mod scratch;

use image::{Error, PAGE, SnapshotReader, SnapshotWriter};
use scratch::{Scratch, check_all, own_pack, pattern, small_image};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::{fs, path::Path};

fn read_at(reader: &SnapshotReader, pack: u32, offset: u64, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    reader.pack_file(pack).unwrap().read_exact_at(&mut buffer, offset).unwrap();
    buffer
}

#[test]
fn sections_come_back_once() {
    let scratch = Scratch::new();
    small_image(&scratch.join("a"));
    let mut reader = SnapshotReader::open(&scratch.join("a"), None).unwrap();
    let listed: Vec<_> =
        reader.sections().map(|(kind, version, length)| (kind.to_owned(), version, length)).collect();
    assert_eq!(listed, [("label".into(), 1, 16), ("tree".into(), 7, 100), ("remarks".into(), 1, 0)]);
    let tree = reader.section("tree").unwrap().unwrap();
    assert_eq!((tree.version, tree.body), (7, pattern(100, 1)));
    assert_eq!(reader.section("tree").unwrap(), None);
    assert_eq!(reader.section("nothing").unwrap(), None);
}

#[test]
fn finish_names_required_sections_that_were_not_consumed() {
    let scratch = Scratch::new();
    small_image(&scratch.join("a"));
    let mut reader = SnapshotReader::open(&scratch.join("a"), None).unwrap();
    assert_eq!(reader.finish(), Err(Error::Unknown { names: "\"label\", \"tree\"".into() }));
    reader.section("label").unwrap();
    reader.section("tree").unwrap();
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn page_data_comes_back_from_aligned_offsets_in_any_mixture_of_calls() {
    let scratch = Scratch::new();
    let mut writer = SnapshotWriter::create(&scratch.join("a")).unwrap();
    let pack = writer.pack();
    let lengths = [1, 4096, 0, 4097, 3 << 20, 5, 1 << 20, 70_000, 9 << 20, 12_288];
    let mut pieces = Vec::new();
    for round in 0..3_u32 {
        for (number, &length) in lengths.iter().enumerate() {
            let data = pattern(length, round * 100 + number as u32);
            let offset = match (number as u32 + round) % 3 {
                0 => pack.append(&data).unwrap(),
                1 => {
                    let mut buffer = pack.take_buffer(length);
                    assert!(buffer.is_empty() && buffer.capacity() >= length);
                    buffer.extend_from_slice(&data);
                    pack.append_owned(buffer).unwrap()
                }
                _ => {
                    let mut buffer = pack.take_filled(length);
                    buffer.copy_from_slice(&data);
                    pack.append_owned(buffer).unwrap()
                }
            };
            assert_eq!(offset % PAGE, 0);
            pieces.push((offset, data));
        }
    }
    pack.flush().unwrap();
    let committed = writer.commit().unwrap();
    let reader = SnapshotReader::open(&scratch.join("a"), None).unwrap();
    for (offset, data) in pieces {
        assert_eq!(read_at(&reader, 0, offset, data.len()), data, "at {offset}");
    }
    let mut last = (0, 0);
    reader
        .verify_packs(&mut |done, total| {
            last = (done, total);
            true
        })
        .unwrap();
    let end = reader.pack_extent(0).unwrap().end;
    assert_eq!(last, (end, end));
    assert_eq!(committed.bytes, reader.total_bytes());
}

#[test]
fn a_snapshot_without_sections_and_pages_is_one() {
    let scratch = Scratch::new();
    SnapshotWriter::create(&scratch.join("a")).unwrap().commit().unwrap();
    let reader = SnapshotReader::open(&scratch.join("a"), None).unwrap();
    assert_eq!((reader.pack_count(), reader.sections().count()), (1, 0));
    assert_eq!(reader.pack_extent(0).unwrap(), PAGE..PAGE);
    reader.verify_packs(&mut |_, _| true).unwrap();
}

#[test]
fn a_later_snapshot_refers_to_an_earlier_pack() {
    let scratch = Scratch::new();
    small_image(&scratch.join("old"));
    let old = SnapshotReader::open(&scratch.join("old"), None).unwrap();
    let mut writer = SnapshotWriter::create(&scratch.join("new")).unwrap();
    assert_eq!(writer.refer(old.pack_entry(0).unwrap()).unwrap(), 1);
    assert!(matches!(writer.refer(old.pack_entry(0).unwrap()), Err(Error::Misuse { .. })));
    assert_eq!(writer.pack().append(b"changed").unwrap(), PAGE);
    writer.commit().unwrap();

    let store = scratch.join("old/packs");
    let new = SnapshotReader::open(&scratch.join("new"), Some(&store)).unwrap();
    assert_eq!(new.pack_count(), 2);
    assert_eq!(read_at(&new, 0, PAGE, 7), b"changed");
    assert_eq!(read_at(&new, 1, PAGE, 50), pattern(50, 2));
    new.verify_packs(&mut |_, _| true).unwrap();
    assert!(matches!(new.pack_file(2), Err(Error::Damaged { .. })));

    let alone = SnapshotReader::open(&scratch.join("new"), None);
    assert!(matches!(alone, Err(Error::Damaged { what }) if what.contains("is missing")));
    let pack = own_pack(&scratch.join("old"));
    fs::copy(&pack, scratch.join("new/packs").join(pack.file_name().unwrap())).unwrap();
    SnapshotReader::open(&scratch.join("new"), None).unwrap();
}

#[test]
fn verify_stops_when_told() {
    let scratch = Scratch::new();
    let mut writer = SnapshotWriter::create(&scratch.join("a")).unwrap();
    writer.pack().append_owned(vec![1; 64 << 20]).unwrap();
    writer.commit().unwrap();
    let reader = SnapshotReader::open(&scratch.join("a"), None).unwrap();
    let mut calls = Vec::new();
    let result = reader.verify_packs(&mut |done, total| {
        calls.push((done, total));
        false
    });
    assert_eq!((result, calls), (Err(Error::Cancelled), vec![(0, (64 << 20) + PAGE)]));
}

#[test]
fn only_the_owner_may_read_a_snapshot() {
    let scratch = Scratch::new();
    let dir = scratch.join("a");
    small_image(&dir);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join("packs"))), (0o700, 0o700));
    assert_eq!((mode(&dir.join("manifest")), mode(&own_pack(&dir))), (0o600, 0o600));
}

#[test]
fn a_writer_refuses_what_no_reader_would_take() {
    let scratch = Scratch::new();
    let mut writer = SnapshotWriter::create(&scratch.join("a")).unwrap();
    for kind in ["", "seventeen-letters", "with space", "straße"] {
        assert!(matches!(writer.section(kind, 1, b""), Err(Error::Misuse { .. })), "{kind:?}");
    }
    writer.section("twice", 1, b"").unwrap();
    assert!(matches!(writer.optional_section("twice", 2, b""), Err(Error::Misuse { .. })));
    for number in 1..1024 {
        writer.section(&format!("s{number}"), 1, b"").unwrap();
    }
    assert!(matches!(writer.section("one-more", 1, b""), Err(Error::TooLarge { .. })));
    writer.commit().unwrap();
    assert!(SnapshotReader::open(&scratch.join("a"), None).is_ok());
}

#[test]
fn what_is_no_snapshot_is_told_from_a_damaged_one() {
    let scratch = Scratch::new();
    let dir = scratch.join("a");
    let not_one = |dir: &Path| matches!(check_all(dir), Err(Error::NotASnapshot { .. }));
    let damaged = |dir: &Path| matches!(check_all(dir), Err(Error::Damaged { .. }));
    assert!(not_one(&dir), "no folder");
    fs::create_dir(&dir).unwrap();
    assert!(not_one(&dir), "an empty folder");
    fs::write(dir.join("manifest"), "name: something else").unwrap();
    assert!(not_one(&dir), "another program's manifest");
    assert!(not_one(&dir.join("manifest")), "a file");
    fs::create_dir(dir.join("packs")).unwrap();
    assert!(damaged(&dir), "packs and no manifest of ours");
    fs::remove_file(dir.join("manifest")).unwrap();
    assert!(damaged(&dir), "packs and no manifest");
}
