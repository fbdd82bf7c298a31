//! System calls that a stop interrupted, and how they go on (ENGINE facts: arch/x86 signal handling, signal(7)).

use sys::ptrace::Registers;

const ERESTARTSYS: i64 = -512;
const ERESTARTNOINTR: i64 = -513;
const ERESTARTNOHAND: i64 = -514;
const ERESTART_RESTARTBLOCK: i64 = -516;
const EINTR: i64 = -4;

/// What the registers say of the system call in which a thread was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// Not in a system call, or one that has its result.
    No,
    /// The kernel executes the instruction again, with the same arguments.
    Again,
    /// The kernel goes on from its restart block, which is lost when registers are put onto another thread.
    FromBlock,
    /// The call would return EINTR although no signal came: the stop alone did it.
    WouldSeeEintr,
}

/// Calls that return EINTR after any stop (signal(7)) and that are harmless to start again: a partial
/// result would have been returned as such.
const STARTED_AGAIN: [u64; 20] =
    [0, 1, 19, 20, 43, 44, 45, 46, 47, 65, 128, 208, 220, 232, 281, 288, 299, 307, 333, 441];

#[must_use]
pub fn classify(regs: &Registers) -> Interrupted {
    if (regs.orig_rax as i64) < 0 {
        return Interrupted::No;
    }
    match regs.rax as i64 {
        ERESTARTSYS | ERESTARTNOINTR | ERESTARTNOHAND => Interrupted::Again,
        ERESTART_RESTARTBLOCK => Interrupted::FromBlock,
        EINTR if STARTED_AGAIN.contains(&regs.orig_rax) => Interrupted::WouldSeeEintr,
        _ => Interrupted::No,
    }
}

/// Registers with which the kernel itself decides, when the thread goes on, between starting the call again and EINTR
/// after a handler: for a call that the stop alone ended, and for one whose restart block is lost. None for others.
#[must_use]
pub fn left_to_the_kernel(regs: &Registers) -> Option<Registers> {
    let undecided = matches!(classify(regs), Interrupted::WouldSeeEintr | Interrupted::FromBlock);
    undecided.then_some(Registers { rax: ERESTARTNOHAND as u64, ..*regs })
}

/// Registers that execute the interrupted call again from user mode; others come back unchanged.
#[must_use]
pub fn started_again(regs: &Registers) -> Registers {
    let mut regs = *regs;
    if classify(&regs) != Interrupted::No {
        regs.rax = regs.orig_rax;
        regs.rip -= 2;
        regs.orig_rax = u64::MAX;
    }
    regs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(orig_rax: u64, rax: i64) -> Registers {
        let mut regs = crate::frame::zeroed_registers();
        (regs.orig_rax, regs.rax, regs.rip) = (orig_rax, rax as u64, 0x1002);
        regs
    }

    #[test]
    fn busy_thread_is_left_alone() {
        let regs = registers(u64::MAX, -512);
        assert_eq!(classify(&regs), Interrupted::No);
        assert_eq!(started_again(&regs).rip, 0x1002);
    }

    #[test]
    fn blocked_read_is_executed_again() {
        let again = started_again(&registers(0, -512));
        assert_eq!((again.rax, again.rip), (0, 0x1000));
    }

    #[test]
    fn epoll_wait_does_not_see_the_stop() {
        assert_eq!(classify(&registers(232, -4)), Interrupted::WouldSeeEintr);
        assert_eq!(classify(&registers(42, -4)), Interrupted::No);
    }

    #[test]
    fn a_handler_still_ends_epoll_wait_and_a_sleep_whose_block_is_lost() {
        for (number, value) in [(232, -4), (35, ERESTART_RESTARTBLOCK)] {
            let left = left_to_the_kernel(&registers(number, value)).unwrap();
            assert_eq!((left.rax as i64, left.orig_rax, left.rip), (ERESTARTNOHAND, number, 0x1002));
        }
        assert!(left_to_the_kernel(&registers(0, ERESTARTSYS)).is_none());
    }
}
