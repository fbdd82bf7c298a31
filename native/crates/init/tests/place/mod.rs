//! A home of its own for one test, with everything in it ended and removed when the test is over.
#![allow(dead_code, reason = "each test program uses a part of it")]

use abi::{Control, Fault};
use capsule::{Aid, Application, Home, Output, RunSpec, Started};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs};

pub struct Place {
    pub home: Home,
    root: PathBuf,
}

/// The helper under test.
pub fn helper() -> Vec<u8> {
    fs::read(env!("CARGO_BIN_EXE_init")).expect("Cargo built the helper")
}

impl Place {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = env::temp_dir().join(format!("stasis-capsule-{}-{count}", std::process::id()));
        Self { home: Home { data: root.join("data"), run: root.join("run") }, root }
    }

    pub fn spec(&self, name: &str, argv: &[&str]) -> RunSpec {
        RunSpec {
            name: name.into(),
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
            cwd: "/".into(),
            interposition: None,
            network: None,
            volumes: Vec::new(),
            hostname: None,
            output: Output::Log,
            attached: false,
        }
    }

    pub fn start(&self, spec: RunSpec) -> Result<Started, Fault> {
        capsule::start(&self.home, spec, &helper())
    }

    pub fn run(&self, name: &str, argv: &[&str]) -> Result<Started, Fault> {
        self.start(self.spec(name, argv))
    }

    pub fn kill(&self, aid: &Aid) {
        capsule::stop(&self.home, aid, Duration::ZERO, &Control::new()).expect("it was running");
    }

    pub fn list(&self) -> Vec<Application> {
        capsule::list(&self.home)
    }

    pub fn state(&self, aid: &Aid) -> PathBuf {
        self.home.data.join("apps").join(aid.as_str())
    }

    pub fn log(&self, aid: &Aid) -> String {
        fs::read_to_string(self.state(aid).join("log")).unwrap_or_default()
    }

    pub fn sockets(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.home.run).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Waits for something that another process is about to do.
    pub fn until(&self, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it did not happen in time");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for application in self.list() {
            let _ = capsule::stop(&self.home, &application.aid, Duration::ZERO, &Control::new());
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}
