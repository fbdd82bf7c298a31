use super::find;
use crate::sample;

#[test]
fn the_note_behind_a_foreign_one_is_found() {
    let file = sample::elf(&sample::note(b"program"));
    let range = find(&file[..]).expect("well formed").expect("there is a note");
    assert_eq!(&file[range.start as usize..range.end as usize], b"program");
}

#[test]
fn a_file_without_the_note_has_no_program() {
    let file = sample::elf(b"\x04\0\0\0\x04\0\0\0\x01\0\0\0GNU\0abcdefghijklmnop");
    assert_eq!(find(&file[..]).expect("well formed"), None);
}

#[test]
fn a_file_that_is_not_elf_is_refused() {
    assert!(find(&[0u8; 64][..]).is_err());
    assert!(find(&b"\x7fELF"[..]).is_err());
}

#[test]
fn every_truncation_is_refused() {
    let file = sample::elf(&sample::note(b"program"));
    for length in 0..file.len() {
        assert!(find(&file[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn no_altered_byte_leads_outside_of_the_file() {
    let file = sample::elf(&sample::note(b"program"));
    for place in 0..file.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut altered = file.clone();
            altered[place] = value;
            if let Ok(Some(range)) = find(&altered[..]) {
                assert!(range.start <= range.end && range.end <= altered.len() as u64, "byte {place}");
            }
        }
    }
}

#[test]
fn another_section_name_is_refused() {
    let mut note = sample::note(b"program");
    note[20] = b'x';
    assert!(find(&sample::elf(&note)[..]).is_err());
}
