//! The operations that the command asks for, one struct each, as they arrive in JSON.
//!
//! Unknown fields are refused: a request that the engine only half understands is a mistake, not a wish.

use crate::edits::Edits;
use crate::network::{Environment, Network, Tunnel};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// Where this user's state lives: what outlasts a reboot, and what does not.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Home {
    pub data: PathBuf,
    pub run: PathBuf,
}

/// One application of ours, or a process tree that stasis did not start.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Aid(String),
    Pid(i32),
}

/// What becomes of TCP connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tcp {
    /// They go on, as far as their peers still have them.
    #[default]
    Keep,
    /// They come back closed: nothing can be read or written, as when the peer has gone.
    Close,
}

/// How an application's System V ids are kept its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdKeeping {
    /// For each resource what does it best: today the kernel's namespaces, for all of them.
    #[default]
    Auto,
    /// An IPC namespace of its own.
    Namespace,
    /// Tables, in the caller's IPC namespace.
    Translate,
}

/// How calls that bear ids are seen, where they are translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpose {
    /// By the library in programs that load it, at the system-call boundary in all others.
    #[default]
    Auto,
    /// By the library alone: no cost for other calls, and static programs are not seen.
    Library,
    /// At the system-call boundary alone.
    Kernel,
    Off,
}

/// Which folders a restored application has as its volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Volumes {
    /// Views of its own of what was captured; the host's folders are not touched.
    #[default]
    Own,
    /// The host's folders, as they are.
    Host,
    /// The host's folders, with what was captured put back.
    Back,
}

/// What an application is a clone of, by itself or by the snapshot that it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The name of the template.
    pub template: String,
    /// 1 for a template whose application was no clone, one more for each template in between.
    pub generation: u32,
}

/// The running application whose place a restore takes: its AID, name, log and standard streams.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    pub aid: String,
    /// The snapshot may be of another application.
    #[serde(default)]
    pub foreign: bool,
}

/// Declares request structs: every one carries the home folders.
macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            pub home: Home,
            $($(#[$field_doc])* pub $field: $kind,)*
        }
    )*};
}

requests! {
    /// Start an application in a capsule.
    Run {
        name: String,
        argv: Vec<String>,
        /// The complete environment.
        env: BTreeMap<String, String>,
        cwd: PathBuf,
        detach: bool,
        /// Make a pseudo terminal; the capsule's helper keeps its master.
        terminal: bool,
        #[serde(default)]
        hostname: Option<String>,
        #[serde(default)]
        ids: IdKeeping,
        #[serde(default)]
        interpose: Interpose,
        /// The host's, where nothing is said.
        #[serde(default)]
        network: Option<Network>,
        /// Folders that belong to the application's state.
        #[serde(default)]
        volumes: Vec<PathBuf>,
    }
    /// Relay the caller's standard streams to an application's terminal until it ends.
    Attach {
        #[serde(default)]
        aid: Option<String>,
        #[serde(default)]
        pid: Option<i32>,
    }
    /// Send a signal to an application; SIGKILL goes to every process of it.
    Signal { aid: String, signal: i32 }
    /// SIGTERM, then after `timeout_ms` SIGKILL; answers when no process is left.
    Stop { aid: String, timeout_ms: u64 }
    /// Wait until an application has ended.
    Wait { aid: String }
    /// Run one more command inside a capsule.
    Exec {
        aid: String,
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        cwd: PathBuf,
        terminal: bool,
        /// Nothing to read, and what it writes to standard output goes nowhere.
        #[serde(default)]
        quiet: bool,
    }
    /// List applications.
    Ps {}
    /// List the names of applications that run: quicker than [`Ps`] where there are hundreds.
    Names {}
    /// List the applications, running or ended, that have addresses in an environment: quicker than [`Ps`], too. `environment`
    /// is its id.
    Members { environment: String }
    /// Which application a process of the host belongs to.
    Owner { pid: i32 }
    /// List the ids that a running application, or one in a snapshot, has.
    Ids {
        #[serde(default)]
        aid: Option<String>,
        #[serde(default)]
        dir: Option<PathBuf>,
    }
    /// Forget an application that has ended.
    Remove { aid: String }
    /// Capture applications or process trees into a new folder.
    Snapshot {
        target: Vec<Target>,
        /// The folder to create; absolute.
        out: PathBuf,
        /// Leave no process behind once the image is complete.
        stop: bool,
        /// The caller's own words about the snapshot, kept verbatim in the image.
        label: serde_json::Value,
        #[serde(default)]
        tcp: Tcp,
        /// Where the folder is to lie in the end, if the caller moves it.
        #[serde(default)]
        place: Option<PathBuf>,
    }
    /// Capture several applications at one moment, all or none. The caller lets them pass four gates (`abi::Gates`).
    SnapshotTogether {
        /// Each of one application, with its name in the label; all with the same `stop`.
        snapshots: Vec<Snapshot>,
        /// How long they may wait for each other.
        patience_ms: u64,
    }
    /// Capture an application that is to go on elsewhere: while it runs, then, when the caller has let it pass the gate behind
    /// that, once more, with what has changed. It stands still until the caller lets it end at the last gate of
    /// [`SnapshotTogether`], whose gates these are.
    Depart {
        /// Does not stop it.
        first: Snapshot,
        /// Stops it; refers to what the first one has.
        last: Snapshot,
        patience_ms: u64,
    }
    /// Bring several snapshots back at one moment, all or none. The caller lets them pass two gates (`abi::Gates`).
    RestoreTogether {
        /// Each with a name, and detached.
        restores: Vec<Restore>,
    }
    /// Bring a snapshot back.
    Restore {
        dir: PathBuf,
        #[serde(default)]
        name: Option<String>,
        detach: bool,
        terminal: bool,
        /// Paths that moved: old path to new path.
        #[serde(default)]
        files: BTreeMap<String, String>,
        #[serde(default)]
        tcp: Tcp,
        /// The host name, where not as before.
        #[serde(default)]
        hostname: Option<String>,
        #[serde(default)]
        origin: Option<Origin>,
        /// The caller had the checksums of page data compared already, by `verify`.
        #[serde(default)]
        checked: bool,
        /// All but those of the snapshot's own pack were.
        #[serde(default)]
        others_checked: bool,
        #[serde(default)]
        volumes: Volumes,
        /// As it was in the snapshot, where nothing is said.
        #[serde(default)]
        network: Option<Network>,
        /// What is changed on the way.
        #[serde(default)]
        edits: Edits,
        /// Take the place of a running application.
        #[serde(default)]
        replace: Option<Replace>,
    }
    /// Bring one snapshot back many times, several at once.
    Clone {
        /// Each one; all of the same folder, checked.
        restores: Vec<Restore>,
        /// Go on when one fails.
        keep_going: bool,
    }
    /// Keep the memory of a template in a resident helper.
    Load { dir: PathBuf, name: String, limit_bytes: u64 }
    /// End a resident helper.
    Unload { name: String }
    /// List the templates in memory.
    Loaded {}
    /// Give what was captured of volumes in the image `from` second names in the image `to`, a folder that has none yet.
    LinkVolumes { from: PathBuf, to: PathBuf }
    /// Make captures of what an archive brought of volumes, in an image that is not in use yet.
    AdoptVolumes { dir: PathBuf }
    /// Describe a snapshot.
    Inspect { dir: PathBuf }
    /// Check every checksum of a snapshot.
    Verify { dir: PathBuf }
    /// Describe every snapshot in a folder.
    List { folder: PathBuf }
    /// Make what an environment has on this host, which must not have it yet; with a tunnel, what is missing or otherwise.
    MakeEnvironment {
        environment: Environment,
        #[serde(default)]
        tunnel: Option<Tunnel>,
        /// Addresses that other hosts hand out from now on: what is left here of members with them is removed.
        #[serde(default)]
        absent: Vec<IpAddr>,
    }
    /// Remove what an environment has on this host; members that run lose their links.
    RemoveEnvironment { environment: Environment }
    /// Tell how an environment stands on this host.
    InspectEnvironment { environment: Environment }
    /// Probe this host.
    Doctor {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_target_is_an_aid_or_a_pid() {
        let targets: Vec<Target> =
            serde_json::from_value(json!([{"aid": "0123456789ab"}, {"pid": 7}])).unwrap();
        assert_eq!(targets, [Target::Aid("0123456789ab".into()), Target::Pid(7)]);
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let home = json!({"data": "/d", "run": "/r"});
        let refused = serde_json::from_value::<Wait>(json!({"home": home, "aid": "a", "force": true}));
        assert!(refused.unwrap_err().to_string().contains("force"));
    }
}
