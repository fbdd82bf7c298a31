//! Files that are open or mapped but have no name any more: their contents travel in the snapshot.

use super::memory::PageRunV1;
use crate::explain::{Explain, Result, refused};
use crate::rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GhostV1 {
    pub id: u32,
    /// The name it had, in the application's view.
    pub path: ByteBuf,
    /// Type and permissions.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    pub pages: Vec<PageRunV1>,
}

/// A ghost met while collecting, and the file through which its contents are read; none for a FIFO or folder.
pub struct Source {
    pub ghost: GhostV1,
    pub file: Option<File>,
}

#[derive(Default)]
pub struct Collector {
    by_inode: HashMap<(u64, u64), u32>,
    pub sources: Vec<Source>,
}

/// A deleted file beyond this is refused: it would be copied while the application waits.
const LARGEST: u64 = 8 << 30;

impl Collector {
    /// Enters the deleted file that `through` (a /proc link) leads to.
    pub fn add(&mut self, pid: i32, through: &Path, path: &[u8], meta: &Metadata) -> Result<u32> {
        if meta.len() > LARGEST {
            let what = format!("the deleted file {}", String::from_utf8_lossy(path));
            return Err(refused(pid, &what, "it is larger than 8 GiB"));
        }
        let open = || File::open(through).explain(|| format!("Could not read {}", through.display()));
        let file = if meta.is_file() { Some(open()?) } else { None };
        Ok(self.enter(path, meta, file))
    }

    /// Enters a deleted FIFO: its queue is captured as a pipe.
    pub fn add_fifo(&mut self, path: &[u8], meta: &Metadata) -> u32 {
        self.enter(path, meta, None)
    }

    fn enter(&mut self, path: &[u8], meta: &Metadata, file: Option<File>) -> u32 {
        let next = self.sources.len() as u32;
        let id = *self.by_inode.entry((meta.dev(), meta.ino())).or_insert(next);
        if id == next {
            let ghost = GhostV1 {
                id,
                path: ByteBuf::from(path.to_vec()),
                mode: meta.mode(),
                uid: meta.uid(),
                gid: meta.gid(),
                size: meta.len(),
                pages: Vec::new(),
            };
            self.sources.push(Source { ghost, file });
        }
        id
    }
}

/// The names under which ghosts exist while a restore opens them; dropping it removes them again.
#[derive(Debug, Default)]
pub struct Names {
    names: HashMap<u32, PathBuf>,
}

impl Names {
    pub fn get(&self, ghost: u32) -> Option<&Path> {
        self.names.get(&ghost).map(PathBuf::as_path)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for path in self.names.values() {
            // The name is ours alone; one that something else removed already is as good as gone.
            drop(std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path)));
        }
    }
}

/// Writes every ghost into a file beside its old name.
pub fn apply(ghosts: &[GhostV1], rebuild: &mut Rebuild) -> Result<()> {
    for ghost in ghosts {
        let what = || format!("Could not restore the deleted file {}", String::from_utf8_lossy(&ghost.path));
        let wanted = rebuild.path(&ghost.path);
        let path = create(ghost, &wanted).explain(what)?;
        rebuild.ghosts.names.insert(ghost.id, path.clone());
        if ghost.mode & libc::S_IFMT == libc::S_IFREG {
            let file = OpenOptions::new().write(true).open(&path).explain(what)?;
            file.set_len(ghost.size).explain(what)?;
            for run in &ghost.pages {
                fill(&file, run, ghost.size, rebuild).explain(what)?;
            }
        }
        std::os::unix::fs::lchown(&path, Some(ghost.uid), Some(ghost.gid)).explain(what)?;
    }
    Ok(())
}

/// Creates the node under its old name, or beside it when that is taken. Folders above it that are gone too are not made.
fn create(ghost: &GhostV1, wanted: &Path) -> std::io::Result<PathBuf> {
    for attempt in 0..100u32 {
        let mut path = wanted.as_os_str().to_owned();
        if attempt > 0 {
            path.push(format!(".stasis-{attempt}"));
        }
        let path = PathBuf::from(path);
        let permissions = ghost.mode & 0o7777;
        let made = match ghost.mode & libc::S_IFMT {
            libc::S_IFDIR => std::fs::create_dir(&path),
            libc::S_IFIFO => sys::files::make_fifo(&path, permissions).map_err(Into::into),
            _ => OpenOptions::new().write(true).create_new(true).mode(permissions).open(&path).map(drop),
        };
        match made {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(permissions))?;
                return Ok(path);
            }
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

fn fill(file: &File, run: &PageRunV1, size: u64, rebuild: &Rebuild) -> std::io::Result<()> {
    let pack = rebuild.pack(run.pack)?;
    let end = run.length.min(size.saturating_sub(run.start));
    let mut buffer = vec![0u8; (1 << 20).min(end as usize)];
    let mut done = 0;
    while done < end {
        let part = &mut buffer[..(end - done).min(1 << 20) as usize];
        pack.read_exact_at(part, run.offset + done)?;
        file.write_all_at(part, run.start + done)?;
        done += part.len() as u64;
    }
    Ok(())
}
