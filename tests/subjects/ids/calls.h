// The System V calls, by libc, or with -DRAW by system calls that no library sees (x86-64).
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef RAW
static inline long raw(long number, long a, long b, long c, long d, long e) {
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}
#define semget(key, count, flags) ((int)raw(SYS_semget, key, count, flags, 0, 0))
#define semop(id, operations, count) ((int)raw(SYS_semop, id, (long)(operations), count, 0, 0))
#define semtimedop(id, operations, count, limit) \
    ((int)raw(SYS_semtimedop, id, (long)(operations), count, (long)(limit), 0))
#define shmget(key, size, flags) ((int)raw(SYS_shmget, key, size, flags, 0, 0))
#define shmat(id, address, flags) ((void *)raw(SYS_shmat, id, (long)(address), flags, 0, 0))
#define shmdt(address) ((int)raw(SYS_shmdt, (long)(address), 0, 0, 0, 0))
#define shmctl(id, command, argument) ((int)raw(SYS_shmctl, id, command, (long)(argument), 0, 0))
#define msgget(key, flags) ((int)raw(SYS_msgget, key, flags, 0, 0, 0))
#define msgsnd(id, message, size, flags) ((int)raw(SYS_msgsnd, id, (long)(message), size, flags, 0))
#define msgrcv(id, message, size, type, flags) raw(SYS_msgrcv, id, (long)(message), size, type, flags)
#define msgctl(id, command, argument) ((int)raw(SYS_msgctl, id, command, (long)(argument), 0, 0))
#define open(path, flags) ((int)raw(SYS_openat, AT_FDCWD, (long)(path), flags, 0, 0))
#define read(file, bytes, size) raw(SYS_read, file, (long)(bytes), size, 0, 0)
#endif

/* semctl(2) with its fourth argument as an address or a number, whichever the command wants. */
static inline int semaphores(int id, int number, int command, void *argument) {
#ifdef RAW
    return (int)raw(SYS_semctl, id, number, command, (long)argument, 0);
#else
    union {
        void *address;
        long number;
    } fourth = {argument};
    return semctl(id, number, command, fourth);
#endif
}

static inline int set_value(int id, int number, long value) { return semaphores(id, number, SETVAL, (void *)value); }

static inline int operate(int id, int number, int change, int flags) {
    struct sembuf one = {(unsigned short)number, (short)change, (short)flags};
    return semop(id, &one, 1);
}
