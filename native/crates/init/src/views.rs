//! Folders that a restored application has for itself, at paths where the host has others.

use crate::link::at;
use abi::wire::{Failure, Step, View, ViewKind};
use std::ffi::CString;
use sys::{Errno, mounts};

/// Files that are renamed leave no trace but in attributes, which only the privileged may set; whole copies are made of
/// what is written to; names of one file are not told apart by an index (they are copied beforehand).
const OPTIONS: &str = "lowerdir=lower,upperdir=upper,workdir=work,index=off,metacopy=off";

/// Mounts a view. What the folder that it covers permits on the host is all that it permits.
pub fn mount(view: &View) -> Result<(), Failure> {
    let target = c_string(&view.target)?;
    let flags = mounts::restrictions(&target).map_err(at(Step::View))?;
    match view.kind {
        ViewKind::Overlay { user } => {
            let own = if user { "userxattr" } else { "redirect_dir=on" };
            let options = c_string(&format!("{OPTIONS},{own}"))?;
            // Short names have no letter in them that would have to be escaped.
            std::env::set_current_dir(&view.folder).map_err(crate::link::at_io(Step::View))?;
            let mounted = mounts::mount_overlay(&target, flags, &options);
            std::env::set_current_dir("/").map_err(crate::link::at_io(Step::View))?;
            mounted.map_err(at(Step::View))
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
