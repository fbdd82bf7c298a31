//! What a restored application sees of its volumes: a view of its own, on which nothing that it writes reaches what was
//! captured. An overlay where the kernel allows one, else a copy.

use super::collect::TREE;
use super::{VolumeV1, back, fault, is_within, place};
use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::nursery::Cradle;
use crate::place::Place;
use crate::rebuild::moved;
use crate::state::descriptors::KindV1;
use crate::state::filesystem::FileRefV1;
use crate::state::memory::BackingV1;
use crate::state::process::BodyV1;
use ::capsule::{Building, VOLUMES, ViewKind, Volume};
use abi::request::{Home, Restore, Volumes};
use abi::wire::View;
use abi::{Code, Fault};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use volume::BodyV1 as EntryBody;

/// The volumes that a restore has given views of, and what it has done to the host for that, which is undone unless
/// [`keep`](Self::keep) is called.
#[derive(Default)]
pub struct Views {
    /// Paths of volumes whose files are not those that were captured, but like them.
    renewed: Vec<String>,
    /// Folders of the host that were made to be covered, outer ones first.
    made: Vec<PathBuf>,
    back: Vec<back::PutBack>,
    kept: bool,
}

impl Views {
    /// Whether a file of the application is where everything is as it was captured, and has another inode than it had.
    pub fn contain(&self, path: &[u8]) -> bool {
        self.renewed.iter().any(|renewed| is_within(path, renewed))
    }

    /// The application lives.
    pub fn keep(&mut self) {
        self.kept = true;
        self.back.iter_mut().for_each(back::PutBack::keep);
    }
}

impl Drop for Views {
    fn drop(&mut self) {
        if !self.kept {
            // One that something was put into meanwhile stays.
            self.made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
        }
    }
}

/// Gives the application its volumes, before anything of it is opened. Returns what there is to know besides.
pub fn apply(chain: &Chain, request: &Restore, place: &mut Place) -> Result<(Views, Vec<String>)> {
    let mut views = Views::default();
    let mut notes = Vec::new();
    let Cradle::Capsule(building) = &mut place.cradle else { return Ok((views, notes)) };
    if chain.volumes.is_empty() {
        return Ok((views, notes));
    }
    if request.volumes == Volumes::Back {
        views.back = back::put_back(chain, request, building, &mut notes)?;
    }
    let mut noted = Vec::with_capacity(chain.volumes.len());
    for (number, volume) in chain.volumes.iter().enumerate() {
        let view = match request.volumes {
            Volumes::Own => {
                cover(volume, &mut views, &mut notes)?;
                Some(own(number, volume, &used(chain, volume, &request.files), request, building)?)
            }
            Volumes::Host | Volumes::Back => require_folder(volume).map(|()| None)?,
        };
        noted.push(Volume { path: volume.path.clone(), view });
    }
    building.note_volumes(noted);
    if request.volumes != Volumes::Host {
        views.renewed = chain.volumes.iter().map(|volume| volume.path.clone()).collect();
    }
    Ok((views, notes))
}

fn require_folder(volume: &VolumeV1) -> Result<()> {
    if Path::new(&volume.path).is_dir() {
        return Ok(());
    }
    Err(Fault::new(Code::RestoreFailed, format!("Could not use the host's folder \"{}\"", volume.path))
        .because("there is no such folder")
        .hint("--volumes own gives the application a view of what was captured, --volumes back puts it back"))
}

/// Makes the folder that a view covers, where this host has none.
fn cover(volume: &VolumeV1, views: &mut Views, notes: &mut Vec<String>) -> Result<()> {
    let path = Path::new(&volume.path);
    let mut missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    missing.reverse();
    for folder in &missing {
        match fs::create_dir(folder) {
            // Made for another clone meanwhile.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            made => made.explain(|| format!("Could not make the folder \"{}\"", folder.display()))?,
        }
        views.made.push(folder.to_path_buf());
    }
    if !missing.is_empty() {
        notes.push(format!(
            "the empty folder \"{}\" was made on the host, for the view to cover",
            volume.path
        ));
    }
    Ok(())
}

/// Makes a view in the application's state folder, and mounts it.
fn own(
    number: usize,
    volume: &VolumeV1,
    used: &BTreeSet<&[u8]>,
    request: &Restore,
    building: &mut Building,
) -> Result<ViewKind> {
    let folder = building.folder().join(VOLUMES).join(number.to_string());
    let what = || format!("Could not make a view of the volume \"{}\"", volume.path);
    DirBuilder::new().mode(0o700).recursive(true).create(&folder).explain(what)?;
    let captured = place(&request.dir, number);
    let view = |kind| -> Result<View> {
        let folder = folder.to_str().ok_or(sys::Errno::EINVAL).explain(what)?.to_owned();
        Ok(View { target: volume.path.clone(), folder, kind })
    };
    let overlay = ViewKind::Overlay { user: in_user_namespace() };
    make_layer(volume, &captured, &folder, &request.home)?;
    DirBuilder::new().mode(0o700).create(folder.join("work")).explain(what)?;
    let first = in_upper(volume, used);
    volume::copy_some(&volume.tree, &captured, &folder.join("upper"), &|place| first.contains(&place))
        .map_err(|error| fault(&error, "make a view of", &volume.path))?;
    if building.mount(view(overlay)?)? {
        return Ok(overlay);
    }
    for name in ["lower", "upper", "work"] {
        let path = folder.join(name);
        let gone = if name == "lower" { fs::remove_file(&path) } else { volume::remove(&path) };
        gone.explain(what)?;
    }
    volume::copy(&volume.tree, &captured, &folder.join("tree"))
        .map_err(|error| fault(&error, "make a copy of", &volume.path))?;
    if building.mount(view(ViewKind::Copy)?)? {
        return Ok(ViewKind::Copy);
    }
    Err(Fault::new(Code::HostLacks, what()).because("neither an overlay nor a copy can be mounted there"))
}

/// Whether this command, or the capsule that it makes, is in a user namespace that is not the host's first.
fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_first = map.split_whitespace().eq(["0", "0", "4294967295"]);
    !is_first || !::capsule::has_privileges()
}

/// Makes the capture one that the view in `folder` lies on, and that stays when the image is removed.
fn make_layer(volume: &VolumeV1, captured: &Path, folder: &Path, home: &Home) -> Result<()> {
    let what = || format!("Could not keep what was captured of the volume \"{}\"", volume.path);
    let mut tree = Vec::new();
    ciborium::into_writer(&volume.tree, &mut tree)
        .map_err(|error| Fault::new(Code::Internal, what()).because(error))?;
    // An image that is not what it was must not be taken for it.
    let name = format!("{:016x}-{:016x}", volume.id, xxhash_rust::xxh3::xxh3_64(&tree));
    let layers = ::capsule::layers(home);
    DirBuilder::new().mode(0o700).recursive(true).create(&layers).explain(what)?;
    let layer = ::capsule::claim_layer(home, folder, &name).explain(what)?;
    if layer.is_dir() {
        return Ok(());
    }
    let _ = image::remove_abandoned(&layers);
    let partial = image::PartialFolder::create(&layer);
    let partial = match partial {
        Err(image::Error::Exists { .. }) => return Ok(()),
        partial => partial.explain(what)?,
    };
    fs::write(partial.path().join(TREE), tree).explain(what)?;
    volume::link(&volume.tree, captured, &partial.path().join("tree"))
        .map_err(|error| fault(&error, "keep what was captured of", &volume.path))?;
    match partial.publish() {
        // Somebody else has made the same.
        Err(image::Error::Exists { .. }) => Ok(()),
        published => published.explain(what),
    }
}

/// What the upper layer begins with, by place in the tree: with its folders, everything that an overlay would not show as
/// it was. Names of one file become files of their own once one of them is written to; modes that deny their owner to
/// read are not those in the capture; and a descriptor of a captured file would go on showing that when somebody else
/// writes to the file, so whatever the application has open is copied before.
fn in_upper(volume: &VolumeV1, used: &BTreeSet<&[u8]>) -> BTreeSet<usize> {
    let entries = &volume.tree.entries;
    let mut places = BTreeSet::from([0]);
    for (place, entry) in entries.iter().enumerate() {
        if let EntryBody::Same { entry: first } = entry.body {
            places.extend([first as usize, place]);
        }
        let is_file = matches!(entry.body, EntryBody::File { .. });
        let other_mode = entry.mode != entry.mode_in_capture();
        if other_mode || (is_file && used.contains(entry.path.as_slice())) {
            places.insert(place);
        }
    }
    // One of the names that a file has is open: it has all of them there already.
    let folders: HashMap<&[u8], usize> =
        entries.iter().enumerate().map(|(place, entry)| (entry.path.as_slice(), place)).collect();
    for place in places.clone() {
        let path = entries[place].path.as_slice();
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        places.extend(ends.filter_map(|end| folders.get(&path[..end])));
    }
    places
}

/// Files of a volume that the application has open, watches or has mapped for sharing, by their paths below it.
fn used<'a>(chain: &'a Chain, volume: &VolumeV1, files: &BTreeMap<String, String>) -> BTreeSet<&'a [u8]> {
    let open = chain.descriptions.iter().filter_map(|description| match &description.kind {
        KindV1::Regular(regular) if description.flags & libc::O_PATH == 0 => Some(&regular.file),
        _ => None,
    });
    let watched = chain.descriptions.iter().flat_map(|description| match &description.kind {
        KindV1::Inotify(inotify) => inotify.watches.as_slice(),
        _ => &[],
    });
    let open = open.chain(watched.map(|watch| &watch.file));
    let lives = chain.processes.iter().filter_map(|process| match &process.body {
        BodyV1::Live(live) => Some(live),
        BodyV1::Zombie { .. } => None,
    });
    let shared = lives.flat_map(|live| &live.memory.mappings).filter(|mapping| mapping.shared);
    let mapped = shared.filter_map(|mapping| match &mapping.backing {
        BackingV1::File { file, .. } => Some(file),
        _ => None,
    });
    let is_of_volume = |file: &&FileRefV1| {
        file.ghost.is_none()
            && file.mode & libc::S_IFMT == libc::S_IFREG
            && is_within(&file.path, &volume.path)
            && moved(&file.path, files).is_none()
    };
    let below = |file: &'a FileRefV1| &file.path[(volume.path.len() + 1).min(file.path.len())..];
    open.chain(mapped).filter(is_of_volume).map(below).collect()
}
