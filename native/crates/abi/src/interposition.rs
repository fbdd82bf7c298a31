//! Which system calls bear System V ids, and the filter that sends them to the capsule's helper (seccomp(2)).

use std::ops::{Range, RangeInclusive};

/// x86-64 numbers of semget semop semctl, semtimedop, shmget shmat shmctl, msgget msgsnd msgrcv msgctl. shmdt(2) takes
/// an address.
pub const CALLS: [RangeInclusive<u32>; 4] = [29..=31, 64..=66, 68..=71, 220..=220];

/// `struct sock_filter`: code, jumps if true and false, value.
pub type Instruction = (u16, u8, u8, u32);

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NR: u32 = 0;
const ARCH: u32 = 4;
const POINTER_LOW: u32 = 8;
const POINTER_HIGH: u32 = 12;

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const NOT_X32: u32 = !0x4000_0000;
const ALLOW: Instruction = (RETURN, 0, 0, 0x7fff_0000);
const ASK: Instruction = (RETURN, 0, 0, 0x7fc0_0000);
/// ENOSYS, for the 32-bit calls: ids cannot be translated there, and none may get through.
const DENY: Instruction = (RETURN, 0, 0, 0x0005_0000 | 38);
/// i386: ipc(2), and the calls that came one by one in kernel 5.1.
const CALLS_32: [RangeInclusive<u32>; 2] = [117..=117, 393..=402];

/// Asks the listener about every call that bears an id, unless it comes from `core` (whose addresses share their upper
/// half), where ids are translated already.
#[must_use]
pub fn filter(core: Range<u64>) -> Vec<Instruction> {
    let wide = tests(&CALLS, from_core(core));
    let narrow = tests(&CALLS_32, vec![DENY]);
    let mut program = vec![(LOAD, 0, 0, ARCH), (JUMP_EQUAL, 0, wide.len() as u8 + 2, AUDIT_ARCH_X86_64)];
    program.extend([(LOAD, 0, 0, NR), (AND, 0, 0, NOT_X32)]);
    program.extend(wide);
    program.push((LOAD, 0, 0, NR));
    program.extend(narrow);
    program
}

/// Goes on to `matched` when the number is in one of `calls`, else allows.
fn tests(calls: &[RangeInclusive<u32>], matched: Vec<Instruction>) -> Vec<Instruction> {
    let mut program = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let behind = 2 * (calls.len() - 1 - index) as u8 + 1;
        program.push((JUMP_AT_LEAST, 0, 1, *call.start()));
        program.push((JUMP_GREATER, 0, behind, *call.end()));
    }
    program.push(ALLOW);
    program.extend(matched);
    program
}

fn from_core(core: Range<u64>) -> Vec<Instruction> {
    let (high, low) = ((core.start >> 32) as u32, core.start as u32);
    let end = low + (core.end - core.start) as u32;
    vec![
        (LOAD, 0, 0, POINTER_HIGH),
        (JUMP_EQUAL, 0, 4, high),
        (LOAD, 0, 0, POINTER_LOW),
        (JUMP_AT_LEAST, 0, 2, low),
        (JUMP_AT_LEAST, 1, 0, end),
        ALLOW,
        ASK,
    ]
}

/// The filter as the kernel gives it back: eight bytes an instruction.
#[must_use]
pub fn bytes(filter: &[Instruction]) -> Vec<u8> {
    let instruction = |(code, if_true, if_false, value): &Instruction| {
        [&code.to_le_bytes()[..], &[*if_true, *if_false], &value.to_le_bytes()].concat()
    };
    filter.iter().flat_map(instruction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: Range<u64> = 0x6a78_0000_0000..0x6a78_0001_0000;

    /// What the kernel's interpreter does with the few instructions that are used.
    fn run(filter: &[Instruction], nr: u32, arch: u32, pointer: u64) -> Instruction {
        let (mut at, mut value) = (0, 0u32);
        loop {
            let (code, if_true, if_false, operand) = filter[at];
            at += 1;
            let jump = |taken: bool| usize::from(if taken { if_true } else { if_false });
            match code {
                LOAD => {
                    value = match operand {
                        NR => nr,
                        ARCH => arch,
                        POINTER_LOW => pointer as u32,
                        _ => (pointer >> 32) as u32,
                    }
                }
                AND => value &= operand,
                JUMP_EQUAL => at += jump(value == operand),
                JUMP_GREATER => at += jump(value > operand),
                JUMP_AT_LEAST => at += jump(value >= operand),
                _ => return filter[at - 1],
            }
        }
    }

    #[test]
    fn calls_that_bear_ids_are_asked_about_unless_they_come_from_the_core() {
        let filter = filter(CORE);
        for nr in 0..500 {
            let bears = CALLS.iter().any(|calls| calls.contains(&nr));
            let outside = run(&filter, nr, AUDIT_ARCH_X86_64, 0x7f00_0000_1234);
            assert_eq!(outside, if bears { ASK } else { ALLOW }, "{nr}");
            assert_eq!(run(&filter, nr, AUDIT_ARCH_X86_64, CORE.start + 2), ALLOW);
            assert_eq!(run(&filter, nr, AUDIT_ARCH_X86_64, CORE.end), outside);
            assert_eq!(run(&filter, nr, AUDIT_ARCH_X86_64, CORE.start - 1), outside);
        }
        assert_eq!(run(&filter, 65 | 0x4000_0000, AUDIT_ARCH_X86_64, 0), ASK);
    }

    #[test]
    fn calls_of_32_bits_get_no_ids() {
        const AUDIT_ARCH_I386: u32 = 0x4000_0003;
        let filter = filter(CORE);
        for (nr, expected) in [(117, DENY), (393, DENY), (402, DENY), (403, ALLOW), (64, ALLOW)] {
            assert_eq!(run(&filter, nr, AUDIT_ARCH_I386, 0), expected, "{nr}");
        }
    }

    #[test]
    fn an_instruction_has_eight_bytes() {
        assert_eq!(bytes(&[(0x20, 1, 2, 3)]), [0x20, 0, 1, 2, 3, 0, 0, 0]);
    }
}
