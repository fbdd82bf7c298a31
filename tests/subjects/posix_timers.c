// timer_create: signals to the process and to one thread, functions in threads (SIGEV_THREAD), a thread that has ended
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static atomic_int of_process, of_thread, in_function, at_wrong_thread;
static pid_t chosen;

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

static void on_signal(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  if (info->si_value.sival_int == 1) of_process++;
  if (info->si_value.sival_int == 2) {
    of_thread++;
    if (syscall(SYS_gettid) != chosen) at_wrong_thread++;
  }
}

static void on_function(union sigval value) {
  if (value.sival_int == 3) in_function++;
}

static timer_t start(int clock, struct sigevent event, long milliseconds) {
  timer_t timer;
  if (timer_create(clock, &event, &timer)) fail("timer_create");
  struct timespec every = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  struct itimerspec setting = {every, every};
  if (timer_settime(timer, 0, &setting, NULL)) fail("timer_settime");
  return timer;
}

static struct sigevent to_thread(pid_t tid) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 2};
  event.sigev_notify_thread_id = tid;
  return event;
}

static void *listen(void *ready) {
  chosen = syscall(SYS_gettid);
  atomic_store((atomic_int *)ready, 1);
  for (;;) pause();
  return NULL;
}

static timer_t orphan;

static void *come_and_go(void *unused) {
  orphan = start(CLOCK_MONOTONIC, to_thread(syscall(SYS_gettid)), 3600000);
  return unused;
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);

  atomic_int ready = 0;
  pthread_t listener, visitor;
  pthread_create(&listener, NULL, listen, &ready);
  while (!ready) usleep(1000);
  pthread_create(&visitor, NULL, come_and_go, NULL);
  pthread_join(visitor, NULL);
  struct sigevent plain = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 1};
  start(CLOCK_MONOTONIC, plain, 20);
  start(CLOCK_REALTIME, to_thread(chosen), 20);
  struct sigevent function = {
      .sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_function, .sigev_value.sival_int = 3};
  start(CLOCK_MONOTONIC, function, 20);

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  of_process = of_thread = in_function = 0;
  for (int i = 0; i < 5000 && !(of_process && of_thread && in_function); i++) usleep(1000);
  if (!of_process) fail("no signal to the process");
  if (!of_thread || at_wrong_thread) fail("no signal to the thread");
  if (!in_function) fail("no call of the function");
  struct itimerspec left;
  if (timer_gettime(orphan, &left)) fail("the timer of a thread that has ended is gone");
  if (left.it_value.tv_sec < 3000 || left.it_interval.tv_sec != 3600) fail("its setting");
  puts("pass");
}
