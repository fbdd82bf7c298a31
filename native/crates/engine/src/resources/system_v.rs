//! What the classes of System V objects (sysvipc(7)) have in common. They come from the lists of the IPC namespace that the
//! application is in: its own, or the host's, where a table says which are its own and what it calls them.

use super::running::Running;
use super::{Backend, Id, LIVE, Row, owner};
use crate::chain::Chain;
use crate::explain::Result;
use crate::state::system_v::PermissionsV1;
use crate::state::translation::RowV1;
use capsule::IpcList;
use std::collections::HashMap;
use sys::system_v::Kind;

/// One that goes when its last user does: a bit among the permissions of a segment.
const SHM_DEST: u32 = 0o1000;

/// Objects that the kernel lists in the namespace: all of them, where it is the application's, else those that its table
/// names.
pub fn rows(
    class: &'static str,
    kind: Kind,
    list: IpcList,
    id: &str,
    application: &mut Running,
) -> Result<Vec<Row>> {
    let listed = parse(class, &application.ipc(list)?, id);
    let Some(translation) = application.translation()? else { return Ok(listed) };
    let of_kind = translation.rows.iter().filter(|name| name.kind() == Some(kind));
    let names: HashMap<i64, &RowV1> = of_kind.map(|name| (name.id.into(), name)).collect();
    let named = |row: Row| {
        let name = names.get(&row.system_id.as_ref()?.number()?)?;
        Some(translated(row, name))
    };
    Ok(listed.into_iter().filter_map(named).collect())
}

/// An object by what the application calls it.
fn translated(row: Row, name: &RowV1) -> Row {
    let virtual_id = Id::Number(name.virtual_id.into());
    Row { virtual_id, key: key(name.key), backend: Backend::Translate, ..row }
}

fn key(key: i32) -> Option<String> {
    (key != libc::IPC_PRIVATE).then(|| format!("{key:#010x}"))
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
pub fn saved_row(
    class: &'static str,
    kind: Kind,
    chain: &Chain,
    id: i32,
    permissions: &PermissionsV1,
    removed: bool,
) -> Row {
    let row = row_of(class, Id::Number(id.into()), permissions.key, permissions.uid, removed);
    let name = chain.translation.as_ref().and_then(|translation| translation.row(kind, id.into()));
    match name {
        Some(name) => translated(row, name),
        None => row,
    }
}

fn row_of(class: &'static str, id: Id, own_key: i32, uid: u32, removed: bool) -> Row {
    Row {
        key: key(own_key),
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
