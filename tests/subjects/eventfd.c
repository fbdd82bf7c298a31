// eventfd: count, semaphore manner, O_NONBLOCK and sharing by dup survive
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

static uint64_t take(int fd) {
  uint64_t value = 0;
  return read(fd, &value, sizeof value) == sizeof value ? value : 0;
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  int plain = eventfd(0, EFD_NONBLOCK);
  uint64_t big = 0x123456789abcdef0;
  if (write(plain, &big, sizeof big) != sizeof big) fail("set-up");
  int semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  int empty = eventfd(0, EFD_CLOEXEC);
  int copy = dup(empty);
  puts("ready");
  int signal;
  sigwait(&set, &signal);
  if (take(plain) != big) fail("count");
  if (take(plain) != 0 || errno != EAGAIN) fail("not empty after a read, or not O_NONBLOCK");
  if (take(semaphore) != 1 || take(semaphore) != 1 || take(semaphore) != 0) fail("semaphore");
  if (fcntl(empty, F_GETFL) & O_NONBLOCK) fail("blocking one became O_NONBLOCK");
  if (fcntl(empty, F_GETFD) != FD_CLOEXEC || fcntl(copy, F_GETFD) != 0) fail("close-on-exec");
  uint64_t one = 1;
  if (write(empty, &one, sizeof one) != sizeof one || take(copy) != 1) fail("copies are not one");
  puts("pass");
}
