//! Owner, mode, extended attributes and times of a file, read from one and put onto another.

use crate::error::{Doing, Error, Result};
use crate::tree::{AttributeV1, EntryV1};
use serde_bytes::ByteBuf;
use std::ffi::{CStr, CString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use sys::{Errno, trees};

/// What overlay file systems keep about their layers: in a lower layer it would be obeyed.
const OF_OVERLAYS: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
/// Set by the kernel's security modules for files that they watch over; only what programs set is kept.
const SECURITY: &[u8] = b"security.";
const CAPABILITY: &[u8] = b"security.capability";
/// What errors say that was attempted.
pub const SET_OWNER: &str = "set the owner of";

/// Reads what a file has of its own. `name` is for messages.
pub fn read(path: &Path, name: &Path) -> Result<Vec<AttributeV1>> {
    let mut attributes = Vec::new();
    for known in trees::attribute_names(path).doing("list the attributes of", name)? {
        let bytes = known.as_bytes();
        if OF_OVERLAYS.iter().any(|prefix| bytes.starts_with(prefix)) {
            return Err(Error::refused(
                name,
                "it has attributes that overlay file systems use for themselves",
            ));
        }
        if bytes.starts_with(SECURITY) && bytes != CAPABILITY {
            continue;
        }
        if let Some(value) = trees::attribute(path, &known).doing("read an attribute of", name)? {
            let name = ByteBuf::from(bytes.to_vec());
            attributes.push(AttributeV1 { name, value: ByteBuf::from(value) });
        }
    }
    Ok(attributes)
}

/// Puts everything onto a file that has been made with the contents of the entry. Owner first, since changing it takes
/// away set-id bits and capabilities; times last.
pub fn put(entry: &EntryV1, mode: u32, path: &Path) -> Result<()> {
    let now = fs::symlink_metadata(path).doing("examine", path)?;
    if (now.uid(), now.gid()) != (entry.uid, entry.gid) {
        lchown(path, Some(entry.uid), Some(entry.gid)).doing(SET_OWNER, path)?;
    }
    let is_link = now.file_type().is_symlink();
    if !is_link {
        fs::set_permissions(path, Permissions::from_mode(mode)).doing("set the mode of", path)?;
    }
    for attribute in &entry.attributes {
        set(path, attribute)?;
    }
    put_times(entry, path, !is_link)
}

pub fn put_times(entry: &EntryV1, path: &Path, follow: bool) -> Result<()> {
    sys::paths::set_times(path, entry.accessed_ns, entry.modified_ns, follow).doing("set the times of", path)
}

fn set(path: &Path, attribute: &AttributeV1) -> Result<()> {
    let name = CString::new(attribute.name.as_slice()).map_err(|_| invalid(path))?;
    match trees::set_attribute(path, &name, &attribute.value) {
        Err(Errno(libc::EOPNOTSUPP)) => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
            .doing("set an attribute, which the file system has not, of", path),
        done => done.doing("set an attribute of", path),
    }
}

fn invalid(path: &Path) -> Error {
    Error::damaged(path, "an attribute has a name that none can have")
}

/// The value of an attribute that an overlay keeps, if it is there.
pub fn of_overlay(path: &Path, name: &CStr) -> Option<Vec<u8>> {
    trees::attribute(path, name).ok().flatten()
}
