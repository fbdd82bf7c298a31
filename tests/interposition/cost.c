/* What a call costs through the C library and through the preloaded one: nanoseconds, the best of many short rounds that
 * alternate between the two. Prints one line for each call: name, native, interposed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 200, ROUNDS = 4000 };

struct library {
  int (*semget)(key_t, int, int), (*semop)(int, struct sembuf *, size_t), (*semctl)(int, int, int, ...);
  int (*shmget)(key_t, size_t, int), (*shmctl)(int, int, void *);
  void *(*shmat)(int, const void *, int);
  int (*msgget)(key_t, int), (*msgsnd)(int, const void *, size_t, int), (*msgctl)(int, int, void *);
  ssize_t (*msgrcv)(int, void *, size_t, long, int);
  pid_t (*getpid)(void);
  int set, segment, queue;
};

static void load(struct library *of, void *from) {
#define LOAD(name) *(void **)&of->name = dlsym(from, #name)
  LOAD(semget), LOAD(semop), LOAD(semctl), LOAD(shmget), LOAD(shmctl), LOAD(shmat);
  LOAD(msgget), LOAD(msgsnd), LOAD(msgctl), LOAD(msgrcv), LOAD(getpid);
  of->set = of->semget(IPC_PRIVATE, 1, 0600);
  of->segment = of->shmget(IPC_PRIVATE, 4096, 0600);
  of->queue = of->msgget(IPC_PRIVATE, 0600);
}
static void unload(struct library *of) {
  of->semctl(of->set, 0, IPC_RMID);
  of->shmctl(of->segment, IPC_RMID, NULL);
  of->msgctl(of->queue, IPC_RMID, NULL);
}

static void call_semop(struct library *in) { in->semop(in->set, &(struct sembuf){0, 1, 0}, 1); }
static void call_messages(struct library *in) {
  struct { long type; char text[16]; } message = {1, "sixteen bytes"};
  in->msgsnd(in->queue, &message, 16, 0);
  in->msgrcv(in->queue, &message, 16, 0, 0);
}
static void call_shmat(struct library *in) { shmdt(in->shmat(in->segment, NULL, 0)); }
static void call_getpid(struct library *in) { in->getpid(); }

static double round_of(struct library *in, void (*call)(struct library *)) {
  struct timespec start, end;
  in->semctl(in->set, 0, SETVAL, 0);
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int i = 0; i < CALLS; i++) call(in);
  clock_gettime(CLOCK_MONOTONIC, &end);
  return ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / CALLS;
}

static void measure(const char *name, struct library *both, void (*call)(struct library *)) {
  double best[2] = {1e9, 1e9};
  for (int i = 0; i < 2 * ROUNDS; i++) {
    double took = round_of(&both[i % 2], call);
    if (took < best[i % 2]) best[i % 2] = took;
  }
  printf("%s %.1f %.1f\n", name, best[0], best[1]);
}

int main(void) {
  struct library both[2];
  load(&both[0], dlopen("libc.so.6", RTLD_NOW));
  load(&both[1], RTLD_DEFAULT);
  measure("semop", both, call_semop);
  measure("msgsnd+msgrcv", both, call_messages);
  measure("shmat+shmdt", both, call_shmat);
  measure("getpid", both, call_getpid);
  unload(&both[0]);
  unload(&both[1]);
  return 0;
}
