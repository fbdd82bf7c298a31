//! Credentials of a thread: user and group ids, capabilities, securebits, no_new_privs (credentials(7), capabilities(7)).

use crate::explain::{Explain, Result};
use crate::inquiry::Inquiry;
use crate::procfs::Status;
use crate::program::Program;
use serde::{Deserialize, Serialize};

const CAP_VERSION_3: u32 = 0x2008_0522;
const SECBIT_NO_SETUID_FIXUP: u64 = 1 << 2;
const SECBIT_KEEP_CAPS: u64 = 1 << 4;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsV1 {
    /// Real, effective, saved and file-system id.
    pub uid: [u32; 4],
    pub gid: [u32; 4],
    pub groups: Vec<u32>,
    pub inheritable: u64,
    pub permitted: u64,
    pub effective: u64,
    pub bounding: u64,
    pub ambient: u64,
    pub securebits: u64,
    pub no_new_privs: bool,
}

pub fn collect(status: &Status, inquiry: &mut Inquiry) -> Result<CredentialsV1> {
    let securebits =
        inquiry.number("PR_GET_SECUREBITS", libc::SYS_prctl, &[libc::PR_GET_SECUREBITS as u64])?;
    Ok(read(status, securebits))
}

fn read(status: &Status, securebits: u64) -> CredentialsV1 {
    let four = |key| {
        let ids: Vec<u32> = status.numbers(key);
        [0, 1, 2, 3].map(|i| ids.get(i).copied().unwrap_or(0))
    };
    CredentialsV1 {
        uid: four("Uid"),
        gid: four("Gid"),
        groups: status.numbers("Groups"),
        inheritable: status.hex("CapInh"),
        permitted: status.hex("CapPrm"),
        effective: status.hex("CapEff"),
        bounding: status.hex("CapBnd"),
        ambient: status.hex("CapAmb"),
        securebits,
        no_new_privs: status.text("NoNewPrivs") == "1",
    }
}

/// Adds the calls that turn the thread's present credentials into the saved ones. Last of what needs a privilege.
pub fn apply(saved: &CredentialsV1, tid: i32, program: &mut Program) -> Result<()> {
    let status = Status::read(&tid.to_string())
        .explain(|| format!("Could not read the credentials of thread {tid}"))?;
    let now = read(&status, 0);
    if now == *saved {
        return Ok(());
    }
    let prctl = |program: &mut Program, name, args: &[u64]| program.call(name, libc::SYS_prctl, args);
    let ids_change = now.uid != saved.uid || now.gid != saved.gid || now.groups != saved.groups;
    if ids_change {
        let keep = SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS;
        prctl(program, "PR_SET_SECUREBITS", &[libc::PR_SET_SECUREBITS as u64, keep]);
        apply_ids(&now, saved, program);
    }
    for bit in (0..64).filter(|bit| now.bounding & !saved.bounding & (1 << bit) != 0) {
        prctl(program, "PR_CAPBSET_DROP", &[libc::PR_CAPBSET_DROP as u64, bit]);
    }
    if saved.ambient != 0 {
        let available = now.permitted | saved.permitted;
        capset(program, saved.permitted | now.permitted & available, now.effective, saved.inheritable);
        for bit in (0..64).filter(|bit| saved.ambient & (1 << bit) != 0) {
            prctl(
                program,
                "PR_CAP_AMBIENT",
                &[libc::PR_CAP_AMBIENT as u64, libc::PR_CAP_AMBIENT_RAISE as u64, bit, 0, 0],
            );
        }
    }
    if ids_change || saved.securebits != 0 {
        prctl(program, "PR_SET_SECUREBITS", &[libc::PR_SET_SECUREBITS as u64, saved.securebits]);
    }
    capset(program, saved.permitted, saved.effective, saved.inheritable);
    if saved.no_new_privs {
        prctl(program, "PR_SET_NO_NEW_PRIVS", &[libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0, 0, 0]);
    }
    Ok(())
}

fn apply_ids(now: &CredentialsV1, saved: &CredentialsV1, program: &mut Program) {
    if now.groups != saved.groups {
        let list: Vec<u8> = saved.groups.iter().flat_map(|id| id.to_le_bytes()).collect();
        let at = program.data(&list);
        program.call("setgroups", libc::SYS_setgroups, &[saved.groups.len() as u64, at]);
    }
    let [r, e, s, fs] = saved.gid.map(u64::from);
    program.call("setresgid", libc::SYS_setresgid, &[r, e, s]);
    program.attempt("setfsgid", libc::SYS_setfsgid, &[fs]);
    let [r, e, s, fs] = saved.uid.map(u64::from);
    program.call("setresuid", libc::SYS_setresuid, &[r, e, s]);
    program.attempt("setfsuid", libc::SYS_setfsuid, &[fs]);
}

/// Adds the call that sets a thread's capabilities, bit masks all.
pub fn capset(program: &mut Program, permitted: u64, effective: u64, inheritable: u64) {
    let header = program.data(&[CAP_VERSION_3.to_le_bytes(), [0; 4]].concat());
    let half = |value: u64, shift: u32| ((value >> shift) as u32).to_le_bytes();
    let data: Vec<u8> = [0, 32]
        .iter()
        .flat_map(|&shift| {
            [half(effective, shift), half(permitted, shift), half(inheritable, shift)].concat()
        })
        .collect();
    let data = program.data(&data);
    program.call("capset", libc::SYS_capset, &[header, data]);
}
