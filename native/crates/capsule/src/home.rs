//! Where the state of one user's applications lies.

use crate::Aid;
use abi::request::Home;
use abi::{Code, Fault};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The folder that holds one folder for each application.
pub fn apps(home: &Home) -> PathBuf {
    home.data.join("apps")
}

/// The state folder of one application.
pub fn state(home: &Home, aid: &Aid) -> PathBuf {
    apps(home).join(aid.as_str())
}

/// The name of its socket in the run folder.
pub fn socket_name(aid: &Aid) -> String {
    format!("{aid}.sock")
}

/// Makes both folders, for nobody else to enter.
pub fn prepare(home: &Home) -> Result<(), Fault> {
    for folder in [&apps(home), &home.run] {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
            let code = match error.kind() {
                io::ErrorKind::PermissionDenied => Code::NotPermitted,
                _ => Code::Other,
            };
            Fault::new(code, format!("Could not make the folder \"{}\"", folder.display()))
                .because(error)
                .hint("Set STASIS_HOME to a folder of your own")
        })?;
    }
    Ok(())
}

/// A folder held open, with a path to a file in it that is short enough for a socket's address (108 bytes, unix(7))
/// however deep the folder lies. The path holds as long as the folder is open.
pub fn short_path(folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    use std::os::fd::AsRawFd;
    let folder = File::open(folder)?;
    let path = PathBuf::from(format!("/proc/thread-self/fd/{}/{name}", folder.as_raw_fd()));
    Ok((folder, path))
}
