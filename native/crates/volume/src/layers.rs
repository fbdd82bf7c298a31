//! The two real folders behind an overlay: what is in the upper one was changed, what is not is the lower one's.
//!
//! How an overlay marks its layers is documented in the kernel's Documentation/filesystems/overlayfs.rst.

use crate::attributes::of_overlay;
use crate::tree::{BodyV1, EntryV1, TreeV1, below};
use std::collections::HashMap;
use std::ffi::CStr;
use std::path::PathBuf;

/// An overlay whose lower layer is a capture.
pub struct Layers {
    upper: PathBuf,
    lower: PathBuf,
    captured: HashMap<Vec<u8>, EntryV1>,
    opaque: &'static CStr,
    redirect: &'static CStr,
}

/// What a folder of the overlay is made of.
#[derive(Clone, Debug)]
pub struct Position {
    /// Its folder in the upper layer, where that has one.
    upper: Option<PathBuf>,
    /// The path of its folder in the lower layer, where that has one.
    lower: Option<Vec<u8>>,
}

/// Where a file of an overlay really is.
pub enum Real<'a> {
    Changed(PathBuf),
    Captured(&'a EntryV1, PathBuf),
    Unknown,
}

impl Layers {
    /// `user`: the overlay belongs to a user namespace, and marks its layers in attributes of the user.
    #[must_use]
    pub fn new(upper: PathBuf, lower: PathBuf, captured: TreeV1, user: bool) -> Self {
        let captured = captured.entries.into_iter().map(|entry| (entry.path.to_vec(), entry)).collect();
        let (opaque, redirect) = match user {
            true => (c"user.overlay.opaque", c"user.overlay.redirect"),
            false => (c"trusted.overlay.opaque", c"trusted.overlay.redirect"),
        };
        Self { upper, lower, captured, opaque, redirect }
    }

    pub fn top(&self) -> Position {
        Position { upper: Some(self.upper.clone()), lower: Some(Vec::new()) }
    }

    pub fn folder(&self, parent: &Position, name: &[u8]) -> Position {
        let upper = parent.upper.as_ref().map(|upper| below(upper, name)).filter(|upper| upper.is_dir());
        let below_parent = parent.lower.as_ref().map(|lower| join(lower, name));
        let Some(upper) = upper else { return Position { upper: None, lower: self.folder_of(below_parent) } };
        let lower = match of_overlay(&upper, self.redirect) {
            _ if of_overlay(&upper, self.opaque).is_some_and(|value| value == b"y") => None,
            Some(absolute) if absolute.starts_with(b"/") => Some(absolute[1..].to_vec()),
            Some(name) => parent.lower.as_ref().map(|lower| join(lower, &name)),
            None => below_parent,
        };
        Position { upper: Some(upper), lower: self.folder_of(lower) }
    }

    pub fn file(&self, folder: &Position, name: &[u8]) -> Real<'_> {
        let changed = folder.upper.as_ref().map(|upper| below(upper, name));
        if let Some(path) = changed.filter(|path| path.symlink_metadata().is_ok()) {
            return Real::Changed(path);
        }
        let path = folder.lower.as_ref().map(|lower| join(lower, name));
        match path.and_then(|path| self.captured.get(&path)) {
            Some(entry) => Real::Captured(entry, entry.below(&self.lower)),
            None => Real::Unknown,
        }
    }

    fn folder_of(&self, path: Option<Vec<u8>>) -> Option<Vec<u8>> {
        path.filter(|path| matches!(self.captured.get(path), Some(EntryV1 { body: BodyV1::Folder, .. })))
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}
