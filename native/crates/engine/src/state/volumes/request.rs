//! The volumes that an application is started with.

use super::{MOST, is_within};
use crate::explain::Result;
use abi::request::Home;
use abi::{Code, Fault};
use std::fs;
use std::path::{Path, PathBuf};

/// File systems that hold nothing which could be captured, or that an application has for itself.
const OF_THE_KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The folders that the user named, without links.
///
/// # Errors
/// [`Code::Usage`] for what cannot be a volume.
pub fn requested(paths: &[PathBuf], home: &Home) -> Result<Vec<String>> {
    let mut volumes: Vec<String> = Vec::with_capacity(paths.len());
    for path in paths {
        let volume = examine(path, home).map_err(|why| refusal(path, why))?;
        let nests =
            |other: &String| is_within(volume.as_bytes(), other) || is_within(other.as_bytes(), &volume);
        if let Some(other) = volumes.iter().find(|other| nests(other)) {
            return Err(refusal(path, format!("it lies in the same place as the volume {other}")));
        }
        volumes.push(volume);
    }
    if volumes.len() > MOST {
        return Err(Fault::new(Code::Usage, "Could not use so many volumes")
            .because(format!("an application has at most {MOST}")));
    }
    Ok(volumes)
}

fn refusal(path: &Path, why: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Usage, format!("Could not use \"{}\" as a volume", path.display())).because(why)
}

fn examine(path: &Path, home: &Home) -> std::result::Result<String, String> {
    let real = fs::canonicalize(path).map_err(|error| error.to_string())?;
    if !real.is_dir() {
        return Err("it is no folder".to_owned());
    }
    let text = real.to_str().ok_or("its name is not UTF-8")?;
    if text == "/" || OF_THE_KERNEL.iter().any(|folder| is_within(text.as_bytes(), folder)) {
        return Err("it is not a folder of files that belong to one application".to_owned());
    }
    for own in [&home.data, &home.run] {
        let own = fs::canonicalize(own).unwrap_or_else(|_| own.clone());
        if own.starts_with(&real) || real.starts_with(&own) {
            return Err(format!("stasis keeps its own state in {}", own.display()));
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_volume_is_refused() {
        let top = std::env::temp_dir().join(format!("stasis-requested-{}", std::process::id()));
        let home = Home { data: top.join("home"), run: top.join("home/run") };
        fs::create_dir_all(top.join("data/inner")).unwrap();
        fs::create_dir_all(&home.data).unwrap();
        fs::write(top.join("file"), "").unwrap();
        std::os::unix::fs::symlink("data", top.join("link")).unwrap();
        let ask = |names: &[&str]| {
            let paths: Vec<PathBuf> = names.iter().map(|name| top.join(name)).collect();
            requested(&paths, &home)
        };
        let real = fs::canonicalize(top.join("data")).unwrap();
        assert_eq!(ask(&["link"]).unwrap(), [real.to_str().unwrap()]);
        let wrong: [&[&str]; 7] = [
            &["none"],
            &["file"],
            &["data", "data/inner"],
            &["data/inner", "link"],
            &["home/apps/.."],
            &[""],
            &["/dev/shm"],
        ];
        for names in wrong {
            assert_eq!(ask(names).unwrap_err().code, Code::Usage, "{names:?}");
        }
        fs::remove_dir_all(&top).unwrap();
    }
}
