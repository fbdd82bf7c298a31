//! Where the calls that bear System V ids are seen, and where programs find what translates them.

use crate::faults;
use abi::Fault;
use abi::request::Home;
use abi::wire::Translation;
use serde::{Deserialize, Serialize};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use sys::lifecycle;

/// Who sees the calls that bear ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interposition {
    /// The preloaded library.
    pub library: bool,
    /// A seccomp filter and the helper.
    pub kernel: bool,
}

impl From<&Translation> for Interposition {
    fn from(translation: &Translation) -> Self {
        Self { library: translation.library, kernel: translation.kernel }
    }
}

/// Root's programs become other users, and must get at the library still: no folder of theirs will do.
const FOR_ROOT: &str = "/run/stasis";

/// What a helper is told. Makes the folder that it covers.
pub fn translation(home: &Home, wanted: Option<Interposition>) -> Result<Option<Translation>, Fault> {
    let Some(Interposition { library, kernel }) = wanted else { return Ok(None) };
    let folder = if lifecycle::effective_uid() == 0 { Path::new(FOR_ROOT) } else { home.run.as_path() };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(faults::files(&format!("make the folder \"{}\"", folder.display())))?;
    Ok(Some(Translation { folder: folder.to_string_lossy().into_owned(), library, kernel }))
}
