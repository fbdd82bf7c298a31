//! /proc/sysvipc as the application is to see it: its own objects under its own ids and keys.
//!
//! The kernel's three files are covered by files of the capsule. Whoever opens one waits until it has been written anew
//! (fanotify(7)). Where that cannot be had (a user namespace) the files stay empty: no system id is shown.

use ids::{Class, Srid, Table};
use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use sys::fanotify::OpenRequests;
use sys::namespaces;

struct Listing {
    class: Class,
    /// The kernel's file, of the namespace that the objects are in.
    kernel: File,
    shown: File,
}

pub struct Listings {
    requests: Option<OpenRequests>,
    files: Vec<Listing>,
}

impl Listings {
    /// Covers the kernel's files by files in `folder`. A kernel without System V objects has none.
    pub fn cover(folder: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        for (name, class) in [("sem", Class::Semaphores), ("shm", Class::Memory), ("msg", Class::Messages)] {
            let original = format!("/proc/sysvipc/{name}");
            let Ok(mut kernel) = File::open(&original) else { continue };
            let path = folder.join(name);
            let shown = put(&path, head(&mut kernel)?.as_bytes(), 0o444)?;
            let [path, original] = [path.to_string_lossy().into_owned(), original].map(CString::new);
            namespaces::cover_file(&path?, &original?)?;
            files.push(Listing { class, kernel, shown });
        }
        let watch = |requests: OpenRequests| {
            files.iter().try_for_each(|file| requests.watch(file.shown.as_fd())).map(|()| requests)
        };
        let requests = OpenRequests::new().and_then(watch).ok();
        Ok(Self { requests, files })
    }

    /// The kernel's file for a class, opened anew.
    pub fn kernel(&self, class: Class) -> Option<sys::Result<OwnedFd>> {
        let file = self.files.iter().find(|file| file.class == class)?;
        // By its descriptor: its path leads to what covers it.
        let path = format!("/proc/self/fd/{}", file.kernel.as_raw_fd());
        Some(File::open(path).map(OwnedFd::from).map_err(|error| sys::Errno::from_io(&error)))
    }

    pub fn requests(&self) -> Option<BorrowedFd<'_>> {
        self.requests.as_ref().map(AsFd::as_fd)
    }

    /// Writes all files anew and lets those go on who wait to open one.
    pub fn show(&mut self, table: &Table) {
        for file in &mut self.files {
            // A file that cannot be written shows what it showed before.
            let _ = file.write(table);
        }
        if let Some(requests) = &self.requests {
            let _ = requests.allow_all();
        }
    }
}

impl Listing {
    fn write(&mut self, table: &Table) -> io::Result<()> {
        let text = own(&read(&mut self.kernel)?, |id| {
            let vrid = table.reverse(self.class, Srid(id))?;
            Some((table.row_of(self.class, vrid)?.key.0, vrid.0))
        });
        let shown = self.shown.metadata()?.len();
        // What others read just now stays in place as far as it can.
        self.shown.write_all_at(text.as_bytes(), 0)?;
        if shown > text.len() as u64 {
            self.shown.set_len(text.len() as u64)?;
        }
        Ok(())
    }
}

/// The lines of objects that `translate` knows, by the system id in the second column: with their own key and id.
fn own(text: &str, translate: impl Fn(i32) -> Option<(i32, i32)>) -> String {
    let mut lines = text.lines();
    let mut shown = lines.next().map(|head| format!("{head}\n")).unwrap_or_default();
    for line in lines {
        let Some((id, rest)) = split(line) else { continue };
        if let Some((key, id)) = translate(id) {
            shown.push_str(&format!("{key:>10} {id:>10}{rest}\n"));
        }
    }
    shown
}

/// The id in the second column, and what stands behind it. A key of eleven characters moves all columns.
fn split(line: &str) -> Option<(i32, &str)> {
    let (_key, behind) = line.trim_start().split_once(' ')?;
    let behind = behind.trim_start();
    let end = behind.find(' ')?;
    Some((behind[..end].parse().ok()?, &behind[end..]))
}

fn head(kernel: &mut File) -> io::Result<String> {
    Ok(own(&read(kernel)?, |_| None))
}

fn read(kernel: &mut File) -> io::Result<String> {
    let mut text = String::new();
    kernel.rewind()?;
    kernel.read_to_string(&mut text)?;
    Ok(text)
}

/// Makes a file that everybody may use as `mode` says, whatever the umask.
pub fn put(path: &Path, content: &[u8], mode: u32) -> io::Result<File> {
    let mut file = File::options().read(true).write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::own;

    #[test]
    fn only_own_objects_are_shown_under_their_own_names() {
        let text = "       key      semid perms      nsems\n\
                    -1559038737          3   600          2\n\
                    \x20        7         12   600          1\n";
        let shown = own(text, |id| (id == 3).then_some((0x1234, 1_048_577)));
        assert_eq!(shown, "       key      semid perms      nsems\n      4660    1048577   600          2\n");
    }
}
