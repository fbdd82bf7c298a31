// timerfd: what is left, interval, expirations unread, absolute times and cancel-on-set survive
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

static uint64_t take(int fd) {
  uint64_t value = 0;
  return read(fd, &value, sizeof value) == sizeof value ? value : 0;
}

static int arm(int clock, int flags, time_t in, time_t interval) {
  int fd = timerfd_create(clock, TFD_NONBLOCK);
  struct itimerspec setting = {.it_value = {in, 0}, .it_interval = {interval, 0}};
  if (flags & TFD_TIMER_ABSTIME) {
    struct timespec now;
    clock_gettime(clock, &now);
    setting.it_value.tv_sec += now.tv_sec;
  }
  if (timerfd_settime(fd, flags, &setting, NULL)) fail("timerfd_settime");
  return fd;
}

static double left(int fd) {
  struct itimerspec setting;
  if (timerfd_gettime(fd, &setting)) fail("timerfd_gettime");
  return setting.it_value.tv_sec + setting.it_value.tv_nsec / 1e9;
}

static int described(int fd, const char *wanted) {
  char path[64], text[1024] = "";
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  FILE *file = fopen(path, "r");
  size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
  if (file) fclose(file);
  return length && strstr(text, wanted);
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  int relative = arm(CLOCK_MONOTONIC, 0, 1000, 7);
  int absolute = arm(CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, 1000, 0);
  int wall = arm(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 1000, 0);
  int boot = arm(CLOCK_BOOTTIME, 0, 1000, 0);
  int disarmed = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  int expired = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec soon = {.it_value = {0, 1000}};
  timerfd_settime(expired, 0, &soon, NULL);
  int periodic = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec often = {.it_value = {0, 1000}, .it_interval = {1000, 0}};
  timerfd_settime(periodic, 0, &often, NULL);
  usleep(10000);
  puts("ready");
  int signal;
  sigwait(&set, &signal);
  int long_ones[] = {relative, absolute, wall, boot};
  for (int i = 0; i < 4; i++)
    if (left(long_ones[i]) < 900 || left(long_ones[i]) > 1000.01) fail("time left");
  struct itimerspec setting;
  timerfd_gettime(relative, &setting);
  if (setting.it_interval.tv_sec != 7) fail("interval");
  if (!described(absolute, "settime flags: 01") || !described(wall, "settime flags: 03")) fail("flags");
  if (!described(boot, "clockid: 7") || !described(relative, "clockid: 1")) fail("clock");
  if (left(disarmed) != 0 || take(disarmed)) fail("disarmed");
  if (take(expired) != 1 || take(expired)) fail("expirations unread");
  if (take(periodic) != 1 || left(periodic) < 900) fail("periodic");
  puts("pass");
}
