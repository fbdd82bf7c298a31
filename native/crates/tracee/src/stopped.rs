//! A thread that is held in a ptrace stop. Only this type offers what needs a stop.

use crate::{Error, Result};
use sys::memory;
use sys::ptrace::{self, Registers, Wait};

/// A seized thread in a ptrace stop. It does not detach by itself: the owner decides how it goes on.
#[derive(Debug)]
pub struct Stopped {
    tid: i32,
}

impl Stopped {
    /// Takes charge of a thread that the caller knows to be in a ptrace stop.
    #[must_use]
    pub fn assume(tid: i32) -> Self {
        Self { tid }
    }

    #[must_use]
    pub fn tid(&self) -> i32 {
        self.tid
    }

    pub fn registers(&self) -> Result<Registers> {
        ptrace::registers(self.tid).map_err(Error::request("reading registers", self.tid))
    }

    pub fn set_registers(&self, regs: &Registers) -> Result<()> {
        ptrace::set_registers(self.tid, regs).map_err(Error::request("writing registers", self.tid))
    }

    pub fn xstate(&self) -> Result<Vec<u8>> {
        ptrace::xstate(self.tid).map_err(Error::request("reading extended state", self.tid))
    }

    pub fn set_xstate(&self, state: &[u8]) -> Result<()> {
        ptrace::set_xstate(self.tid, state).map_err(Error::request("writing extended state", self.tid))
    }

    pub fn signal_mask(&self) -> Result<u64> {
        ptrace::signal_mask(self.tid).map_err(Error::request("reading the signal mask", self.tid))
    }

    pub fn set_signal_mask(&self, mask: u64) -> Result<()> {
        ptrace::set_signal_mask(self.tid, mask).map_err(Error::request("writing the signal mask", self.tid))
    }

    /// Reads exactly `buffer.len()` bytes of the process's memory.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        match memory::read_process(self.tid, address, buffer) {
            Ok(n) if n == buffer.len() => Ok(()),
            Ok(_) => Err(Error::request("reading memory", self.tid)(sys::Errno::EFAULT)),
            Err(errno) => Err(Error::request("reading memory", self.tid)(errno)),
        }
    }

    pub fn read_u64(&self, address: u64) -> Result<u64> {
        let mut word = [0u8; 8];
        self.read(address, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    /// Writes all of `data` into the process's writable memory.
    pub fn write(&self, address: u64, data: &[u8]) -> Result<()> {
        match memory::write_process(self.tid, address, data) {
            Ok(n) if n == data.len() => Ok(()),
            Ok(_) => Err(Error::request("writing memory", self.tid)(sys::Errno::EFAULT)),
            Err(errno) => Err(Error::request("writing memory", self.tid)(errno)),
        }
    }

    /// Writes into memory that the process itself may not write (code), as a debugger does: through /proc/PID/mem.
    pub fn write_code(&self, address: u64, data: &[u8]) -> Result<()> {
        use std::os::unix::fs::FileExt;
        let file = std::fs::OpenOptions::new().write(true).open(format!("/proc/{}/mem", self.tid));
        file.and_then(|file| file.write_all_at(data, address))
            .map_err(|error| Error::request("writing code", self.tid)(error.into()))
    }

    /// Resumes to the next system-call stop. A signal that would be delivered on the way is kept in `held`.
    pub fn to_syscall_stop(&self, held: &mut Vec<i32>) -> Result<()> {
        loop {
            ptrace::to_syscall(self.tid).map_err(Error::request("resuming", self.tid))?;
            match self.wait()? {
                Wait::Syscall => return Ok(()),
                Wait::Signal(signal) => held.push(signal),
                Wait::Event(ptrace::EVENT_STOP, _) => {}
                other => return Err(Error::Surprise { tid: self.tid, how: format!("{other:?}") }),
            }
        }
    }

    /// Resumes with a stop already requested: the thread stops again before its next instruction, where the
    /// kernel's own handling of interrupted system calls is still ahead.
    pub fn to_event_stop(&self, held: &mut Vec<i32>) -> Result<()> {
        ptrace::interrupt(self.tid).map_err(Error::request("interrupting", self.tid))?;
        loop {
            ptrace::cont(self.tid, 0).map_err(Error::request("resuming", self.tid))?;
            match self.wait()? {
                Wait::Event(ptrace::EVENT_STOP, _) => return Ok(()),
                Wait::Signal(signal) => held.push(signal),
                other => return Err(Error::Surprise { tid: self.tid, how: format!("{other:?}") }),
            }
        }
    }

    /// Waits for the next stop; the end of the thread is an error.
    pub fn wait(&self) -> Result<Wait> {
        match ptrace::wait(self.tid).map_err(Error::request("waiting", self.tid))? {
            Wait::Exited(_) | Wait::Killed(_) => Err(Error::Gone(self.tid)),
            stop => Ok(stop),
        }
    }

    pub fn detach(self, signal: i32) -> Result<()> {
        ptrace::detach(self.tid, signal).map_err(Error::request("detaching", self.tid))
    }
}
