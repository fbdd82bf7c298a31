// Workers that make, use and remove System V objects of all kinds without a pause, and are killed at any moment of it: by
// whoever likes to, and by timers of their own, which are set for each call in turn. What is left must be in order.
//     churn KILLS     how many timers kill
// SIGTERM ends the workers and has their maker look at what there is ("quiet"); the next one has it removed ("pass").
#include "views.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define KEY 0x61080a00
#define WORKERS 3
#define MANY 4096

enum step { SEMGET, SEMOP, SEMCTL, SHMGET, SHMAT, SHMDT, SHMCTL, MSGGET, MSGSND, MSGRCV, MSGCTL, FIND, REMOVE, STEPS };

static struct board {
    volatile long rounds[WORKERS];
    volatile int over;
} *board;
static int common, slot;
/* The step at which a worker's timer is set. */
static enum step doomed = STEPS;
static timer_t doom;
static volatile sig_atomic_t told;

static void on_term(int number) {
    (void)number;
    told = 1;
    if (board) board->over = 1;
}

static void fail(const char *why, long detail) {
    printf("fail: %s %ld (errno %d)\n", why, detail, errno);
    fflush(stdout);
    kill(0, SIGKILL);
}

/* Says what comes next. The timer ends the process 0.2 us to 100 us later. */
static void at(enum step step) {
    if (step != doomed || board->rounds[slot] % 3 != 0) return;
    static const long most[] = {2000, 20000, 100000};
    struct itimerspec moment = {{0, 0}, {0, 200 + rand() % most[rand() % 3]}};
    if (timer_settime(doom, 0, &moment, NULL)) fail("timer_settime", step);
    doomed = STEPS;
}

static void use_set(void) {
    at(SEMGET);
    int set = semget(KEY + slot, 2, IPC_CREAT | 0600);
    if (set < 0) fail("semget", slot);
    at(SEMOP);
    struct sembuf both[] = {{0, 1, SEM_UNDO}, {1, 1, 0}};
    if (semop(set, both, 2) || operate(common, slot, 1, SEM_UNDO) || operate(common, slot, -1, SEM_UNDO)) fail("semop", set);
    at(SEMCTL);
    if (semaphores(set, 0, GETVAL, NULL) < 1) fail("the value of a semaphore", set);
    at(REMOVE);
    if (semaphores(set, 0, IPC_RMID, NULL)) fail("removing a set", set);
}

static void use_segment(void) {
    at(SHMGET);
    int segment = shmget(IPC_PRIVATE, 8192, 0600), keyed = shmget(KEY + slot, 4096, IPC_CREAT | 0600);
    if (segment < 0 || keyed < 0) fail("shmget", slot);
    at(SHMAT);
    volatile long *memory = shmat(segment, NULL, 0), *more = shmat(keyed, NULL, 0);
    if (memory == (void *)-1 || more == (void *)-1) fail("shmat", segment);
    *memory = *more = segment;
    at(SHMCTL);
    if (shmctl(segment, IPC_RMID, NULL)) fail("removing a segment", segment);
    at(SHMDT);
    if (*memory != segment || shmdt((void *)memory) || shmdt((void *)more)) fail("shmdt", segment);
    at(REMOVE);
    if (shmctl(keyed, IPC_RMID, NULL)) fail("removing a segment with a key", keyed);
}

static void use_queue(void) {
    struct {
        long type;
        long text;
    } message = {1 + slot, board->rounds[slot]};
    at(MSGGET);
    int queue = msgget(KEY + slot, IPC_CREAT | 0600);
    if (queue < 0) fail("msgget", slot);
    at(MSGSND);
    if (msgsnd(queue, &message, sizeof message.text, 0)) fail("msgsnd", queue);
    at(MSGRCV);
    if (msgrcv(queue, &message, sizeof message.text, 0, 0) != sizeof message.text) fail("msgrcv", queue);
    at(MSGCTL);
    union status status;
    if (control(MSG, queue, IPC_STAT, &status)) fail("msgctl", queue);
    at(FIND);
    if (msgget(KEY + slot, 0) != queue) fail("a key finds another queue", queue);
    at(REMOVE);
    if (control(MSG, queue, IPC_RMID, NULL)) fail("removing a queue", queue);
}

static pid_t start(int number, enum step end) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, SIG_IGN);
    slot = number, doomed = end;
    srand(getpid());
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    if (timer_create(CLOCK_MONOTONIC, &event, &doom)) fail("timer_create", number);
    for (; !board->over; board->rounds[slot]++) use_set(), use_segment(), use_queue();
    _exit(0);
}

/* Starts workers anew as they die, until told to end; those that died of anything but SIGKILL fail. */
static void keep(int kills) {
    pid_t workers[WORKERS];
    int started = 0, killed = 0;
    for (; started < WORKERS; started++) workers[started] = start(started, kills > 0 ? (enum step)(started % STEPS) : STEPS);
    while (!told) {
        int status;
        pid_t ended = waitpid(-1, &status, 0);
        if (ended < 0 || told) continue;
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) fail("a worker ended with", status);
        if (++killed == kills) puts("aimed");
        for (int i = 0; i < WORKERS; i++)
            if (workers[i] == ended) workers[i] = start(i, started < kills ? (enum step)(started % STEPS) : STEPS), started++;
    }
    while (wait(NULL) > 0) {}
}

/* Do all views of the objects agree? Returns how many objects there are. */
static int look(struct object *found, enum kind kind) {
    static struct object by_file[MANY];
    int count = list_by_index(kind, 0, found, MANY), lines = list_by_file(kind, by_file, MANY), agree = 0;
    for (int i = 0; i < count; i++) {
        union status status;
        if (control(kind, found[i].id, IPC_STAT, &status)) fail("an object that is listed is not there:", found[i].id);
        for (int j = 0; j < lines; j++) agree += by_file[j].id == found[i].id && by_file[j].key == found[i].key;
    }
    if (count != lines || agree != count || number_of(kind) != count) fail("views disagree on how many there are:", count);
    return count;
}

static void *attached[MANY];
static int attachments;

/* Tells what there is. Only root can capture a segment that nobody has attached (docs/limits.md). */
static void tell(void) {
    static struct object found[MANY];
    for (enum kind kind = 0; kind < KINDS; kind++) {
        int count = look(found, kind);
        for (int i = 0; i < count; i++) printf("own %s %d %d\n", names[kind], found[i].id, found[i].key);
        for (int i = 0; i < count && kind == SHM && geteuid() != 0; i++)
            if ((attached[attachments++] = shmat(found[i].id, NULL, 0)) == (void *)-1) fail("shmat", found[i].id);
    }
}

static void remove_all(void) {
    static struct object found[MANY];
    while (attachments > 0)
        if (shmdt(attached[--attachments])) fail("shmdt", attachments);
    for (enum kind kind = 0; kind < KINDS; kind++) {
        int count = look(found, kind);
        for (int i = 0; i < count; i++)
            if (control(kind, found[i].id, IPC_RMID, NULL)) fail("removing", found[i].id);
        if (look(found, kind) != 0) fail("objects that can not be removed of kind", kind);
    }
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    common = semget(IPC_PRIVATE, WORKERS, 0600);
    if (argc != 2 || board == MAP_FAILED || common < 0) return 2;
    // It interrupts waitpid(2).
    struct sigaction on = {.sa_handler = on_term};
    sigaction(SIGTERM, &on, NULL);
    puts("ready");
    keep(atoi(argv[1]));
    for (int i = 0; i < WORKERS; i++) {
        if (board->rounds[i] == 0) fail("no rounds of worker", i);
        if (semaphores(common, i, GETVAL, NULL) != 0) fail("SEM_UNDO left a debt of worker", i);
    }
    tell();
    sigset_t term, none;
    sigemptyset(&term), sigemptyset(&none);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    told = 0;
    // Only root can capture shared memory of this kind.
    munmap(board, sizeof *board);
    board = NULL;
    puts("quiet");
    while (!told) sigsuspend(&none);
    remove_all();
    puts("pass");
    while (told) sigsuspend(&none);
    return 0;
}
