// pidfd: of a live child, of itself, of a zombie and of processes that were waited for
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

static int of(pid_t pid) {
  int fd = syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) fail("pidfd_open");
  return fd;
}

static int send_to(int fd, int signal) { return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0); }

static int is_readable(int fd, int ms) {
  struct pollfd poller = {.fd = fd, .events = POLLIN};
  return poll(&poller, 1, ms) == 1 && poller.revents & POLLIN;
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  pid_t live = fork();
  if (live == 0)
    for (;;) pause();
  pid_t zombie = fork();
  if (zombie == 0) _exit(7);
  pid_t dead = fork();
  if (dead == 0) _exit(3);
  int live_fd = of(live), zombie_fd = of(zombie), dead_fd = of(dead), dead_too = of(dead), own = of(getpid());
  waitpid(dead, NULL, 0);
  siginfo_t info;
  waitid(P_PID, zombie, &info, WEXITED | WNOWAIT);
  puts("ready");
  int signal;
  sigwait(&set, &signal);
  struct stat a, b;
  if (fstat(dead_fd, &a) || fstat(dead_too, &b) || a.st_ino != b.st_ino) fail("one process became two");
  if (!is_readable(dead_fd, 0) || send_to(dead_fd, 0) == 0) fail("dead process");
  if (send_to(own, 0)) fail("own process");
  if (!is_readable(zombie_fd, 0) || waitid(P_PIDFD, zombie_fd, &info, WEXITED) || info.si_status != 7) fail("zombie");
  if (is_readable(live_fd, 0) || send_to(live_fd, SIGKILL)) fail("live child");
  if (!is_readable(live_fd, 5000) || waitid(P_PIDFD, live_fd, &info, WEXITED) || info.si_status != SIGKILL)
    fail("end of the child");
  puts("pass");
}
