// files of threads and descriptors in /proc, and pidfds of threads: there after a restore, at their place
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIDFD_THREAD O_EXCL

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

static volatile int tid, end;

static void *worker(void *unused) {
  prctl(PR_SET_NAME, "worker");
  tid = (int)syscall(SYS_gettid);
  while (!end) usleep(1000);
  return unused;
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, worker, NULL);
  while (!tid) usleep(1000);

  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
  int name = open(path, O_RDONLY), same = dup2(name, 200);
  if (name < 0 || same != 200 || read(name, text, 3) != 3) fail("set-up");
  snprintf(path, sizeof path, "/proc/self/task/%d", tid);
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int pipes[2];
  if (pipe(pipes) || fcntl(pipes[1], F_SETFL, O_NONBLOCK)) fail("pipe");
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pipes[1]);
  int info = open(path, O_RDONLY);
  int pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
  if (folder < 0 || info < 0) fail("set-up");

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  if (read(same, text, sizeof text) != 4 || memcmp(text, "ker\n", 4)) fail("the thread's name, or where it was read");
  if (fcntl(folder, F_GETFD) != FD_CLOEXEC) fail("close-on-exec");
  int within = openat(folder, "comm", O_RDONLY);
  if (within < 0 || read(within, text, sizeof text) != 7) fail("the thread's folder");
  ssize_t length = read(info, text, sizeof text - 1);
  if (length <= 0) fail("fdinfo");
  text[length] = 0;
  if (!strstr(text, "flags:\t04001")) fail("fdinfo of another descriptor");
  struct pollfd ended = {.fd = pidfd, .events = POLLIN};
  if (pidfd >= 0 && poll(&ended, 1, 0) != 0) fail("the thread has ended");
  end = 1;
  pthread_join(thread, NULL);
  if (pidfd >= 0 && poll(&ended, 1, 5000) != 1) fail("the end of the thread");
  puts("pass");
  return 0;
}
