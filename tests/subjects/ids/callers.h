// The holder's children: each is blocked in a call of its own, and ends well when that returns as it should.
#pragma once

static void take_one(void) {
    if (operate(set, TAKEN, -1, 0)) fail("a blocked semop");
}

static void take_in_time(void) {
    struct sembuf one = {TIMED, -1, 0};
    struct timespec limit = {120, 0};
    if (semtimedop(set, &one, 1, &limit)) fail("a blocked semtimedop");
}

static void wait_for_zero(void) {
    if (operate(set, ZERO, 0, 0)) fail("a semop that waits for zero");
}

static void receive_late(void) {
    struct message message;
    if (msgrcv(closed, &message, FULL, 42, 0) != 4 || memcmp(message.text, "late", 4)) fail("a blocked msgrcv");
}

static void send_late(void) { send(full, 2, "overdue"); }

static void be_partner(void) {
    if (shmat(segment, in_partner, 0) != in_partner || shmat(marked, marked_in_partner, SHM_RDONLY) != marked_in_partner)
        fail("shmat in the partner");
    if (operate(gate, 1, 1, 0)) fail("semop of the partner");
    if (operate(gate, 0, -1, 0)) fail("the partner's blocked semop");
    if (strcmp(in_partner + 2 * 4096, "from main") || strcmp(marked_in_partner, "still here"))
        fail("the partner sees other memory");
    strcpy(in_partner, "from partner");
    if (shmdt(in_partner) || shmdt(marked_in_partner)) fail("the partner's shmdt");
}

static void owe(void) {
    struct sembuf both[] = {{RAISED, 3, SEM_UNDO}, {LOWERED, -2, SEM_UNDO}};
    if (semop(set, both, 2)) fail("semop with SEM_UNDO");
    sigset_t none;
    sigemptyset(&none);
    for (;;) sigsuspend(&none);
}

static void start(enum child which, void (*live)(void)) {
    children[which] = fork();
    if (children[which] < 0) fail("fork");
    if (children[which] > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    live();
    _exit(0);
}

/* Waits until something is so, for at most 20 seconds. */
#define UNTIL(what, condition)                                             \
    do {                                                                   \
        int rounds = 0;                                                    \
        while (!(condition))                                               \
            if (usleep(2000), ++rounds == 10000) fail("never seen: %s", what); \
    } while (0)

static int asleep(pid_t pid) {
    char path[40], text[200] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[got] = 0;
    char *end = strrchr(text, ')');
    return end && end[2] == 'S';
}

static void see_blocked(void) {
    UNTIL("a caller of semop", semaphores(set, TAKEN, GETNCNT, NULL) == 1);
    UNTIL("a caller of semtimedop", semaphores(set, TIMED, GETNCNT, NULL) == 1);
    UNTIL("a caller that waits for zero", semaphores(set, ZERO, GETZCNT, NULL) == 1);
    UNTIL("the partner wait", semaphores(gate, 0, GETNCNT, NULL) == 1);
    UNTIL("a blocked receiver", asleep(children[RECEIVER]));
    UNTIL("a blocked sender", asleep(children[SENDER]));
}
