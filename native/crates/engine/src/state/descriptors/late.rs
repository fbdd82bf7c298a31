//! Descriptors of what exists only when a process has its other descriptors and its threads: `fdinfo` and the files of
//! threads in /proc, and pidfds of threads. Their numbers stay empty until then.

use super::{DescriptionV1, KindV1, pidfd, regular};
use crate::chain::Chain;
use crate::explain::{Explain, Result};
use crate::ids::DescriptionId;
use crate::nursery::Nursery;
use crate::rebuild::Rebuild;
use crate::state::process::{BodyV1, LiveV1};
use std::collections::HashSet;
use std::os::fd::AsRawFd;
use tracee::Stopped;

fn is_late(description: &DescriptionV1) -> bool {
    match &description.kind {
        KindV1::Regular(regular) => regular.late,
        KindV1::Pidfd(pidfd) => matches!(pidfd, pidfd::PidfdV1::Thread(_)),
        _ => false,
    }
}

fn all(descriptions: &[DescriptionV1]) -> HashSet<DescriptionId> {
    descriptions.iter().filter(|description| is_late(description)).map(|late| late.id).collect()
}

/// The numbers of a process's descriptors that come late.
pub fn numbers(live: &LiveV1, descriptions: &[DescriptionV1]) -> HashSet<i32> {
    let late = all(descriptions);
    let own = live.descriptors.iter().filter(|descriptor| late.contains(&descriptor.description));
    own.map(|descriptor| descriptor.fd).collect()
}

/// Puts late files to where they were read. What they say is made at this moment, so it comes when all is as it was.
pub fn seek(descriptions: &[DescriptionV1], rebuild: &Rebuild) -> Result<()> {
    for description in descriptions.iter().filter(|description| is_late(description)) {
        let Some(file) = rebuild.descriptions.get(&description.id) else { continue };
        if let KindV1::Regular(saved) = &description.kind {
            regular::seek(file, description)
                .explain(|| format!("Could not restore {}", saved.file.path().display()))?;
        }
    }
    Ok(())
}

/// Opens what is late and gives it to the processes, whose leaders are stopped between programs.
pub fn apply(image: &Chain, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    let late = all(&image.descriptions);
    for description in image.descriptions.iter().filter(|description| late.contains(&description.id)) {
        match &description.kind {
            KindV1::Regular(saved) => regular::open(description, saved, rebuild)?,
            KindV1::Pidfd(saved) => pidfd::open_thread(description, saved, rebuild)?,
            _ => {}
        }
    }
    for process in &image.processes {
        let BodyV1::Live(live) = &process.body else { continue };
        let own = live.descriptors.iter().filter(|descriptor| late.contains(&descriptor.description));
        let files: Vec<_> = own
            .map(|own| (rebuild.descriptions[&own.description].as_raw_fd(), own.fd, own.close_on_exec))
            .collect();
        if !files.is_empty() {
            let leader = Stopped::assume(rebuild.pids[&process.pid]);
            nursery.delivery.install(&leader, &nursery.hole.bench(), &files, true)?;
        }
    }
    Ok(())
}
