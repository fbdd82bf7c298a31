//! Handing descriptors of this command to a process that is being restored: sent over a socket that all blank
//! processes inherit, received by calls made in the process's name.

use crate::explain::{Explain, Result};
use crate::program::Program;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use sys::files::SCM_MAX_FD;
use tracee::{Bench, Stopped};

const MSG_CMSG_CLOEXEC: u64 = 0x4000_0000;
const CMSG_HEADER: usize = 16;

/// Our end of the socket, and the number of the other end in every blank process.
pub struct Delivery {
    pub ours: OwnedFd,
    pub theirs: RawFd,
}

impl Delivery {
    /// Puts `files` into the process at the lowest free numbers, close-on-exec, and returns those in order.
    pub fn send(&self, thread: &Stopped, bench: &Bench, files: &[RawFd]) -> Result<Vec<RawFd>> {
        let mut arrived = Vec::with_capacity(files.len());
        for chunk in files.chunks(SCM_MAX_FD) {
            sys::files::send_descriptors(self.ours.as_fd(), chunk)
                .explain(|| format!("Could not hand descriptors to process {}", thread.tid()))?;
            arrived.extend(self.receive(thread, bench, chunk.len())?);
        }
        Ok(arrived)
    }

    fn receive(&self, thread: &Stopped, bench: &Bench, count: usize) -> Result<Vec<RawFd>> {
        let mut program = Program::new(bench);
        let byte = program.data(&[0; 8]);
        let iov = program.data(&[byte.to_le_bytes(), 1u64.to_le_bytes()].concat());
        let control_len = CMSG_HEADER + (count * 4).next_multiple_of(8);
        let control = program.data(&vec![0; control_len]);
        // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags
        let header = [0, 0, iov, 1, control, control_len as u64, 0].map(u64::to_le_bytes).concat();
        let header = program.data(&header);
        program.call("recvmsg", libc::SYS_recvmsg, &[self.theirs as u64, header, MSG_CMSG_CLOEXEC]);
        program.run(thread)?;
        let bytes = program.fetch(thread, control + CMSG_HEADER as u64, count * 4)?;
        Ok(bytes.chunks_exact(4).map(|fd| i32::from_le_bytes(fd.try_into().expect("four bytes"))).collect())
    }

    /// Puts `files` at the numbers that the application knows them by, all of which are below the socket's. The socket
    /// itself is closed when this is the `last` delivery.
    pub fn install(
        &self,
        thread: &Stopped,
        bench: &Bench,
        files: &[(RawFd, RawFd, bool)],
        last: bool,
    ) -> Result<()> {
        const F_DUPFD_CLOEXEC: u64 = 1030;
        let first_free = self.theirs;
        let mut parked = Vec::with_capacity(files.len());
        for chunk in files.chunks(SCM_MAX_FD) {
            let ours: Vec<RawFd> = chunk.iter().map(|(file, ..)| *file).collect();
            let arrived = self.send(thread, bench, &ours)?;
            let mut program = Program::new(bench);
            for &fd in &arrived {
                program.call("fcntl", libc::SYS_fcntl, &[fd as u64, F_DUPFD_CLOEXEC, first_free as u64]);
                program.call("close", libc::SYS_close, &[fd as u64]);
            }
            parked.extend(program.run(thread)?.chunks(2).map(|pair| pair[0] as u64));
        }
        let mut program = Program::new(bench);
        for (&(_, number, close_on_exec), &from) in files.iter().zip(&parked) {
            let flags = if close_on_exec { libc::O_CLOEXEC as u64 } else { 0 };
            program.call("dup3", libc::SYS_dup3, &[from, number as u64, flags]);
        }
        let from = if last { first_free } else { first_free + 1 };
        program.call("close_range", libc::SYS_close_range, &[from as u64, u64::from(u32::MAX), 0]);
        program.run(thread).map(drop)
    }
}
