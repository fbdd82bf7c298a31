// MADV_GUARD_INSTALL: guarded pages stay out of reach, their neighbours keep their contents, also locked and sealed
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GUARD_INSTALL 102
#define GUARD_REMOVE 103
#define PAGE 4096L

static int pipes[2];

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

static int reachable(const char *at) {
  char byte;
  if (write(pipes[1], at, 1) == 1) return read(pipes[0], &byte, 1) == 1;
  if (errno != EFAULT) fail("write");
  return 0;
}

static char *memory(void) {
  char *at = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(at, 7, 16 * PAGE);
  return at;
}

static void judge(const char *at, const char *name) {
  for (int page = 0; page < 16; page++) {
    int guarded = page == 0 || page == 4 || page == 5 || page == 15;
    if (reachable(at + page * PAGE) == guarded) fail(name);
    if (!guarded && at[page * PAGE] != 7) fail("contents");
  }
}

static void guard(char *at) {
  if (madvise(at, PAGE, GUARD_INSTALL) || madvise(at + 4 * PAGE, 2 * PAGE, GUARD_INSTALL) ||
      madvise(at + 15 * PAGE, PAGE, GUARD_INSTALL))
    fail("set-up");
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  if (pipe(pipes)) fail("pipe");
  char *plain = memory(), *locked = memory(), *constant = memory();
  int possible = !madvise(plain, PAGE, GUARD_INSTALL);
  if (possible) {
    guard(plain);
    guard(locked);
    guard(constant);
  }
  mlock(locked, 16 * PAGE);
  if (mprotect(constant, 16 * PAGE, PROT_READ)) fail("mprotect");

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  if (!possible) {
    puts("skipped: this kernel has no guard pages\npass");
    return 0;
  }
  judge(plain, "plain memory");
  judge(locked, "locked memory");
  judge(constant, "constant memory");
  if (madvise(plain, 16 * PAGE, GUARD_REMOVE)) fail("cannot be removed");
  if (!reachable(plain) || plain[0] != 0 || plain[PAGE] != 7) fail("after the removal");
  puts("pass");
  return 0;
}
