//! Capturing the volumes of an application: once while it runs, and once more while it stands still, when only what has
//! changed in between is copied.

use super::{VolumeV1, fault, is_within, place};
use crate::explain::{Explain, Result};
use crate::freeze::FrozenTree;
use crate::procfs;
use crate::state::capsule::Source;
use ::capsule::{VOLUMES, ViewKind};
use abi::{Code, Control, Fault};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use volume::{Circumstances, Known, Layers, TreeV1};

/// In an image that is being made: what was captured while the application ran.
const BEFORE: &str = "before";
/// In the application's folder of volumes: which image holds its last capture.
const LAST: &str = "last";
/// In the folder of a layer, beside the capture.
pub const TREE: &str = "tree.cbor";

/// The volumes of one application, and what is known of them.
pub struct Collector {
    volumes: Vec<Volume>,
    init: i32,
    /// The image that is being made.
    image: PathBuf,
    /// The application's folder of volumes.
    state: PathBuf,
}

struct Volume {
    path: String,
    /// Where this command finds it.
    place: PathBuf,
    layers: Option<Layers>,
    known: Known,
    true_times: bool,
}

impl Collector {
    /// Finds the volumes, and copies what there is into the unfinished image. The application runs.
    pub fn prepare(source: &Source, image: &Path, control: &Control) -> Result<Self> {
        let state = source.folder.join(VOLUMES);
        let last = fs::read_to_string(state.join(LAST)).map(PathBuf::from).ok();
        // An image that is gone or damaged since is of no use, and no harm.
        let last = last.and_then(|dir| Some((super::read(&dir).ok()?, dir)));
        let volumes = source.volumes.iter().enumerate().map(|(number, volume)| {
            let mut known = Known::default();
            let earlier =
                last.iter().flat_map(|(volumes, dir)| volumes.iter().enumerate().zip(std::iter::repeat(dir)));
            for ((number, earlier), dir) in earlier.filter(|((_, earlier), _)| earlier.path == volume.path) {
                known.add(&earlier.tree, &place(dir, number));
            }
            let place = PathBuf::from(format!("/proc/{}/root{}", source.init, volume.path));
            let own = state.join(number.to_string());
            let layers = match volume.view {
                Some(ViewKind::Overlay { user }) => layers(&own, user),
                _ => None,
            };
            let real = if layers.is_some() { own.join("upper") } else { place.clone() };
            let true_times = volume::has_true_times(&real);
            Volume { path: volume.path.clone(), place, layers, known, true_times }
        });
        let volumes = volumes.collect();
        let mut collector = Self { volumes, init: source.init, image: image.to_path_buf(), state };
        collector.capture_beforehand(control)?;
        Ok(collector)
    }

    fn capture_beforehand(&mut self, control: &Control) -> Result<()> {
        if self.volumes.is_empty() {
            return Ok(());
        }
        let folder = self.image.join(BEFORE);
        make(&folder)?;
        make(&self.image.join(super::FOLDER))?;
        let since_ns = now_ns();
        let mapped = self.mapped(&::capsule::processes_of(self.init));
        for (number, volume) in self.volumes.iter_mut().enumerate() {
            let to = folder.join(number.to_string());
            let tree = volume.capture(&to, &mapped, since_ns, true, control)?;
            volume.known.add(&tree, &to);
        }
        Ok(())
    }

    /// Captures the volumes of the frozen application.
    pub fn collect(&self, tree: &FrozenTree, control: &Control) -> Result<Vec<VolumeV1>> {
        let since_ns = now_ns();
        let pids: Vec<i32> = tree.processes.iter().map(|process| process.pid).collect();
        let mapped = self.mapped(&pids);
        let mut saved = Vec::with_capacity(self.volumes.len());
        for (number, volume) in self.volumes.iter().enumerate() {
            self.refuse_mounts(volume)?;
            let to = place(&self.image, number);
            let tree = volume.capture(&to, &mapped, since_ns, false, control)?;
            saved.push(VolumeV1 { path: volume.path.clone(), id: random()?, tree });
        }
        Ok(saved)
    }

    /// Sums up what was copied and writes it through to the disk. The application may run.
    pub fn finish(&self, saved: &mut [VolumeV1], control: &Control) -> Result<()> {
        if saved.is_empty() {
            return Ok(());
        }
        let folder = self.image.join(BEFORE);
        volume::remove(&folder).explain(|| format!("Could not remove \"{}\"", folder.display()))?;
        for (number, volume) in saved.iter_mut().enumerate() {
            let wrong = |error: volume::Error| fault(&error, "capture", &volume.path);
            let mut go_on = |_| !control.cancelled();
            volume.tree.complete(&place(&self.image, number), &mut go_on).map_err(wrong)?;
        }
        let folder = self.image.join(super::FOLDER);
        volume::sync(&folder, false).map_err(|error| fault(&error, "capture", &saved[0].path))
    }

    /// Notes where the next snapshot finds what it need not copy. Without that note it copies everything.
    pub fn remember(&self, dir: &Path) {
        if !self.volumes.is_empty() && fs::create_dir_all(&self.state).is_ok() {
            let _ = fs::write(self.state.join(LAST), dir.as_os_str().as_encoded_bytes());
        }
    }

    /// Files of volumes that these processes have mapped for sharing.
    fn mapped(&self, pids: &[i32]) -> HashSet<(u64, u64)> {
        let mappings = pids.iter().flat_map(|pid| procfs::places(*pid).unwrap_or_default());
        let shared = mappings.filter(|map| map.permissions[3] == b's');
        let of_volume = |map: &procfs::Mapping| {
            let volume = self.volumes.iter().find(|volume| is_within(&map.name, &volume.path))?;
            fs::metadata(volume.below(&map.name)).ok()
        };
        shared.filter_map(|map| of_volume(&map)).map(|meta| (meta.dev(), meta.ino())).collect()
    }

    /// What is mounted within a volume is no part of it, and would be missing.
    fn refuse_mounts(&self, volume: &Volume) -> Result<()> {
        let within = |point: &[u8]| point != volume.path.as_bytes() && is_within(point, &volume.path);
        match procfs::mount_point(self.init, |mount| within(mount.point())) {
            None => Ok(()),
            Some(point) => {
                Err(Fault::new(Code::Refused, format!("Could not capture the volume \"{}\"", volume.path))
                    .because(format!("a file system is mounted at \"{}\"", String::from_utf8_lossy(&point))))
            }
        }
    }
}

impl Volume {
    fn capture(
        &self,
        to: &Path,
        mapped: &HashSet<(u64, u64)>,
        since_ns: i64,
        tolerant: bool,
        control: &Control,
    ) -> Result<TreeV1> {
        let circumstances = Circumstances {
            known: &self.known,
            layers: self.layers.as_ref(),
            mapped,
            since_ns,
            true_times: self.true_times,
            tolerant,
            go_on: &|| !control.cancelled(),
        };
        volume::capture(&self.place, Path::new(&self.path), to, &circumstances)
            .map_err(|error| fault(&error, "capture", &self.path))
    }

    fn below(&self, path: &[u8]) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let rest = &path[self.path.len()..];
        self.place.join(std::ffi::OsStr::from_bytes(rest.strip_prefix(b"/").unwrap_or(rest)))
    }
}

/// What a view is made of; without it everything is copied from the view.
fn layers(own: &Path, user: bool) -> Option<Layers> {
    let lower = fs::canonicalize(own.join("lower")).ok()?;
    let text = fs::read(lower.with_file_name(TREE)).ok()?;
    let tree = ciborium::from_reader(&text[..]).ok()?;
    Some(Layers::new(own.join("upper"), lower, tree, user))
}

fn make(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .explain(|| format!("Could not make the folder \"{}\"", folder.display()))
}

fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

fn random() -> Result<u64> {
    image::random().explain(|| "Could not name the capture of a volume".to_owned())
}
