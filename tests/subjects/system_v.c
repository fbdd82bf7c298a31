// System V shared memory, semaphores and message queues keep ids, contents, attributes and last users.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (5 * 4096 + 100)

static volatile sig_atomic_t stopped;
static int kept, removed, partial, set, queue, idle;

static void on_term(int number) { (void)number; stopped = 1; }

static void clean(void) {
    shmctl(kept, IPC_RMID, NULL);
    shmctl(removed, IPC_RMID, NULL);
    shmctl(partial, IPC_RMID, NULL);
    semctl(set, 0, IPC_RMID);
    msgctl(queue, IPC_RMID, NULL);
    msgctl(idle, IPC_RMID, NULL);
}

static void fail(const char *why) {
    printf("fail: %s\n", why);
    clean();
    exit(1);
}

struct message { long kind; char text[64]; };

static void send(int to, long kind, const char *text) {
    struct message message = {kind, ""};
    strcpy(message.text, text);
    if (msgsnd(to, &message, strlen(text), 0)) fail("msgsnd");
}

static void expect(long kind, long found_kind, const char *text) {
    struct message message;
    ssize_t got = msgrcv(queue, &message, sizeof message.text, kind, IPC_NOWAIT);
    if (got < 0 || message.kind != found_kind || strlen(text) != (size_t)got || memcmp(message.text, text, got))
        fail("a message differs");
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGTERM, on_term);
    key_t key = 0x57000000 | (getpid() & 0xffffff);
    kept = shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0640);
    removed = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    partial = shmget(IPC_PRIVATE, 4 * 4096, IPC_CREAT | 0600);
    set = semget(key, 3, IPC_CREAT | IPC_EXCL | 0606);
    queue = msgget(key, IPC_CREAT | IPC_EXCL | 0600);
    idle = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    if (kept < 0 || removed < 0 || partial < 0 || set < 0 || queue < 0 || idle < 0) fail("set-up");
    char *writing = shmat(kept, NULL, 0), *reading = shmat(kept, NULL, SHM_RDONLY);
    int *gone = shmat(removed, NULL, 0);
    char *part = shmat(partial, NULL, 0);
    if (writing == (void *)-1 || reading == (void *)-1 || gone == (void *)-1 || part == (void *)-1) fail("shmat");
    shmctl(removed, IPC_RMID, NULL);
    strcpy(writing + 4 * 4096, "fifth page");
    *gone = 77;
    for (int page = 0; page < 4; page++) part[page * 4096] = 'a' + page;
    munmap(part, 4096);
    mprotect(part + 2 * 4096, 4096, PROT_READ);
    semctl(set, 0, SETVAL, 4);
    pid_t child = fork();
    if (child == 0) {
        semctl(set, 1, SETVAL, 9);
        struct sembuf wait = {2, -1, 0};
        while (semop(set, &wait, 1)) {}
        if (strcmp(reading + 4 * 4096, "changed")) _exit(2);
        *gone = 78;
        _exit(0);
    }
    while (semctl(set, 1, GETVAL) != 9) usleep(1000);
    struct sembuf touch[2] = {{0, 1, 0}, {0, -1, 0}};
    semop(set, touch, 2);
    send(queue, 5, "five");
    send(queue, 3, "three");
    send(queue, 5, "");
    send(queue, 7, "seven");
    send(idle, 1, "x");
    struct message drop;
    msgrcv(idle, &drop, sizeof drop.text, 0, 0);
    puts("ready");
    sigset_t none;
    sigemptyset(&none);
    while (!stopped) sigsuspend(&none);

    struct shmid_ds segment;
    struct semid_ds semaphores;
    struct msqid_ds messages;
    if (shmctl(kept, IPC_STAT, &segment) || segment.shm_segsz != SIZE || (segment.shm_perm.mode & 0777) != 0640)
        fail("the segment's attributes differ");
    if (segment.shm_perm.__key != key || segment.shm_cpid != getpid() || segment.shm_nattch != 4)
        fail("key, maker or attachments of the segment differ");
    if (strcmp(reading + 4 * 4096, "fifth page") || *gone != 77) fail("contents of a segment differ");
    if (part[4096] != 'b' || part[2 * 4096] != 'c' || part[3 * 4096] != 'd') fail("a partly attached segment differs");
    if (mprotect(part + 2 * 4096, 4096, PROT_READ | PROT_WRITE)) fail("a segment can not be made writable");
    if (mprotect(reading, 4096, PROT_READ | PROT_WRITE) == 0) fail("a read-only segment can be made writable");
    if (semctl(set, 0, GETVAL) != 4 || semctl(set, 1, GETVAL) != 9) fail("values of semaphores differ");
    if (semctl(set, 0, GETPID) != getpid() || semctl(set, 1, GETPID) != child) fail("users of semaphores differ");
    if (semctl(set, 0, IPC_STAT, &semaphores) || semaphores.sem_otime == 0 || (semaphores.sem_perm.mode & 0777) != 0606)
        fail("attributes of the semaphores differ");
    strcpy(writing + 4 * 4096, "changed");
    struct sembuf wake = {2, 1, 0};
    if (semop(set, &wake, 1)) fail("semop");
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) fail("the child did not wake or saw other memory");
    if (*gone != 78) fail("a removed segment is not shared");
    if (msgctl(queue, IPC_STAT, &messages) || messages.msg_qnum != 4 || messages.msg_lspid != getpid()) fail("the queue differs");
    if (messages.msg_lrpid != 0) fail("the queue has a receiver that never was");
    expect(3, 3, "three");
    expect(0, 5, "five");
    expect(0, 5, "");
    expect(0, 7, "seven");
    if (msgctl(idle, IPC_STAT, &messages) || messages.msg_qnum != 0 || messages.msg_lrpid != getpid()) fail("the empty queue differs");
    shmdt(gone);
    if (shmctl(removed, IPC_STAT, &segment) == 0) fail("a removed segment outlives its users");
    clean();
    puts("pass");
    return 0;
}
