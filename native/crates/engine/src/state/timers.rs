//! Interval timers and POSIX timers of a process (getitimer(2), timer_create(2)).

use crate::explain::{Explain, Result};
use crate::ids::OriginalPid;
use crate::inquiry::{Inquiry, word};
use crate::program::Program;
use serde::{Deserialize, Serialize};

/// Seconds and micro- or nanoseconds: the interval, then the time left.
type Setting = [u64; 4];

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TimersV1 {
    /// ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF, in microseconds.
    pub interval: [Setting; 3],
    pub posix: Vec<PosixTimerV1>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PosixTimerV1 {
    pub id: i32,
    pub clock: i32,
    pub signal: i32,
    pub value: u64,
    /// SIGEV_SIGNAL (0), SIGEV_NONE (1), SIGEV_THREAD (2), SIGEV_THREAD_ID (4).
    pub notify: i32,
    /// The thread that SIGEV_THREAD_ID names, as the application knows it.
    pub thread: i32,
    /// Nanosecond setting.
    pub setting: Setting,
    pub overrun: u64,
}

const SIGEV_NONE: i32 = 1;
const SIGEV_THREAD_ID: i32 = 4;

/// `threads`: those of the process, by what the host calls them.
pub fn collect(pid: i32, threads: &[(i32, OriginalPid)], inquiry: &mut Inquiry) -> Result<TimersV1> {
    let mut timers = TimersV1::default();
    for (which, setting) in timers.interval.iter_mut().enumerate() {
        let out = inquiry.out();
        let bytes: [u8; 32] = inquiry.fetch("getitimer", libc::SYS_getitimer, &[which as u64, out])?;
        *setting = four_words(&bytes);
    }
    for timer in listed(pid)? {
        let mut timer = addressed(timer, threads);
        let out = inquiry.out();
        let bytes: [u8; 32] =
            inquiry.fetch("timer_gettime", libc::SYS_timer_gettime, &[timer.id as u64, out])?;
        timer.setting = four_words(&bytes);
        timer.overrun =
            inquiry.raw("timer_getoverrun", libc::SYS_timer_getoverrun, &[timer.id as u64])?.max(0) as u64;
        timers.posix.push(timer);
    }
    Ok(timers)
}

/// Names the thread as the application does. One that has ended gets no signals any more: such a timer only runs.
fn addressed(mut timer: PosixTimerV1, threads: &[(i32, OriginalPid)]) -> PosixTimerV1 {
    if timer.notify & SIGEV_THREAD_ID != 0 {
        match threads.iter().find(|(here, _)| *here == timer.thread) {
            Some((_, original)) => timer.thread = original.0,
            None => (timer.notify, timer.thread) = (SIGEV_NONE, 0),
        }
    }
    timer
}

fn four_words(bytes: &[u8; 32]) -> Setting {
    [0, 8, 16, 24].map(|at| word(bytes, at))
}

/// Parses /proc/PID/timers (proc_pid_timers(5)): four lines a timer.
fn listed(pid: i32) -> Result<Vec<PosixTimerV1>> {
    let what = || format!("Could not list the timers of process {pid}");
    let text = std::fs::read_to_string(format!("/proc/{pid}/timers")).explain(what)?;
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks(4).map(|lines| parse(lines).ok_or(sys::Errno::EIO).explain(what)).collect()
}

fn parse(lines: &[&str]) -> Option<PosixTimerV1> {
    let field = |at: usize, key: &str| lines.get(at)?.strip_prefix(key)?.strip_prefix(':').map(str::trim);
    let (signal, value) = field(1, "signal")?.split_once('/')?;
    let (how, target) = field(2, "notify")?.split_once('/')?;
    let (kind, thread) = target.split_once('.')?;
    let base = match how {
        "signal" => 0,
        "none" => 1,
        "thread" => 2,
        _ => return None,
    };
    Some(PosixTimerV1 {
        id: field(0, "ID")?.parse().ok()?,
        clock: field(3, "ClockID")?.parse().ok()?,
        signal: signal.parse().ok()?,
        value: u64::from_str_radix(value, 16).ok()?,
        notify: if kind == "tid" { base | SIGEV_THREAD_ID } else { base },
        thread: thread.parse().ok()?,
        setting: [0; 4],
        overrun: 0,
    })
}

/// Adds the calls that make the timers under their ids, disarmed: prctl(PR_TIMER_CREATE_RESTORE_IDS) where the kernel
/// has it (6.15), else by making and deleting timers until the id comes up, which is bounded.
pub fn apply_posix(timers: &TimersV1, exact_ids: bool, program: &mut Program) {
    const PR_TIMER_CREATE_RESTORE_IDS: u64 = 77;
    if timers.posix.is_empty() {
        return;
    }
    if exact_ids {
        program.call(
            "PR_TIMER_CREATE_RESTORE_IDS",
            libc::SYS_prctl,
            &[PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0],
        );
    }
    let mut next = 0;
    let mut sorted: Vec<&PosixTimerV1> = timers.posix.iter().collect();
    sorted.sort_by_key(|timer| timer.id);
    for timer in sorted {
        let event = program.data(&sigevent(timer));
        let id = program.data(&timer.id.to_le_bytes());
        let create = [timer.clock as i64 as u64, event, id];
        if !exact_ids {
            for skipped in next..timer.id {
                program.call("timer_create", libc::SYS_timer_create, &create);
                program.call("timer_delete", libc::SYS_timer_delete, &[skipped as u64]);
            }
        }
        program.call("timer_create", libc::SYS_timer_create, &create);
        next = timer.id + 1;
    }
    if exact_ids {
        program.call(
            "PR_TIMER_CREATE_RESTORE_IDS",
            libc::SYS_prctl,
            &[PR_TIMER_CREATE_RESTORE_IDS, 0, 0, 0, 0],
        );
    }
}

fn sigevent(timer: &PosixTimerV1) -> Vec<u8> {
    let mut bytes = timer.value.to_le_bytes().to_vec();
    for number in [timer.signal, timer.notify, timer.thread] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.resize(64, 0);
    bytes
}

/// Adds the calls that arm all timers with the time they had left. Last before the release, so that little of it passes.
pub fn arm(timers: &TimersV1, program: &mut Program) {
    let encode = |setting: &Setting| setting.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    for (which, setting) in timers.interval.iter().enumerate().filter(|(_, s)| s[2] != 0 || s[3] != 0) {
        let at = program.data(&encode(setting));
        program.call("setitimer", libc::SYS_setitimer, &[which as u64, at, 0]);
    }
    for timer in timers.posix.iter().filter(|timer| timer.setting != [0; 4]) {
        let at = program.data(&encode(&timer.setting));
        program.call("timer_settime", libc::SYS_timer_settime, &[timer.id as u64, 0, at, 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_line_group_is_parsed() {
        let timer =
            parse(&["ID: 3", "signal: 10/0000000000abcdef", "notify: signal/tid.42", "ClockID: 1"]).unwrap();
        assert_eq!((timer.id, timer.signal, timer.value), (3, 10, 0xabcdef));
        assert_eq!((timer.notify, timer.thread, timer.clock), (4, 42, 1));
    }

    #[test]
    fn a_timer_names_its_thread_as_the_application_does() {
        let lines = ["ID: 3", "signal: 10/0", "notify: signal/tid.42", "ClockID: 1"];
        let timer = |threads: &[_]| addressed(parse(&lines).unwrap(), threads);
        assert_eq!(timer(&[(41, OriginalPid(1)), (42, OriginalPid(7))]).thread, 7);
        assert_eq!(timer(&[(41, OriginalPid(1))]).notify, SIGEV_NONE);
    }
}
