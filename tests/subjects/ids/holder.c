// Holds System V objects of all kinds, with callers blocked in them, and finds every id, key and value as it was.
//     holder undo|no-undo SEM SHM MSG KEY     ids and a key that belong to somebody else
#include "views.h"
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define KEY 0x61040a17
#define SIZE (3 * 4096 + 50)
#define MANY 64
#define FULL 64

enum number { VALUE, TAKEN, TIMED, ZERO, RAISED, LOWERED, NUMBERS };
enum child { TAKER, TIMER, ZEROER, RECEIVER, SENDER, PARTNER, DEBTOR, CHILDREN };

static struct object owned[MANY];
static char before[MANY][400];
static int owned_count;
static int set, gate, segment, marked, loose, queue, closed, full;
static pid_t main_pid, children[CHILDREN];
static char *const in_main = (char *)0x610000000000, *const marked_in_main = (char *)0x610000200000;
static char *const in_partner = (char *)0x620000000000, *const marked_in_partner = (char *)0x620000200000;
/* Nobody has this one attached, unless root alone can capture that (docs/limits.md). */
static char *looking;
static volatile sig_atomic_t told;

struct message {
    long type;
    char text[FULL];
};

static void on_term(int number) { (void)number, told = 1; }

static void fail(const char *why, ...) {
    char text[2048];
    va_list arguments;
    int error = errno;
    va_start(arguments, why);
    vsnprintf(text, sizeof text, why, arguments);
    va_end(arguments);
    printf("fail: %s (errno %d)\n", text, error);
    fflush(stdout);
    if (getpid() != main_pid) _exit(1);
    for (int i = 0; i < CHILDREN; i++)
        if (children[i] > 0) kill(children[i], SIGKILL);
    for (int i = 0; i < owned_count; i++) control(owned[i].kind, owned[i].id, IPC_RMID, NULL);
    exit(1);
}

static int own(enum kind kind, int id, key_t key) {
    if (id < 0) fail("cannot create %s with key %#x", names[kind], (unsigned)key);
    for (int i = 0; i < owned_count; i++)
        if (owned[i].kind == kind && owned[i].id == id) fail("%s %d was given twice", names[kind], id);
    owned[owned_count++] = (struct object){kind, id, key};
    return id;
}

static void send(int to, long type, const char *text) {
    struct message message = {type, ""};
    strcpy(message.text, text);
    if (msgsnd(to, &message, strlen(text), 0)) fail("msgsnd");
}

static void expect(int from, long wanted, long type, const char *text) {
    struct message message;
    ssize_t got = msgrcv(from, &message, FULL, wanted, IPC_NOWAIT);
    if (got < 0 || message.type != type || (size_t)got != strlen(text) || memcmp(message.text, text, got))
        fail("a message of type %ld is not \"%s\"", wanted, text);
}

#include "callers.h"

static void create(void) {
    set = own(SEM, semget(KEY, NUMBERS, IPC_CREAT | IPC_EXCL | 0640), KEY);
    gate = own(SEM, semget(IPC_PRIVATE, 2, 0600), IPC_PRIVATE);
    segment = own(SHM, shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0606), KEY);
    // Its key is free as soon as it is marked for removal.
    marked = own(SHM, shmget(KEY + 3, 4096, IPC_CREAT | IPC_EXCL | 0600), IPC_PRIVATE);
    loose = own(SHM, shmget(KEY + 1, 2 * 4096, IPC_CREAT | 0600), KEY + 1);
    queue = own(MSG, msgget(KEY, IPC_CREAT | IPC_EXCL | 0622), KEY);
    closed = own(MSG, msgget(IPC_PRIVATE, 0600), IPC_PRIVATE);
    full = own(MSG, msgget(KEY + 2, IPC_CREAT | 0600), KEY + 2);
    unsigned short values[NUMBERS] = {[VALUE] = 4, [ZERO] = 1, [RAISED] = 10, [LOWERED] = 5};
    if (semaphores(set, 0, SETALL, values)) fail("SETALL");
    if (shmat(segment, in_main, 0) != in_main || shmat(marked, marked_in_main, 0) != marked_in_main) fail("shmat");
    looking = shmat(loose, NULL, 0);
    if (looking == (void *)-1) fail("shmat");
    strcpy(looking + 4096, "nobody looks");
    if (geteuid() == 0 && shmdt(looking)) fail("shmdt");
    strcpy(in_main + 2 * 4096, "to be changed");
    strcpy(marked_in_main, "still here");
    send(queue, 5, "five");
    send(queue, 3, "three");
    send(queue, 5, "");
    send(queue, 7, "seven");
    union status limits;
    if (control(MSG, full, IPC_STAT, &limits)) fail("IPC_STAT");
    limits.msg.msg_qbytes = FULL;
    if (control(MSG, full, IPC_SET, &limits)) fail("IPC_SET");
    char text[FULL + 1] = "";
    memset(text, 'x', FULL - 3);
    send(full, 1, text);
}

static int same(const struct object *found, int count, enum kind kind) {
    int mine = 0, seen = 0;
    for (int i = 0; i < owned_count; i++) {
        if (owned[i].kind != kind) continue;
        mine++;
        for (int j = 0; j < count; j++) seen += found[j].id == owned[i].id && found[j].key == owned[i].key;
    }
    return count == mine && seen == mine;
}

static void check_views(const char *when) {
    struct object found[MANY];
    for (enum kind kind = 0; kind < KINDS; kind++) {
        for (int any = 0; any < 2; any++)
            if (!same(found, list_by_index(kind, any, found, MANY), kind)) fail("indexes of %s differ %s", names[kind], when);
        if (!same(found, list_by_file(kind, found, MANY), kind)) fail("/proc/sysvipc/%s differs %s", names[kind], when);
        int count = number_of(kind), mine = 0;
        for (int i = 0; i < owned_count; i++) mine += owned[i].kind == kind;
        if (count != mine) fail("%d of %s are counted instead of %d %s", count, names[kind], mine, when);
    }
}

static void check_keys(void) {
    if (semget(KEY, 0, 0) != set || shmget(KEY, 0, 0) != segment || msgget(KEY, 0) != queue) fail("a key finds another id");
    if (shmget(KEY + 1, 100, IPC_CREAT) != loose || msgget(KEY + 2, IPC_CREAT) != full) fail("a second key finds another id");
    errno = 0;
    if (semget(KEY, 1, IPC_CREAT | IPC_EXCL) != -1 || errno != EEXIST) fail("a key of a set is free");
    if (shmget(KEY, 1, IPC_CREAT | IPC_EXCL) != -1 || errno != EEXIST) fail("a key of a segment is free");
    if (msgget(KEY, IPC_CREAT | IPC_EXCL) != -1 || errno != EEXIST) fail("a key of a queue is free");
    if (shmget(KEY + 3, 0, 0) != -1 || errno != ENOENT) fail("a segment that is marked for removal has its key");
    if (shmget(KEY, SIZE + 4096, 0) != -1 || errno != EINVAL) fail("a segment is larger than it was");
}

static void check_strangers(char **ids) {
    union status status;
    key_t key = (key_t)strtol(ids[3], NULL, 0);
    for (enum kind kind = 0; kind < KINDS; kind++) {
        errno = 0;
        if (control(kind, atoi(ids[kind]), IPC_STAT, &status) != -1 || errno != EINVAL)
            fail("%s %s of somebody else is there", names[kind], ids[kind]);
    }
    errno = 0;
    if (semget(key, 0, 0) != -1 || errno != ENOENT) fail("the key of somebody else's set is there");
    if (shmget(key, 0, 0) != -1 || errno != ENOENT) fail("the key of somebody else's segment is there");
    if (msgget(key, 0) != -1 || errno != ENOENT) fail("the key of somebody else's queue is there");
}

static void remember(void) {
    for (int i = 0; i < owned_count; i++)
        if (describe(owned[i], before[i], sizeof before[i]) < 0) fail("IPC_STAT of %s", names[owned[i].kind]);
}

static void check_attributes(void) {
    char now[400];
    for (int i = 0; i < owned_count; i++) {
        if (describe(owned[i], now, sizeof now) < 0) fail("IPC_STAT of %s %d", names[owned[i].kind], owned[i].id);
        if (strcmp(now, before[i])) fail("%s %d was \"%s\", is \"%s\"", names[owned[i].kind], owned[i].id, before[i], now);
    }
}

static void ends_well(enum child which, const char *what) {
    int status;
    if (waitpid(children[which], &status, 0) != children[which]) fail("waitpid for %s", what);
    children[which] = 0;
    if (status != 0) fail("%s ended with %#x", what, status);
}

static void wake(void) {
    if (operate(set, TAKEN, 1, 0) || operate(set, TIMED, 1, 0) || operate(set, ZERO, -1, 0)) fail("semop that wakes");
    ends_well(TAKER, "the caller of semop");
    ends_well(TIMER, "the caller of semtimedop");
    ends_well(ZEROER, "the caller that waits for zero");
    send(closed, 41, "not this");
    send(closed, 42, "late");
    ends_well(RECEIVER, "the receiver");
    struct message first;
    if (msgrcv(full, &first, FULL, 1, 0) != FULL - 3) fail("the message in the full queue");
    ends_well(SENDER, "the sender");
    expect(full, 0, 2, "overdue");
    expect(closed, 0, 41, "not this");
}

static void use_memory(void) {
    if (strcmp(in_main + 2 * 4096, "to be changed") || strcmp(marked_in_main, "still here")) fail("contents of a segment differ");
    char *again = shmat(loose, NULL, SHM_RDONLY), *second = shmat(segment, NULL, 0);
    if (again == (void *)-1 || second == (void *)-1) fail("shmat");
    if (strcmp(again + 4096, "nobody looks")) fail("contents of a segment that nobody has attached differ");
    strcpy(second + 2 * 4096, "from main");
    if (shmdt(again) || shmdt(second)) fail("shmdt");
    if (operate(gate, 0, 1, 0)) fail("semop to the partner");
    ends_well(PARTNER, "the partner");
    if (strcmp(in_main, "from partner")) fail("memory is not shared any more");
}

static void use_messages(void) {
    expect(queue, 3, 3, "three");
    expect(queue, -6, 5, "five");
    expect(queue, 0, 5, "");
    expect(queue, 0, 7, "seven");
}

static void settle_debt(int undone) {
    kill(children[DEBTOR], SIGKILL);
    int status;
    waitpid(children[DEBTOR], &status, 0);
    children[DEBTOR] = 0;
    int raised = semaphores(set, RAISED, GETVAL, NULL), lowered = semaphores(set, LOWERED, GETVAL, NULL);
    if (undone && (raised != 10 || lowered != 5)) fail("SEM_UNDO left %d and %d instead of 10 and 5", raised, lowered);
}

/* New objects get ids that nobody has; when they are gone, all is as before. */
static void make_more(void) {
    int kept = owned_count;
    for (int round = 0; round < 3; round++) {
        own(SEM, semget(IPC_PRIVATE, 3, 0600), IPC_PRIVATE);
        own(SHM, shmget(KEY + 10 + round, 4096, IPC_CREAT | IPC_EXCL | 0600), KEY + 10 + round);
        own(MSG, msgget(IPC_PRIVATE, 0600), IPC_PRIVATE);
    }
    check_views("with new objects");
    send(owned[owned_count - 1].id, 1, "new");
    expect(owned[owned_count - 1].id, 0, 1, "new");
    while (owned_count > kept) {
        struct object *last = &owned[--owned_count];
        if (control(last->kind, last->id, IPC_RMID, NULL)) fail("IPC_RMID");
        union status status;
        if (control(last->kind, last->id, IPC_STAT, &status) != -1 || errno != EINVAL) fail("a removed id is there");
    }
    if (shmget(KEY + 10, 0, 0) != -1 || errno != ENOENT) fail("the key of a removed segment is there");
    check_views("without new objects");
}

static void leave(void) {
    union status status;
    if (shmdt(marked_in_main) || shmdt(in_main) || (geteuid() != 0 && shmdt(looking))) fail("shmdt");
    if (shmdt(in_main) != -1 || errno != EINVAL) fail("a segment can be detached twice");
    if (control(SHM, marked, IPC_STAT, &status) != -1 || errno != EINVAL) fail("a segment outlives its mark and its users");
    for (int i = 0; i < owned_count; i++)
        if (owned[i].id != marked || owned[i].kind != SHM)
            if (control(owned[i].kind, owned[i].id, IPC_RMID, NULL)) fail("IPC_RMID of %s", names[owned[i].kind]);
    owned_count = 0;
    check_views("at the end");
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    main_pid = getpid();
    if (argc != 6) return 2;
    sigset_t term, none;
    sigemptyset(&term), sigemptyset(&none);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGTERM, on_term);
    check_views("at the start");
    check_strangers(argv + 2);
    create();
    start(TAKER, take_one), start(TIMER, take_in_time), start(ZEROER, wait_for_zero);
    start(RECEIVER, receive_late), start(SENDER, send_late), start(PARTNER, be_partner), start(DEBTOR, owe);
    if (operate(gate, 1, -1, 0)) fail("semop for the partner");
    UNTIL("the debt", semaphores(set, LOWERED, GETVAL, NULL) == 3);
    if (shmctl(marked, IPC_RMID, NULL)) fail("IPC_RMID");
    see_blocked();
    check_views("before"), check_keys(), remember();
    for (int i = 0; i < owned_count; i++) printf("own %s %d %d\n", names[owned[i].kind], owned[i].id, owned[i].key);
    puts("ready");
    while (!told) sigsuspend(&none);

    see_blocked();
    check_attributes(), check_views("after"), check_keys(), check_strangers(argv + 2);
    make_more(), wake(), use_memory(), use_messages();
    settle_debt(strcmp(argv[1], "undo") == 0);
    leave();
    puts("pass");
    return 0;
}
