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

/// Whether this user may look into the home. One that is not there yet has no applications.
///
/// # Errors
/// [`Code::NotPermitted`] for a home of somebody else.
pub fn require_access(home: &Home) -> Result<(), Fault> {
    match std::fs::read_dir(apps(home)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let what = format!("Could not list the applications in \"{}\"", home.data.display());
            Err(Fault::new(Code::NotPermitted, what).because(error).hint(
                "They are another user's: become that user, or set STASIS_HOME to a folder of your own",
            ))
        }
        _ => Ok(()),
    }
}

/// A folder held open, with a path to a file in it that is short enough for a socket's address (108 bytes, unix(7))
/// however deep the folder lies. The path holds as long as the folder is open.
pub fn short_path(folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    use std::os::fd::AsRawFd;
    let folder = File::open(folder)?;
    let path = PathBuf::from(format!("/proc/thread-self/fd/{}/{name}", folder.as_raw_fd()));
    Ok((folder, path))
}
