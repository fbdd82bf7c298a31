//! What the classes of System V objects (sysvipc(7)) have in common. They come from the lists of the application's IPC
//! namespace, in which an object has one id for everybody.

use super::running::Running;
use super::{Id, LIVE, Row, owner};
use crate::explain::Result;
use crate::state::system_v::PermissionsV1;
use capsule::IpcList;

/// One that goes when its last user does: a bit among the permissions of a segment.
const SHM_DEST: u32 = 0o1000;

/// Objects that the kernel lists in the namespace.
pub fn rows(class: &'static str, list: IpcList, id: &str, application: &mut Running) -> Result<Vec<Row>> {
    Ok(parse(class, &application.ipc(list)?, id))
}

/// A list of /proc/sysvipc: names of columns, of which `id` names that of ids, then objects.
fn parse(class: &'static str, text: &str, id: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
    let row = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let field = |name: &str| words.get(names.iter().position(|known| *known == name)?).copied();
        let id = Id::Number(field(id)?.parse().ok()?);
        let permissions = u32::from_str_radix(field("perms")?, 8).ok()?;
        let removed = permissions & SHM_DEST != 0;
        let row =
            row_of(class, id.clone(), field("key")?.parse().ok()?, field("uid")?.parse().ok()?, removed);
        Some(Row { system_id: Some(id), ..row })
    };
    lines.filter_map(row).collect()
}

/// An object of a snapshot.
pub fn saved_row(class: &'static str, id: i32, permissions: &PermissionsV1, removed: bool) -> Row {
    row_of(class, Id::Number(id.into()), permissions.key, permissions.uid, removed)
}

fn row_of(class: &'static str, id: Id, key: i32, uid: u32, removed: bool) -> Row {
    Row {
        key: (key != libc::IPC_PRIVATE).then(|| format!("{key:#010x}")),
        owner: Some(owner::name(uid)),
        state: if removed { "removed" } else { LIVE },
        ..Row::new(class, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_by_the_names_of_their_columns() {
        let text =
            "       key      shmid perms       size  uid\n       -2          3  1600        100  4000000\n";
        let rows = parse("shared-memory", text, "shmid");
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].virtual_id, Id::Number(3));
        assert_eq!(rows[0].key.as_deref(), Some("0xfffffffe"));
        assert_eq!((rows[0].owner.as_deref(), rows[0].state), (Some("4000000"), "removed"));
        assert!(parse("shared-memory", "", "shmid").is_empty());
    }
}
