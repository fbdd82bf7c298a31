// epoll: numbers that were closed or used again, edge-triggered, spent one-shot, exclusive, nested and signalfd watches
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

static void add(int ep, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl in set-up");
}

static void bump(int fd) {
  uint64_t one = 1;
  if (write(fd, &one, sizeof one) != sizeof one) fail("write to an eventfd");
}

// How many times `data` comes up among the events that are ready now; -1 for any other data.
static int ready(int ep, uint64_t data, uint32_t *events) {
  struct epoll_event got[16];
  int n = epoll_wait(ep, got, 16, 0), count = 0;
  for (int i = 0; i < n; i++) {
    if (got[i].data.u64 != data) return -1;
    *events = got[i].events;
    count++;
  }
  return count;
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  uint32_t events = 0;

  // Two files under one number that now belongs to a third.
  int twins = epoll_create1(0), pipes[2][2];
  for (int i = 0; i < 2; i++) {
    if (pipe(pipes[i])) fail("pipe");
    dup2(pipes[i][0], 700);
    add(twins, 700, EPOLLIN, 70 + i);
  }
  dup2(1, 700);

  int edge = epoll_create1(EPOLL_CLOEXEC), counter = eventfd(0, 0);
  add(edge, counter, EPOLLIN | EPOLLET, 0xdeadbeefcafe);

  int once = epoll_create1(0), shot = eventfd(1, 0);
  add(once, shot, EPOLLIN | EPOLLONESHOT, 5);
  if (ready(once, 5, &events) != 1) fail("one-shot in set-up");

  int exclusive = epoll_create1(0), shared = eventfd(0, 0);
  add(exclusive, shared, EPOLLIN | EPOLLEXCLUSIVE, 6);

  int outer = epoll_create1(0), inner = epoll_create1(0), deep = eventfd(0, 0);
  add(outer, inner, EPOLLIN, 7);
  add(inner, deep, EPOLLIN, 8);

  sigset_t user;
  sigemptyset(&user);
  sigaddset(&user, SIGUSR1);
  int signals = epoll_create1(0), sfd = signalfd(-1, &user, SFD_NONBLOCK);
  add(signals, sfd, EPOLLIN, 9);

  puts("ready");
  int signal;
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigwait(&term, &signal);

  if (ready(twins, 0, &events) || ready(edge, 0, &events) || ready(exclusive, 0, &events)) fail("event from nowhere");
  for (int i = 0; i < 2; i++) {
    char byte = 'x';
    if (write(pipes[i][1], &byte, 1) != 1) fail("write to a pipe");
    if (ready(twins, 70 + i, &events) != 1) fail("watch of a number that was used again");
    if (read(pipes[i][0], &byte, 1) != 1) fail("read from a pipe");
  }
  bump(counter);
  if (ready(edge, 0xdeadbeefcafe, &events) != 1 || events != EPOLLIN) fail("edge");
  if (ready(edge, 0xdeadbeefcafe, &events) != 0) fail("edge became level");

  bump(shot);
  if (ready(once, 5, &events) != 0) fail("a spent one-shot watch fired again");
  struct epoll_event again = {.events = EPOLLIN, .data.u64 = 55};
  if (epoll_ctl(once, EPOLL_CTL_MOD, shot, &again) || ready(once, 55, &events) != 1) fail("arming a one-shot again");

  bump(shared);
  if (ready(exclusive, 6, &events) != 1) fail("exclusive");
  if (!epoll_ctl(exclusive, EPOLL_CTL_MOD, shared, &again)) fail("exclusive watch can be modified");

  bump(deep);
  if (ready(outer, 7, &events) != 1 || ready(inner, 8, &events) != 1) fail("nested");

  // The waiter must be woken, not only find it when it looks: a child that looks at nothing sends the signal late.
  if (fork() == 0) {
    usleep(100000);
    kill(getppid(), SIGUSR1);
    _exit(0);
  }
  struct epoll_event got;
  if (epoll_wait(signals, &got, 1, 5000) != 1 || got.data.u64 != 9) fail("signalfd does not wake its epoll");
  struct signalfd_siginfo info;
  if (read(sfd, &info, sizeof info) != sizeof info || info.ssi_signo != SIGUSR1) fail("signalfd");
  puts("pass");
}
