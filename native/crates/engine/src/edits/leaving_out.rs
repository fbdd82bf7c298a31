//! Descriptors that are left out: they lead to `/dev/null`, nobody watches them, and no lock is taken on them.

use crate::chain::Chain;
use crate::explain::Result;
use crate::ids::DescriptionId;
use crate::inspect::wording;
use crate::rebuild::moved;
use crate::state::descriptors::regular::RegularV1;
use crate::state::descriptors::{DescriptionV1, KindV1};
use crate::state::filesystem::FileRefV1;
use abi::edits::LeaveOut;
use abi::{Code, Fault};
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, HashSet};

pub fn apply(chain: &mut Chain, wishes: &LeaveOut) -> Result<()> {
    if wishes.paths.is_empty() && wishes.kinds.is_empty() {
        return Ok(());
    }
    let paths: BTreeMap<String, String> =
        wishes.paths.iter().map(|path| (path.clone(), String::new())).collect();
    let mut gone = HashSet::new();
    for description in &mut chain.descriptions {
        let (kind, _) = wording::kind(&description.kind);
        if wishes.kinds.contains(&kind) || path(description).is_some_and(|path| moved(path, &paths).is_some())
        {
            require_alone(description, &kind)?;
            gone.insert(description.id);
            become_null(description);
        }
    }
    forget(chain, &gone);
    Ok(())
}

fn path(description: &DescriptionV1) -> Option<&[u8]> {
    match &description.kind {
        KindV1::Regular(regular) => Some(&regular.file.path),
        _ => None,
    }
}

/// The other ends of some kinds are the application's, too, and cannot do without them.
fn require_alone(description: &DescriptionV1, kind: &str) -> Result<()> {
    match description.kind {
        KindV1::Pipe(_) | KindV1::Unix(_) | KindV1::Epoll(_) | KindV1::Terminal(_) => {
            Err(Fault::new(Code::Usage, format!("Could not leave out the descriptors of kind \"{kind}\""))
                .because("what the application has at their other end would be left without them"))
        }
        _ => Ok(()),
    }
}

fn become_null(description: &mut DescriptionV1) {
    const NULL_DEVICE: u32 = 0o666;
    description.kind = KindV1::Regular(RegularV1 {
        file: FileRefV1 {
            path: ByteBuf::from(&b"/dev/null"[..]),
            mode: libc::S_IFCHR | NULL_DEVICE,
            ..FileRefV1::default()
        },
        directory: false,
        of_ended: None,
        late: false,
    });
    // Sockets and the like are open for both, whatever their flags say.
    description.flags = libc::O_RDWR | description.flags & libc::O_NONBLOCK;
    description.position = 0;
    description.owner = None;
}

/// Takes them from everything that refers to them.
fn forget(chain: &mut Chain, gone: &HashSet<DescriptionId>) {
    for description in &mut chain.descriptions {
        if let KindV1::Epoll(epoll) = &mut description.kind {
            epoll.watches.retain(|watch| !gone.contains(&watch.target));
        }
    }
    chain.locks.retain(|lock| !gone.contains(&lock.description));
    chain.connections.list.retain(|connection| !gone.contains(&connection.description));
}
