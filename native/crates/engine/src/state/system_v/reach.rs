//! Asking about System V objects: from a thread of this command in the application's IPC namespace or, where that may not
//! be entered, by calls of a process of the application.

use crate::explain::{Explain, Result};
use crate::inquiry::Inquiry;
use sys::Errno;
use sys::system_v::{self, Kind};

pub enum Reach<'a, 'i, 'p> {
    Here,
    Through(&'a mut Inquiry<'i, 'p>),
}

/// Type and text.
type Message = (i64, Vec<u8>);

/// The most that one answer of a process may be: it has 60 KiB for results.
const ANSWER: usize = 56 << 10;

impl Reach<'_, '_, '_> {
    /// Ids listed in /proc/sysvipc/`name` of the namespace: its second column.
    pub fn listed(&mut self, name: &str) -> Result<Vec<i32>> {
        let path = format!("/proc/sysvipc/{name}");
        let text = match self {
            Self::Here => std::fs::read(&path).map_err(|error| Errno::from_io(&error)),
            Self::Through(inquiry) => read_file(inquiry, &path)?,
        };
        match text {
            // A kernel without System V objects has none.
            Err(Errno::ENOENT) => Ok(Vec::new()),
            text => {
                let text = text.explain(|| format!("Could not read {path}"))?;
                Ok(second_column(&String::from_utf8_lossy(&text)))
            }
        }
    }

    /// `IPC_STAT`.
    pub fn status(&mut self, kind: Kind, id: i32) -> Result<sys::Result<Vec<u8>>> {
        match self {
            Self::Here => Ok(kind.status(id)),
            Self::Through(inquiry) => {
                let (id, out, command) = (id as u64, inquiry.out(), libc::IPC_STAT as u64);
                let args = if kind == Kind::Set { vec![id, 0, command, out] } else { vec![id, command, out] };
                let result = inquiry.raw("IPC_STAT", kind.control(), &args)?;
                answer(inquiry, result, kind.status_size())
            }
        }
    }

    pub fn semaphore_values(&mut self, id: i32, count: usize) -> Result<sys::Result<Vec<u16>>> {
        const GETALL: u64 = 13;
        match self {
            Self::Here => Ok(system_v::semaphore_values(id, count)),
            Self::Through(_) if count * 2 > ANSWER => Ok(Err(Errno(libc::E2BIG))),
            Self::Through(inquiry) => {
                let args = [id as u64, 0, GETALL, inquiry.out()];
                let result = inquiry.raw("GETALL", libc::SYS_semctl, &args)?;
                let pair = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
                Ok(answer(inquiry, result, count * 2)?.map(|bytes| bytes.chunks_exact(2).map(pair).collect()))
            }
        }
    }

    pub fn semaphore_pid(&mut self, id: i32, index: usize) -> Result<sys::Result<i32>> {
        const GETPID: u64 = 11;
        match self {
            Self::Here => Ok(system_v::semaphore_pid(id, index)),
            Self::Through(inquiry) => {
                let result =
                    inquiry.raw("GETPID", libc::SYS_semctl, &[id as u64, index as u64, GETPID, 0])?;
                Ok(Errno::from_raw(result).map(|pid| pid as i32))
            }
        }
    }

    /// A message, left where it is; none behind the last one.
    pub fn message(&mut self, id: i32, index: usize, room: usize) -> Result<sys::Result<Option<Message>>> {
        const MSG_COPY: u64 = 0o40000;
        let Self::Through(inquiry) = self else { return Ok(system_v::copy_message(id, index, room)) };
        let room = room.min(ANSWER - 8);
        let args = [id as u64, inquiry.out(), room as u64, index as u64, MSG_COPY | libc::IPC_NOWAIT as u64];
        let result = inquiry.raw("msgrcv", libc::SYS_msgrcv, &args)?;
        if result == -i64::from(libc::ENOMSG) {
            return Ok(Ok(None));
        }
        let bytes = answer(inquiry, result, 8 + result.max(0) as usize)?;
        let kind = |bytes: &[u8]| i64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        Ok(bytes.map(|bytes| Some((kind(&bytes), bytes[8..].to_vec()))))
    }
}

/// What a successful call has left at the place for results.
fn answer(inquiry: &Inquiry, result: i64, length: usize) -> Result<sys::Result<Vec<u8>>> {
    if let Err(errno) = Errno::from_raw(result) {
        return Ok(Err(errno));
    }
    let mut bytes = vec![0; length];
    let tid = inquiry.thread.tid();
    inquiry
        .thread
        .read(inquiry.out(), &mut bytes)
        .explain(|| format!("Could not read an answer of thread {tid}"))?;
    Ok(Ok(bytes))
}

/// Reads a file by calls of the process: it decides whose namespace the file tells of.
fn read_file(inquiry: &mut Inquiry, path: &str) -> Result<sys::Result<Vec<u8>>> {
    let at = inquiry.put(&[path.as_bytes(), &[0]].concat())?;
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as u64;
    let opened = inquiry.raw("openat", libc::SYS_openat, &[libc::AT_FDCWD as u64, at, flags])?;
    let fd = match Errno::from_raw(opened) {
        Ok(fd) => fd,
        Err(errno) => return Ok(Err(errno)),
    };
    let mut text = Vec::new();
    let outcome = loop {
        let args = [fd, inquiry.out(), ANSWER as u64];
        let got = inquiry.raw("read", libc::SYS_read, &args)?;
        match answer(inquiry, got, got.max(0) as usize)? {
            Ok(piece) if piece.is_empty() => break Ok(text),
            Ok(piece) => text.extend(piece),
            Err(errno) => break Err(errno),
        }
    };
    inquiry.raw("close", libc::SYS_close, &[fd])?;
    Ok(outcome)
}

fn second_column(text: &str) -> Vec<i32> {
    let id = |line: &str| line.split_ascii_whitespace().nth(1)?.parse().ok();
    text.lines().skip(1).filter_map(id).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_the_second_column() {
        let text = "       key      shmid perms\n         0          3  1600\n 123456789      32769   600\n";
        assert_eq!(super::second_column(text), [3, 32769]);
    }
}
