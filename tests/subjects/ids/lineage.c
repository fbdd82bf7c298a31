// One application whose processes come about in every way there is: each finds the others' semaphore set by its key.
//     lineage [SETUID]     SETUID is a copy of this program that runs as its owner
#include "views.h"
#include <signal.h>
#include <sys/wait.h>

#define KEY 0x61070a17
enum way { EXEC, VFORK, DAEMON, SETUID, WAYS };
static const char *const ways[] = {"exec", "vfork", "daemon", "setuid"};

static volatile sig_atomic_t told;
static void on_term(int number) { (void)number, told = 1; }

static int say(const char *way, const char *what) {
    printf("fail: %s: %s (errno %d)\n", way, what, errno);
    return 1;
}

/* Semaphore WAY is given to each process in turn, semaphore WAYS takes its answers. */
static int visit(const char *way, int number) {
    int set = semget(KEY, 0, 0);
    if (set < 0) return say(way, "the key finds nothing");
    printf("found %s %d\n", way, set);
    if (operate(set, WAYS, 1, 0)) return say(way, "semop");
    if (operate(set, number, -1, 0)) return say(way, "a blocked semop");
    if (semget(KEY, 0, 0) != set) return say(way, "the key finds another id");
    if (operate(set, WAYS, 1, 0)) return say(way, "semop after the restore");
    return 0;
}

static void run(enum way way, const char *program) {
    char number[4];
    snprintf(number, sizeof number, "%d", way);
    execl(program, program, ways[way], number, NULL);
    _exit(say(ways[way], "execl"));
}

static void start(enum way way, const char *program) {
    if (way == VFORK) {
        if (vfork() == 0) run(way, "/proc/self/exe");
        return;
    }
    if (fork() != 0) return;
    if (way == DAEMON) {
        // Nobody's child in a session of its own.
        if (fork() != 0) _exit(0);
        if (setsid() < 0 || chdir("/") || fork() != 0) _exit(0);
    }
    if (way == SETUID && getuid() == 0 && (setgid(65534) || setuid(65534))) _exit(say("setuid", "giving up root"));
    run(way, program);
}

static int wait_for_all(int set, int ways) {
    struct sembuf all = {WAYS, -ways, 0};
    struct timespec limit = {20, 0};
    return semtimedop(set, &all, 1, &limit);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 3) return visit(argv[1], atoi(argv[2]));
    /* A setuid program loads no library: who has only that to see calls by names none. */
    int used = argc == 2 ? WAYS : SETUID;
    sigset_t term, none;
    sigemptyset(&term), sigemptyset(&none);
    sigaddset(&term, SIGTERM);
    signal(SIGTERM, on_term);
    int set = semget(KEY, WAYS + 1, IPC_CREAT | IPC_EXCL | 0666);
    if (set < 0) return say("first", "semget");
    for (enum way way = 0; (int)way < used; way++) start(way, way == SETUID ? argv[1] : argv[0]);
    if (wait_for_all(set, used)) return say("first", "not all came");
    printf("found first %d\n", set);
    sigprocmask(SIG_BLOCK, &term, NULL);
    puts("ready");
    while (!told) sigsuspend(&none);
    for (int way = 0; way < used; way++) operate(set, way, 1, 0);
    int result = wait_for_all(set, used) ? say("first", "not all came after the restore") : 0;
    semaphores(set, 0, IPC_RMID, NULL);
    if (result == 0) puts("pass");
    return result;
}
