// shared memory that is reached through mappings alone: anonymous, a memory file, semaphores with and without a name
#define _GNU_SOURCE
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

static char *shared(int fd, size_t length) {
  char *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
  if (at == MAP_FAILED) fail("mmap");
  return at;
}

// A file of three pages and a half, mapped with a page beyond its end.
static char *memory_file(void) {
  int fd = memfd_create("closed", MFD_CLOEXEC);
  if (ftruncate(fd, 3 * PAGE + PAGE / 2)) fail("ftruncate");
  char *at = shared(fd, 5 * PAGE);
  close(fd);
  strcpy(at + 2 * PAGE, "third page");
  return at;
}

static sem_t *semaphore(const char *name, unsigned value) {
  sem_unlink(name);
  sem_t *made = sem_open(name, O_CREAT | O_EXCL, 0600, value);
  if (made == SEM_FAILED) fail("sem_open");
  return made;
}

// The child holds the second half of the anonymous memory, which the parent does not, and answers through it.
static void serve(char *half, char *whole_of_parent, sem_t *asked, sem_t *answered) {
  munmap(whole_of_parent, 2 * PAGE);
  for (;;) {
    if (sem_wait(asked)) continue;
    half[PAGE]++;
    sem_post(answered);
  }
}

static sem_t *asked;

static int value(sem_t *of) {
  int now = -1;
  sem_getvalue(of, &now);
  return now;
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);

  char kept[64], gone[64];
  snprintf(kept, sizeof kept, "/stasis-kept-%d", getpid());
  snprintf(gone, sizeof gone, "/stasis-gone-%d", getpid());
  sem_t *named = semaphore(kept, 5);
  asked = semaphore(gone, 0);
  sem_unlink(gone);
  sem_t *answered = semaphore(gone, 0);
  sem_unlink(gone);
  char *anonymous = shared(-1, 4 * PAGE);
  strcpy(anonymous, "first half");
  anonymous[3 * PAGE] = 1;
  char *file = memory_file();

  pid_t child = fork();
  if (child == 0) serve(anonymous + 2 * PAGE, anonymous, asked, answered);
  munmap(anonymous + 2 * PAGE, 2 * PAGE);

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  if (strcmp(anonymous, "first half")) fail("anonymous memory");
  if (strcmp(file + 2 * PAGE, "third page") || file[0]) fail("memory file");
  sem_post(asked);
  while (sem_wait(answered)) {}
  if (value(asked) != 0) fail("the child answers another semaphore");
  sem_t *again = sem_open(kept, 0);
  if (again == SEM_FAILED || value(again) != 5) fail("semaphore by its name");
  sem_post(again);
  if (value(named) != 6) fail("the semaphore is not the one of that name");
  sem_unlink(kept);
  int beyond[2];
  if (pipe(beyond) || write(beyond[1], file + 4 * PAGE, 1) != -1) fail("the memory file has grown");
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  puts("pass");
}
