//! Volumes: folders of the host that belong to an application's state (docs/volumes.md). They are captured while the
//! application stands still, lie in the image's folder, and a restored application sees a view of its own.

mod back;
mod collect;
mod request;
mod view;

pub use collect::Collector;
pub use request::requested;
pub use view::{Views, apply};

use crate::chain::Chain;
use crate::explain::Result;
use crate::store;
use abi::request::{AdoptVolumes, LinkVolumes, Restore, Volumes};
use abi::{Code, Control, Fault, Phase, Unit};
use image::SnapshotReader;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use volume::TreeV1;

/// The folder of an image that holds the captures, each in a folder that is called by its number.
pub const FOLDER: &str = "volumes";
/// The section that says what they are.
pub const SECTION: &str = "volumes";
/// An application has no more of them.
pub const MOST: usize = 64;

/// A captured volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VolumeV1 {
    /// In the application's view; absolute.
    pub path: String,
    /// Random: no two captures have the same.
    pub id: u64,
    pub tree: TreeV1,
}

/// Where the capture of a number lies in an image.
pub fn place(image: &Path, number: usize) -> PathBuf {
    image.join(FOLDER).join(number.to_string())
}

/// Whether a path is that of a folder or of something in it.
pub fn is_within(path: &[u8], folder: &str) -> bool {
    path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Says what was attempted with a volume.
pub fn fault(error: &volume::Error, verb: &str, path: &str) -> Fault {
    use volume::Error;
    let code = match error {
        Error::Refused { .. } => Code::Refused,
        Error::Damaged { .. } => Code::ImageDamaged,
        Error::Cancelled => Code::Interrupted,
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Code::NotPermitted
        }
        Error::Io { .. } => Code::Other,
    };
    Fault::new(code, format!("Could not {verb} the volume \"{path}\"")).because(error)
}

/// Looks whether the captures of an image are what was captured. Contents are looked at, too, unless the caller had that
/// done.
pub fn check(volumes: &[VolumeV1], image: &Path, contents: bool, control: &Control) -> Result<()> {
    for (number, volume) in volumes.iter().enumerate() {
        let folder = place(image, number);
        let wrong = |error: volume::Error| fault(&error, "read", &volume.path);
        volume::check_structure(&volume.tree, &folder).map_err(wrong)?;
        if contents {
            control.phase(Phase::Checking, volume.tree.bytes(), Unit::Bytes);
            let mut go_on = |bytes| {
                control.advance(bytes);
                !control.cancelled()
            };
            volume::check_contents(&volume.tree, &folder, &mut go_on).map_err(wrong)?;
        }
    }
    Ok(())
}

/// The same for a restore, as far as that uses the captures.
pub fn check_for(request: &Restore, chain: &Chain, control: &Control) -> Result<()> {
    match request.volumes {
        Volumes::Host => Ok(()),
        _ => check(&chain.volumes, &request.dir, true, control),
    }
}

/// The volumes of an image of which nothing else is wanted.
pub fn read(dir: &Path) -> Result<Vec<VolumeV1>> {
    let what = || format!("Could not read the snapshot \"{}\"", dir.display());
    let mut reader = SnapshotReader::open(dir, None).map_err(|error| store::fault(what(), &error))?;
    crate::chain::volumes(&mut reader)
}

/// Gives the captures of one image second names in another, which has the rest of it already.
pub fn link(request: LinkVolumes, control: &Control) -> Result<Linked> {
    let volumes = read(&request.from)?;
    if volumes.is_empty() {
        return Ok(Linked { volumes: 0 });
    }
    let folder = request.to.join(FOLDER);
    let failed = |error: std::io::Error| {
        let what = format!("Could not make the folder \"{}\"", folder.display());
        Fault::new(Code::Other, what).because(error)
    };
    std::fs::create_dir(&folder).map_err(failed)?;
    for (number, volume) in volumes.iter().enumerate() {
        control.proceed()?;
        let (from, to) = (place(&request.from, number), place(&request.to, number));
        volume::link(&volume.tree, &from, &to).map_err(|error| fault(&error, "copy", &volume.path))?;
    }
    volume::sync(&folder, true).map_err(|error| fault(&error, "copy", &volumes[0].path))?;
    Ok(Linked { volumes: volumes.len() })
}

/// Makes captures of what an archive brought of them: it may lack what archives do not hold, such as parts of seconds.
pub fn adopt(request: AdoptVolumes, control: &Control) -> Result<Linked> {
    let volumes = read(&request.dir)?;
    for (number, volume) in volumes.iter().enumerate() {
        control.proceed()?;
        let capture = place(&request.dir, number);
        let brought = capture.with_extension("brought");
        let failed = |error: std::io::Error| {
            Fault::new(Code::Other, format!("Could not take in the volume \"{}\"", volume.path))
                .because(error)
        };
        std::fs::rename(&capture, &brought).map_err(failed)?;
        volume::adopt(&volume.tree, &brought, &capture)
            .map_err(|error| fault(&error, "take in", &volume.path))?;
        volume::remove(&brought).map_err(failed)?;
    }
    Ok(Linked { volumes: volumes.len() })
}

/// How many volumes an image has.
#[derive(Debug, Serialize)]
pub struct Linked {
    volumes: usize,
}
