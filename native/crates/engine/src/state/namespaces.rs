//! Which namespaces the processes of a chain are in (namespaces(7)). All of them come back in the same ones: those of a
//! new capsule, or the caller's.

use crate::explain::{Explain, Result, refused};
use crate::freeze::FrozenTree;

/// Kinds as /proc/PID/ns calls them, with words for people.
const KINDS: [(&str, &str); 6] = [
    ("mnt", "mount"),
    ("net", "network"),
    ("ipc", "IPC"),
    ("uts", "UTS (host name)"),
    ("user", "user"),
    ("pid", "PID"),
];

/// Refuses processes that are elsewhere than the application, or an application outside of any capsule that is elsewhere
/// than this command. `helper` is PID 1 of the capsule that it is in.
pub fn check(tree: &FrozenTree, helper: Option<i32>) -> Result<()> {
    let root = tree.processes[0].pid;
    let in_capsule = helper.is_some();
    for (kind, words) in KINDS {
        let expected = match (helper, kind) {
            (None, _) => of("thread-self", kind)?,
            // It comes back in the one that its capsule was made with.
            (Some(helper), "net") => of(&helper.to_string(), kind)?,
            (Some(_), _) => of(&root.to_string(), kind)?,
        };
        for process in tree.processes.iter().filter(|process| !process.is_zombie()) {
            if of(&process.pid.to_string(), kind)? != expected {
                let (place, hint) = if in_capsule && kind == "net" {
                    ("its capsule", "Start the application with stasis run --network none instead")
                } else if in_capsule || process.pid != root {
                    ("the application", "Take a snapshot of processes that share their namespaces")
                } else {
                    (
                        "this command",
                        "Run stasis in that namespace (nsenter), or start the application with stasis run",
                    )
                };
                let why = format!("it is in another {words} namespace than {place}");
                return Err(refused(process.pid, "the namespaces", &why).hint(hint));
            }
        }
    }
    Ok(())
}

fn of(pid: &str, kind: &str) -> Result<std::path::PathBuf> {
    let path = format!("/proc/{pid}/ns/{kind}");
    std::fs::read_link(&path).explain(|| format!("Could not read {path}"))
}
