//! What is done to one process: memory, folders, threads, signals, and its last step before it lives.

use crate::explain::{Explain, Result};
use crate::nursery::{self, Nursery};
use crate::program::Program;
use crate::rebuild::Rebuild;
use crate::state::process::{BodyV1, LiveV1, ProcessV1};
use crate::state::seccomp::{self, SeccompV1};
use crate::state::{attributes, filesystem, limits, memory, process, signals, thread, timers, translation};
use tracee::Stopped;

/// Gives a process its memory, folders and descriptors.
pub fn furnish(process: &ProcessV1, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    let BodyV1::Live(live) = &process.body else { return Ok(()) };
    let thread = Stopped::assume(rebuild.pids[&process.pid]);
    let target = memory::Target {
        thread: &thread,
        hole: nursery.hole,
        delivery: &nursery.delivery,
        vdso: &nursery.vdso.sizes,
        waiting: nursery.waiting(process.pid),
    };
    memory::apply(&live.memory, &live.executable, &target, rebuild)?;
    let bench = nursery.hole.bench();
    let mut program = Program::new(&bench);
    process::apply_login_uid(live, &thread, &mut program)?;
    process::apply(live, &mut program);
    program.run(&thread)?;
    if !live.shares_fs {
        filesystem::apply(&live.filesystem, &thread, nursery, rebuild)?;
    }
    Ok(())
}

/// Gives a process its threads, and what they have in common from the start.
pub fn populate(process: &ProcessV1, nursery: &mut Nursery, rebuild: &mut Rebuild) -> Result<()> {
    let BodyV1::Live(live) = &process.body else { return Ok(()) };
    let bench = nursery.hole.bench();
    let leader = Stopped::assume(rebuild.pids[&process.pid]);
    if rebuild.image.translation.as_ref().is_some_and(|saved| saved.interposition.kernel) {
        translation::interpose(&leader, nursery)?;
    }
    let mut program = Program::new(&bench);
    suspend_seccomp(live, &leader)?;
    seccomp::install(common_filters(live), &mut program);
    program.run(&leader)?;
    attributes::apply(&live.attributes, &mut program);
    program.run(&leader)?;
    clone_threads(live, &leader, nursery, rebuild)
}

fn common_filters(live: &LiveV1) -> &[seccomp::FilterV1] {
    seccomp::common(live.threads.iter().map(|thread| &thread.seccomp))
}

/// Gives a process its signals, timers, limits and credentials, and leaves every thread one step before its first
/// instruction. Returns the threads.
pub fn wake(process: &ProcessV1, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<Vec<i32>> {
    let BodyV1::Live(live) = &process.body else { return Ok(Vec::new()) };
    let bench = nursery.hole.bench();
    let leader = Stopped::assume(rebuild.pids[&process.pid]);
    let mut program = Program::new(&bench);
    let filters = common_filters(live);
    let others = live.threads.iter().skip(1).map(|saved| rebuild.pids[&saved.tid]);
    let tids: Vec<i32> = std::iter::once(leader.tid()).chain(others).collect();
    signals::apply_actions(&live.signals, &mut program);
    program.run(&leader)?;
    make_timers(live, &leader, &mut program)?;
    let notes = limits::apply(&live.limits, leader.tid(), &mut program)?;
    rebuild.notes.extend(notes);
    program.run(&leader)?;
    set_oom_score(live, leader.tid(), rebuild);
    for (saved, &tid) in live.threads.iter().zip(&tids).rev() {
        let thread = Stopped::assume(tid);
        attributes::apply_thread(&live.attributes, &mut program);
        thread::apply(saved, tid, filters.len(), &mut program)?;
        if tid == leader.tid() {
            let dumpable = [libc::PR_SET_DUMPABLE as u64, live.memory.dumpable];
            program.attempt("PR_SET_DUMPABLE", libc::SYS_prctl, &dumpable);
            signals::apply_pending(&live.signals.pending, process.pid.0, None, &mut program);
            timers::arm(&live.timers, &mut program);
        }
        signals::apply_pending(&saved.pending, process.pid.0, Some(saved.tid.0), &mut program);
        program.run(&thread)?;
    }
    depart(live, &tids, nursery, rebuild)?;
    Ok(tids)
}

/// The rest of the restore makes calls that the filters may deny; threads inherit the option.
fn suspend_seccomp(live: &LiveV1, leader: &Stopped) -> Result<()> {
    if live.threads.iter().all(|thread| thread.seccomp == SeccompV1::Off) {
        return Ok(());
    }
    sys::ptrace::set_options(leader.tid(), nursery::OPTIONS | sys::ptrace::O_SUSPEND_SECCOMP)
        .explain(|| format!("Could not restore the seccomp filters of process {}", leader.tid()))
}

fn clone_threads(live: &LiveV1, leader: &Stopped, nursery: &Nursery, rebuild: &mut Rebuild) -> Result<()> {
    const FLAGS: i32 = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM;
    for saved in &live.threads[1..] {
        let tid = nursery
            .hole
            .bench()
            .clone3(leader, FLAGS as u64, 0, Some(saved.tid.0))
            .explain(|| format!("Could not create thread {}", saved.tid))?;
        rebuild.pids.insert(saved.tid, tid);
    }
    Ok(())
}

fn make_timers(live: &LiveV1, leader: &Stopped, program: &mut Program) -> Result<()> {
    const PR_TIMER_CREATE_RESTORE_IDS: u64 = 77;
    const GET: u64 = 2;
    if live.timers.posix.is_empty() {
        return Ok(());
    }
    let asked = [PR_TIMER_CREATE_RESTORE_IDS, GET, 0, 0, 0];
    program.attempt("PR_TIMER_CREATE_RESTORE_IDS", libc::SYS_prctl, &asked);
    let exact = program.run(leader)?[0] >= 0;
    timers::apply_posix(&live.timers, exact, program);
    Ok(())
}

/// Lowering the score below the host's minimum for us needs CAP_SYS_RESOURCE.
fn set_oom_score(live: &LiveV1, pid: i32, rebuild: &mut Rebuild) {
    if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), live.oom_score_adj.to_string()) {
        rebuild.notes.push(format!(
            "oom_score_adj of process {pid} could not be set to {}: {error}",
            live.oom_score_adj
        ));
    }
}

/// The last steps: registers of all threads, then the hole goes, made by a call that never returns to it.
fn depart(live: &LiveV1, tids: &[i32], nursery: &Nursery, rebuild: &Rebuild) -> Result<()> {
    let bench = nursery.hole.bench();
    let leader = Stopped::assume(tids[0]);
    let what = || format!("Could not finish process {}", leader.tid());
    let mut held = Vec::new();
    for (saved, &tid) in live.threads.iter().zip(tids).skip(1) {
        let thread = Stopped::assume(tid);
        thread.to_event_stop(&mut held).explain(what)?;
        thread::apply_registers(saved, &thread, rebuild)?;
    }
    if let Some(action) = signals::trap_action(&live.signals) {
        let at = bench.payload().0;
        leader.write(at, &action).explain(what)?;
        bench.step(&leader, "rt_sigaction", libc::SYS_rt_sigaction, &[5, at, 0, 8]).explain(what)?;
    }
    let hole = [nursery.hole.start, nursery.hole.length()];
    bench.step(&leader, "munmap", libc::SYS_munmap, &hole).explain(what)?;
    leader.to_event_stop(&mut held).explain(what)?;
    thread::apply_registers(&live.threads[0], &leader, rebuild)?;
    if live.stopped {
        sys::process::kill(leader.tid(), libc::SIGSTOP).explain(what)?;
    }
    Ok(())
}
