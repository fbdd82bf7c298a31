//! Looking after snapshots on disk: checking one, and listing those in a folder.

use crate::state::volumes;
use crate::summary::SummaryV1;
use abi::request::{List, Verify};
use abi::{Code, Control, Fault, Phase, Unit};
use image::{Error, SnapshotReader};
use serde::Serialize;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A snapshot all of whose checksums are right.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    ok: bool,
    /// Of the manifest, all packs and all volumes.
    bytes: u64,
}

#[derive(Debug, Serialize)]
pub struct Listing {
    snapshots: Vec<Listed>,
}

/// A snapshot, or what is left of one.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Listed {
    Sound {
        dir: PathBuf,
        label: Value,
        bytes: u64,
        processes: u64,
        /// ISO 8601, as the label has it.
        #[serde(skip_serializing_if = "Option::is_none")]
        created: Option<String>,
    },
    Damaged {
        dir: PathBuf,
        damaged: String,
    },
}

/// Reads a snapshot whole and compares every checksum.
pub fn verify(request: Verify, control: &Control) -> Result<Verified, Fault> {
    let message = || format!("Could not verify the snapshot \"{}\"", request.dir.display());
    let reader = SnapshotReader::open(&request.dir, None).map_err(|error| fault(message(), &error))?;
    let mut before = 0;
    let checked = reader.verify_packs(&mut |done, total| {
        if done == 0 {
            control.phase(Phase::Checking, total, Unit::Bytes);
        }
        control.advance(done - before);
        before = done;
        !control.cancelled()
    });
    checked.map_err(|error| fault(message(), &error))?;
    let volumes = volumes::read(&request.dir)?;
    volumes::check(&volumes, &request.dir, true, control)?;
    let in_volumes: u64 = volumes.iter().map(|volume| volume.tree.bytes()).sum();
    Ok(Verified { ok: true, bytes: reader.total_bytes() + in_volumes })
}

/// Describes every sub-folder that is a snapshot or was one, in the order of their names. Unfinished ones
/// are passed over: a snapshot exists wholly or not at all.
pub fn list(request: List, control: &Control) -> Result<Listing, Fault> {
    let mut snapshots = Vec::new();
    for dir in folders(&request.folder)? {
        control.proceed()?;
        match describe(&dir) {
            Ok(listed) => snapshots.push(listed),
            Err(fault) if fault.code == Code::NoTarget => {}
            Err(fault) => snapshots.push(Listed::Damaged { dir, damaged: fault.to_string() }),
        }
    }
    Ok(Listing { snapshots })
}

/// Sub-folders that may be snapshots; a folder that does not exist has none.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let failed = |error: std::io::Error| {
        let error =
            Error::Io { doing: "list", path: folder.to_path_buf(), errno: sys::Errno::from_io(&error).0 };
        fault(format!("Could not list the snapshots in \"{}\"", folder.display()), &error)
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if path.is_dir() && !image::is_partial(&entry.file_name()) {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

fn describe(dir: &Path) -> Result<Listed, Fault> {
    let message = || format!("Could not read the snapshot \"{}\"", dir.display());
    let mut reader = SnapshotReader::open(dir, None).map_err(|error| fault(message(), &error))?;
    let label = label(&mut reader)?;
    let processes = SummaryV1::read(&mut reader)?.processes;
    let created = label.get("created").and_then(Value::as_str).map(str::to_owned);
    Ok(Listed::Sound { dir: dir.to_path_buf(), label, bytes: reader.total_bytes(), processes, created })
}

/// The command's own words about the snapshot: JSON text, kept verbatim.
pub fn label(reader: &mut SnapshotReader) -> Result<Value, Fault> {
    const MESSAGE: &str = "Could not read section \"label\"";
    let section = reader.section("label").map_err(|error| fault(MESSAGE, &error))?;
    let section =
        section.ok_or_else(|| Fault::new(Code::ImageDamaged, MESSAGE).because("the snapshot has none"))?;
    serde_json::from_slice(&section.body)
        .map_err(|error| Fault::new(Code::ImageDamaged, MESSAGE).because(error))
}

/// An error of the image, with the code that the command ends with.
pub fn fault(message: impl Into<String>, error: &Error) -> Fault {
    let fault = Fault::new(code_of(error), message).because(error);
    match fault.code {
        Code::ImageTooNew => fault.hint("Use the version of stasis that made the snapshot, or a newer one"),
        _ => fault,
    }
}

/// A limit is exceeded by a forged image when reading; when writing the snapshot is beyond what the format can hold.
fn code_of(error: &Error) -> Code {
    match error {
        Error::Damaged { .. } | Error::TooLarge { .. } => Code::ImageDamaged,
        Error::TooNew { .. } | Error::Unknown { .. } => Code::ImageTooNew,
        Error::NotASnapshot { .. } => Code::NoTarget,
        Error::Cancelled => Code::Interrupted,
        Error::Misuse { .. } => Code::Internal,
        Error::Exists { .. } => Code::Usage,
        Error::Io { errno, .. } => match sys::Errno(*errno) {
            sys::Errno::EACCES | sys::Errno::EPERM => Code::NotPermitted,
            _ => Code::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::request::Home;
    use image::SnapshotWriter;
    use serde_json::json;
    use std::fs;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("stasis-store-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        /// Makes a snapshot here.
        fn snapshot(&self, name: &str) -> PathBuf {
            let dir = self.0.join(name);
            let mut writer = SnapshotWriter::create(&dir).unwrap();
            let label = json!({"id": name, "created": "2025-01-02T03:04:05.000Z"});
            writer.section("label", 1, label.to_string().as_bytes()).unwrap();
            SummaryV1 { processes: 3, threads: 5 }.write(&mut writer).unwrap();
            writer.pack().append(&[9; 3 << 20]).unwrap();
            writer.commit().unwrap();
            dir
        }

        fn list(&self) -> Vec<Listed> {
            let request = List { home: home(), folder: self.0.clone() };
            list(request, &Control::new()).unwrap().snapshots
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn home() -> Home {
        Home { data: "/nowhere".into(), run: "/nowhere".into() }
    }

    fn verify_in(dir: &Path, control: &Control) -> Result<Verified, Fault> {
        verify(Verify { home: home(), dir: dir.to_path_buf() }, control)
    }

    fn flip_last_page_byte(dir: &Path) {
        let pack = fs::read_dir(dir.join("packs")).unwrap().next().unwrap().unwrap().path();
        let mut bytes = fs::read(&pack).unwrap();
        bytes[2 << 20] ^= 1;
        fs::write(&pack, bytes).unwrap();
    }

    #[test]
    fn verify_counts_every_byte_of_a_sound_snapshot() {
        let folder = Folder::new("sound");
        let control = Control::new();
        let verified = verify_in(&folder.snapshot("a"), &control).unwrap();
        assert!(verified.ok && verified.bytes > 3 << 20);
        let data = (3 << 20) + 4096;
        assert_eq!(control.progress(), [Phase::Checking as u64, data, data, Unit::Bytes as u64]);
    }

    #[test]
    fn verify_tells_damage_from_what_is_no_snapshot() {
        let folder = Folder::new("codes");
        let dir = folder.snapshot("a");
        flip_last_page_byte(&dir);
        let fault = verify_in(&dir, &Control::new()).unwrap_err();
        assert_eq!(fault.code, Code::ImageDamaged);
        assert!(fault.to_string().contains("at offset 2097152"), "{fault}");
        assert_eq!(verify_in(&folder.0, &Control::new()).unwrap_err().code, Code::NoTarget);
        assert_eq!(verify_in(&folder.0.join("no"), &Control::new()).unwrap_err().code, Code::NoTarget);
    }

    #[test]
    fn verify_stops_at_an_interrupt() {
        let folder = Folder::new("interrupt");
        let control = Control::new();
        control.cancel();
        assert_eq!(verify_in(&folder.snapshot("a"), &control).unwrap_err().code, Code::Interrupted);
    }

    #[test]
    fn list_describes_snapshots_and_names_damaged_ones() {
        let folder = Folder::new("list");
        let sound = folder.snapshot("b");
        let damaged = folder.snapshot("a");
        fs::remove_file(damaged.join("manifest")).unwrap();
        fs::create_dir(folder.0.join("something else")).unwrap();
        fs::write(folder.0.join("file"), "").unwrap();
        let unfinished = SnapshotWriter::create(&folder.0.join("c")).unwrap();
        let listed = folder.list();
        drop(unfinished);
        let [
            Listed::Damaged { dir: first, damaged: why },
            Listed::Sound { dir, label, bytes, processes, created },
        ] = &listed[..]
        else {
            panic!("{listed:?}")
        };
        assert_eq!((first, dir), (&damaged, &sound));
        assert!(why.contains("it is missing"), "{why}");
        assert_eq!(label["id"], "b");
        assert_eq!((*processes, created.as_deref()), (3, Some("2025-01-02T03:04:05.000Z")));
        assert!(*bytes > 3 << 20);
    }

    #[test]
    fn a_store_that_does_not_exist_yet_is_empty() {
        let request = List { home: home(), folder: "/nowhere/at/all".into() };
        assert!(list(request, &Control::new()).unwrap().snapshots.is_empty());
    }
}
