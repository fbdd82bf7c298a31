//! What clones' views of volumes lie on: captures of folders, kept for as long as an application has a view of them.
//!
//! ```text
//! DATA/layers/NAME/tree              a capture, which nobody writes to (docs/volumes.md)
//! DATA/apps/AID/volumes/N/lower      a link to the one that an application uses
//! ```
//!
//! A layer's files are second names of those in a snapshot, which may be removed. Who makes a view makes the link
//! first, so that a layer which is being made is in use already.

use crate::registration::{lock, lock_apps};
use abi::request::Home;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The folder with an application's views in its state folder.
pub const VOLUMES: &str = "volumes";
/// A view's link to its layer.
const LOWER: &str = "lower";
/// Before the names of layers that are being removed.
const DOOMED: &str = ".removing-";
/// In the names of layers that are being made.
const PARTIAL: &str = ".partial-";

/// The folder of all layers.
#[must_use]
pub fn layers(home: &Home) -> PathBuf {
    home.data.join("layers")
}

/// Makes the layer `name` one that the view in `folder` uses, from now until the application is removed. Returns the
/// layer's folder, which may have to be made.
///
/// # Errors
/// When the link cannot be made.
pub fn claim_layer(home: &Home, folder: &Path, name: &str) -> io::Result<PathBuf> {
    let _lock = lock(home)?;
    symlink(Path::new("../../../../layers").join(name).join("tree"), folder.join(LOWER))?;
    Ok(layers(home).join(name))
}

/// Removes an application's state folder, and the layers that nobody uses any more. That something stays is not worth
/// an error here: the next one removes it.
pub fn remove_state(folder: &Path) {
    let has_views = folder.join(VOLUMES).is_dir();
    let _ = volume::remove(folder);
    if let (true, Some(apps)) = (has_views, folder.parent()) {
        let _ = sweep(apps);
    }
}

/// Removes the layers that no application uses.
pub fn sweep(apps: &Path) -> io::Result<()> {
    let layers = apps.with_file_name("layers");
    {
        let _lock = lock_apps(apps)?;
        let used = used(apps);
        for entry in fs::read_dir(&layers)? {
            let name = entry?.file_name();
            let plain = !name.to_string_lossy().contains(PARTIAL) && !is_doomed(&name);
            if plain && !used.contains(&name) {
                let mut doomed = OsString::from(DOOMED);
                doomed.push(&name);
                fs::rename(layers.join(&name), layers.join(doomed))?;
            }
        }
    }
    for entry in fs::read_dir(&layers)?.flatten().filter(|entry| is_doomed(&entry.file_name())) {
        volume::remove(&entry.path())?;
    }
    Ok(())
}

fn is_doomed(name: &OsString) -> bool {
    name.to_string_lossy().starts_with(DOOMED)
}

/// The names of all layers that some application has a view of.
fn used(apps: &Path) -> HashSet<OsString> {
    let views = |app: fs::DirEntry| fs::read_dir(app.path().join(VOLUMES)).into_iter().flatten().flatten();
    let link = |view: fs::DirEntry| fs::read_link(view.path().join(LOWER)).ok();
    let all = fs::read_dir(apps).into_iter().flatten().flatten().flat_map(views).filter_map(link);
    all.filter_map(|link| link.parent().and_then(Path::file_name).map(OsString::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_goes_with_the_last_application_that_uses_it() {
        let data = std::env::temp_dir().join(format!("stasis-layers-{}", std::process::id()));
        let home = Home { data: data.clone(), run: data.join("run") };
        let views = ["a", "b"].map(|aid| data.join("apps").join(aid).join("volumes/0"));
        for view in &views {
            fs::create_dir_all(view).unwrap();
            fs::create_dir_all(claim_layer(&home, view, "one").unwrap().join("tree")).unwrap();
        }
        fs::create_dir_all(layers(&home).join("two.partial-1-0123456789abcdef")).unwrap();
        fs::create_dir_all(layers(&home).join("nobodys")).unwrap();
        assert!(views[0].join("lower").is_dir());
        let left = || {
            let names = fs::read_dir(layers(&home)).unwrap();
            let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        remove_state(&data.join("apps/a"));
        assert_eq!(left(), ["one", "two.partial-1-0123456789abcdef"]);
        remove_state(&data.join("apps/b"));
        assert_eq!(left(), ["two.partial-1-0123456789abcdef"]);
        fs::remove_dir_all(&data).unwrap();
    }
}
