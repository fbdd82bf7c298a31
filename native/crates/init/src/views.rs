//! Folders that a restored application has for itself, at paths where the host has others.

use crate::link::at;
use abi::wire::{Failure, Step, View, ViewKind};
use std::ffi::CString;
use sys::{Errno, mounts};

/// Whole copies are made of what is written to.
const OPTIONS: &str = "lowerdir=lower,upperdir=upper,workdir=work,metacopy=off";
/// Folders of the lower layer can be renamed, and a file keeps its inode number when it is first written to: its layer's
/// files have several names, so that takes an index, which not every file system can have.
const PRIVILEGED: [&str; 2] = ["redirect_dir=on,index=on", "redirect_dir=on,index=off"];
const OF_USERS: [&str; 1] = ["userxattr,index=off"];

/// Mounts a view. What the folder that it covers permits on the host is all that it permits.
pub fn mount(view: &View) -> Result<(), Failure> {
    let target = c_string(&view.target)?;
    let flags = mounts::restrictions(&target).map_err(at(Step::View))?;
    match view.kind {
        ViewKind::Overlay { user } => {
            // Short names have no letter in them that would have to be escaped.
            std::env::set_current_dir(&view.folder).map_err(crate::link::at_io(Step::View))?;
            let mut mounted = Err(Failure { step: Step::View, errno: Errno::EINVAL.0 });
            for own in if user { &OF_USERS[..] } else { &PRIVILEGED[..] } {
                let options = c_string(&format!("{OPTIONS},{own}"))?;
                mounted = mounts::mount_overlay(&target, flags, &options).map_err(at(Step::View));
                if mounted.is_ok() {
                    break;
                }
            }
            std::env::set_current_dir("/").map_err(crate::link::at_io(Step::View))?;
            mounted
        }
        ViewKind::Copy => {
            let tree = c_string(&format!("{}/tree", view.folder))?;
            mounts::bind(&tree, &target)
                .and_then(|()| mounts::restrict(&target, flags))
                .map_err(at(Step::View))
        }
    }
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure { step: Step::View, errno: Errno::EINVAL.0 })
}
