// Threads that notice any change of their registers, signal mask or waits, while they compute, sleep, wait and signal.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static _Atomic(const char *) failure;
static atomic_int over, started;
static atomic_long computed, slept, passed, received;

static void fail(const char *why) {
    const char *none = NULL;
    atomic_compare_exchange_strong(&failure, &none, why);
}

/* One round of values that live in registers only, with the red zone in use. Returns 0 if all came through. */
static long registers_hold(uint64_t seed, long rounds) {
    long bad = 0;
    __asm__ volatile(
        "movq %[seed], %%xmm5\n\t"
        "movq %[seed], %%mm3\n\t"
        "mov %[seed], %%r12\n\t"
        "mov %[seed], %%r13\n\t"
        "not %%r13\n\t"
        "mov %[seed], -120(%%rsp)\n\t"
        "1:\n\t"
        "mov %%r12, %%rax\n\t"
        "xor %%r13, %%rax\n\t"
        "inc %%rax\n\t"
        "jnz 2f\n\t"
        "cmp %%r12, -120(%%rsp)\n\t"
        "jne 2f\n\t"
        "movq %%xmm5, %%rax\n\t"
        "cmp %%r12, %%rax\n\t"
        "jne 2f\n\t"
        "movq %%mm3, %%rax\n\t"
        "cmp %%r12, %%rax\n\t"
        "jne 2f\n\t"
        "dec %[rounds]\n\t"
        "jnz 1b\n\t"
        "jmp 3f\n\t"
        "2: mov $1, %[bad]\n\t"
        "3: emms\n\t"
        : [bad] "+r"(bad), [rounds] "+r"(rounds)
        : [seed] "r"(seed)
        : "rax", "r12", "r13", "xmm5", "mm3", "memory", "cc");
    return bad;
}

static void check_mask(int blocked) {
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    for (int signal = 1; signal < 32; signal++)
        if (sigismember(&now, signal) != (signal == SIGTERM || signal == blocked)) fail("a signal mask changed");
}

static void *compute(void *argument) {
    started++;
    for (uint64_t seed = (uintptr_t)argument; !over; seed = seed * 6364136223846793005u + 1) {
        if (registers_hold(seed, 20000)) fail("a register changed");
        check_mask(0);
        computed++;
        // A machine with few processors has other work as well.
        struct timespec tick = {0, 200000};
        nanosleep(&tick, NULL);
    }
    return NULL;
}

static void *sleep_often(void *argument) {
    started++;
    sigset_t mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &mine, NULL);
    while (!over) {
        struct timespec pause = {0, 2000000}, before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        if (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL) != 0) fail("a sleep was interrupted");
        clock_gettime(CLOCK_MONOTONIC, &after);
        if ((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec < 2000000)
            fail("a sleep was cut short");
        check_mask(SIGUSR2);
        slept++;
    }
    return argument;
}

/* May a wait be interrupted? A tracer that was killed can leave that behind, as SIGSTOP and SIGCONT do (signal(7)). */
static int tolerant;

/* Waits in a call that any stop makes return EINTR, unless whoever stopped it takes care. */
static void *wait_for_events(void *argument) {
    started++;
    int events = epoll_create1(0), bell = *(int *)argument;
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(events, EPOLL_CTL_ADD, bell, &event);
    while (!over) {
        int ready = epoll_wait(events, &event, 1, -1);
        if (ready < 0 && errno == EINTR && tolerant) continue;
        if (ready != 1) fail(ready < 0 && errno == EINTR ? "epoll_wait returned EINTR" : "epoll_wait failed");
        uint64_t count;
        if (read(bell, &count, sizeof count) != sizeof count || count != 1) fail("a bell was lost");
        passed++;
    }
    return NULL;
}

static void *ring(void *argument) {
    started++;
    while (!over) {
        long before = passed;
        uint64_t one = 1;
        if (write(*(int *)argument, &one, sizeof one) != sizeof one) fail("could not ring");
        struct timespec tick = {0, 100000};
        while (passed == before && !over) nanosleep(&tick, NULL);
    }
    return NULL;
}

static void count(int signal) {
    (void)signal;
    received++;
}

/* Sends itself signals that must all arrive. */
static void *signal_self(void *argument) {
    started++;
    sigset_t mine;
    sigemptyset(&mine);
    sigaddset(&mine, SIGRTMIN);
    pthread_sigmask(SIG_UNBLOCK, &mine, NULL);
    for (long sent = 1; !over; sent++) {
        pthread_kill(pthread_self(), SIGRTMIN);
        if (received != sent) fail("a signal was lost");
        struct timespec tick = {0, 50000};
        nanosleep(&tick, NULL);
    }
    return argument;
}

int main(int argc, char **argv) {
    tolerant = argc > 1 && strcmp(argv[1], "tolerant") == 0;
    sigset_t waited;
    sigemptyset(&waited);
    sigaddset(&waited, SIGTERM);
    sigaddset(&waited, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &waited, NULL);
    signal(SIGRTMIN, count);
    int bell = eventfd(0, 0);
    pthread_t threads[6];
    pthread_create(&threads[0], NULL, compute, (void *)1);
    pthread_create(&threads[1], NULL, compute, (void *)2);
    pthread_create(&threads[2], NULL, sleep_often, NULL);
    pthread_create(&threads[3], NULL, wait_for_events, &bell);
    pthread_create(&threads[4], NULL, ring, &bell);
    pthread_create(&threads[5], NULL, signal_self, NULL);
    // A thread that is being made has a signal mask of its maker's.
    while (started < 6) sched_yield();
    printf("ready\n");
    fflush(stdout);
    int signal;
    sigdelset(&waited, SIGRTMIN);
    sigwait(&waited, &signal);
    long before[] = {computed, slept, passed, received};
    struct timespec moment = {0, 200000000};
    nanosleep(&moment, NULL);
    long after[] = {computed, slept, passed, received};
    for (int i = 0; i < 4; i++)
        if (after[i] <= before[i]) fail("a thread stands still");
    const char *why = failure;
    if (why) printf("fail: %s\n", why);
    else printf("pass\n");
    return why != NULL;
}
