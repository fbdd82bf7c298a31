// How many nanoseconds calls take that bear System V ids, and one that bears a pid: the least of several batches.
//     calls BATCHES SIZE     prints one line for each call, "NAME NANOSECONDS"
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

static int set, segment, queue;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void call_semop(void) {
    // Up and down by turns, so that it never waits.
    static short change = 1;
    struct sembuf one = {0, change, 0};
    if (semop(set, &one, 1)) fail("semop");
    change = (short)-change;
}

static void call_msg(void) {
    static struct {
        long type;
        char text[64];
    } message = {1, ""};
    if (msgsnd(queue, &message, sizeof message.text, 0)) fail("msgsnd");
    if (msgrcv(queue, &message, sizeof message.text, 0, 0) != sizeof message.text) fail("msgrcv");
}

static void call_shm(void) {
    void *memory = shmat(segment, NULL, 0);
    if (memory == (void *)-1 || shmdt(memory)) fail("shmat and shmdt");
}

static void call_getpid(void) { getpid(); }

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static void measure(const char *name, void (*call)(void), int batches, int size) {
    double least = 1e18;
    for (int warm = 0; warm < size / 4; warm++) call();
    for (int batch = 0; batch < batches; batch++) {
        double start = now();
        for (int i = 0; i < size; i++) call();
        double each = (now() - start) / size;
        if (each < least) least = each;
    }
    printf("%s %.1f\n", name, least);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int batches = atoi(argv[1]), size = atoi(argv[2]);
    set = semget(IPC_PRIVATE, 1, 0600);
    segment = shmget(IPC_PRIVATE, 4096, 0600);
    queue = msgget(IPC_PRIVATE, 0600);
    if (set < 0 || segment < 0 || queue < 0) fail("creating objects");
    measure("semop", call_semop, batches, size);
    measure("msgsnd+msgrcv", call_msg, batches, size);
    measure("shmat+shmdt", call_shm, batches, size);
    measure("getpid", call_getpid, batches, size);
    semctl(set, 0, IPC_RMID);
    shmctl(segment, IPC_RMID, NULL);
    msgctl(queue, IPC_RMID, NULL);
    return 0;
}
