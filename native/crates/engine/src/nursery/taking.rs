//! Taking charge of blank processes: by ptrace, and emptied of everything but the hole and what they were born with.

use super::{INHERITED, Nursery, OPTIONS};
use crate::explain::{Explain, Result};
use crate::procfs;
use crate::program::Program;
use abi::{Code, Fault};
use sys::ptrace::{self, Wait};
use tracee::Stopped;

/// Everything but SIGTRAP, whose breakpoints must get through.
const ALL_BUT_TRAP: u64 = !(1 << 4);
const TASK_SIZE: u64 = 0x7fff_ffff_f000;

impl Nursery {
    /// Attaches to a child that waits for its start signal, gives that, and empties the process.
    pub(super) fn attach(&mut self, child: i32, go: impl FnOnce() -> Result<()>) -> Result<()> {
        let what = || format!("Could not prepare process {child}");
        self.born.insert(child);
        ptrace::seize(child, OPTIONS).explain(what)?;
        go()?;
        loop {
            match ptrace::wait(child).explain(what)? {
                Wait::Event(ptrace::EVENT_EXEC, _) => break,
                Wait::Exited(_) | Wait::Killed(_) => {
                    return Err(Fault::new(Code::RestoreFailed, what()).because(
                        "the blank executable could not be started (are memory files not executable here?)",
                    ));
                }
                _ => ptrace::cont(child, 0).explain(what)?,
            }
        }
        self.clear(&Stopped::assume(child))
    }

    /// Attaches to a copy of a resident helper, which waits in a read(2) that it will never return from, and leaves nothing of
    /// it but the template's memory.
    pub(super) fn take_over(&mut self, child: i32) -> Result<()> {
        let what = || format!("Could not prepare process {child}");
        self.born.insert(child);
        ptrace::seize(child, OPTIONS).explain(what)?;
        ptrace::interrupt(child).explain(what)?;
        let blank = Stopped::assume(child);
        match blank.wait().explain(what)? {
            Wait::Event(ptrace::EVENT_STOP, _) => {}
            other => {
                return Err(
                    Fault::new(Code::RestoreFailed, what()).because(format!("it stopped by {other:?}"))
                );
            }
        }
        blank.set_signal_mask(ALL_BUT_TRAP).explain(what)?;
        let bench = self.hole.bench();
        let mut program = Program::new(&bench);
        // Before the memory that the kernel would write to goes.
        if let Ok(rseq) = ptrace::rseq_configuration(child)
            && rseq.pointer != 0
        {
            const RSEQ_FLAG_UNREGISTER: u64 = 1;
            let args = [rseq.pointer, rseq.size.into(), RSEQ_FLAG_UNREGISTER, rseq.signature.into()];
            program.call("rseq", libc::SYS_rseq, &args);
        }
        let none = program.data(&[0, libc::SS_DISABLE as u64, 0].map(u64::to_le_bytes).concat());
        program.call("sigaltstack", libc::SYS_sigaltstack, &[none, 0]);
        self.park_vdso(&blank, &mut program)?;
        let arena = self.resident.as_ref().map_or((TASK_SIZE, TASK_SIZE), |(r, _)| r.record.layout.arena);
        let mut kept = [(self.hole.start, self.hole.end()), arena];
        kept.sort_unstable();
        let mut from = 0;
        for (start, end) in kept.into_iter().chain([(TASK_SIZE, TASK_SIZE)]) {
            if from < start {
                program.call("munmap", libc::SYS_munmap, &[from, start - from]);
            }
            from = end;
        }
        self.clear_descriptors(&mut program);
        program.run(&blank).map(drop)
    }

    /// Moves the vDSO into the hole.
    fn park_vdso(&self, blank: &Stopped, program: &mut Program) -> Result<()> {
        let what = || format!("Could not prepare process {}", blank.tid());
        let maps = procfs::places(blank.tid()).explain(what)?;
        let mut park = self.hole.park();
        for (name, size) in &self.vdso.sizes {
            let map = maps.iter().find(|map| map.name == name.as_bytes() && map.end - map.start == *size);
            let map = map
                .ok_or(sys::Errno::ENOENT)
                .explain(|| format!("Could not find {name} in a new process"))?;
            let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
            program.call("mremap", libc::SYS_mremap, &[map.start, *size, *size, flags, park]);
            park += size;
        }
        Ok(())
    }

    /// Leaves nothing but the hole, the parked vDSO and the delivery socket.
    fn clear(&self, blank: &Stopped) -> Result<()> {
        let what = || format!("Could not prepare process {}", blank.tid());
        blank.set_signal_mask(ALL_BUT_TRAP).explain(what)?;
        let first = self.hole.first_bench();
        let mut program = Program::new(&first);
        let protection = (libc::PROT_READ | libc::PROT_EXEC) as u64;
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
        program.call("mmap", libc::SYS_mmap, &[self.hole.code(), 0x1000, protection, flags, u64::MAX, 0]);
        program.run(blank)?;
        blank.write_code(self.hole.code(), tracee::Bench::CODE).explain(what)?;

        let bench = self.hole.bench();
        let mut program = Program::new(&bench);
        self.park_vdso(blank, &mut program)?;
        program.call("munmap", libc::SYS_munmap, &[self.hole.start, 0x1000]);
        program.call("munmap", libc::SYS_munmap, &[0, self.hole.start]);
        program.call("munmap", libc::SYS_munmap, &[self.hole.end(), TASK_SIZE - self.hole.end()]);
        self.clear_descriptors(&mut program);
        program.run(blank).map(drop)
    }

    /// Moves the socket out of the way of the application's descriptors, and closes all others.
    fn clear_descriptors(&self, program: &mut Program) {
        let theirs = self.delivery.theirs as u64;
        // Where the hard limit may not be raised the call fails, and the present limit has to do.
        let roomy = program.data(&[1_048_576u64.to_le_bytes(), 1_048_576u64.to_le_bytes()].concat());
        const RLIMIT_NOFILE: u64 = 7;
        const RLIMIT_CORE: u64 = 4;
        let (_, most) = sys::process::limit(0, RLIMIT_NOFILE as u32).unwrap_or_default();
        let allowed = program.data(&[most.to_le_bytes(), most.to_le_bytes()].concat());
        program.attempt("prlimit64", libc::SYS_prlimit64, &[0, RLIMIT_NOFILE, allowed, 0]);
        program.attempt("prlimit64", libc::SYS_prlimit64, &[0, RLIMIT_NOFILE, roomy, 0]);
        let none = program.data(&[0u64.to_le_bytes(), u64::MAX.to_le_bytes()].concat());
        program.attempt("prlimit64", libc::SYS_prlimit64, &[0, RLIMIT_CORE, none, 0]);
        program.call("dup3", libc::SYS_dup3, &[INHERITED as u64, theirs, libc::O_CLOEXEC as u64]);
        program.call("close_range", libc::SYS_close_range, &[0, theirs - 1, 0]);
        program.attempt("close_range", libc::SYS_close_range, &[theirs + 1, u64::from(u32::MAX), 0]);
    }
}
