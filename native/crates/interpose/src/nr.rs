//! Numbers of system calls on x86-64, of commands and of errors.
#![allow(missing_docs)]

pub const RT_SIGPROCMASK: u64 = 14;
pub const SHMGET: u64 = 29;
pub const SHMAT: u64 = 30;
pub const SHMCTL: u64 = 31;
pub const GETPID: u64 = 39;
pub const KILL: u64 = 62;
pub const SEMGET: u64 = 64;
pub const SEMOP: u64 = 65;
pub const SEMCTL: u64 = 66;
pub const MSGGET: u64 = 68;
pub const MSGSND: u64 = 69;
pub const MSGRCV: u64 = 70;
pub const MSGCTL: u64 = 71;
pub const GETTID: u64 = 186;
pub const FUTEX: u64 = 202;
pub const SEMTIMEDOP: u64 = 220;
pub const SET_ROBUST_LIST: u64 = 273;
pub const GET_ROBUST_LIST: u64 = 274;
pub const GETRANDOM: u64 = 318;

pub const IPC_CREAT: u64 = 0o1000;
pub const IPC_EXCL: u64 = 0o2000;

pub const IPC_RMID: u32 = 0;
pub const IPC_STAT: u32 = 2;
pub const IPC_INFO: u32 = 3;
pub const SETVAL: u32 = 16;
pub const SETALL: u32 = 17;

pub const ENOENT: isize = -2;
pub const ESRCH: isize = -3;
pub const EEXIST: isize = -17;
pub const EINVAL: isize = -22;
pub const ENOSPC: isize = -28;
pub const EIDRM: isize = -43;
