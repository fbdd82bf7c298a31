// what a process asked of the kernel once: barriers, MDWE, locks on memory to come, NUMA policy, machine checks, speculation
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SET_MDWE 65
#define GET_MDWE 66
#define PRIVATE_EXPEDITED (1 << 3)
#define REGISTER_PRIVATE_EXPEDITED (1 << 4)
#define REGISTER_SYNC_CORE (1 << 6)
#define MPOL_BIND 2

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

static int has_flag(const char *flag, const void *at) {
  FILE *file = fopen("/proc/self/smaps", "r");
  char line[512];
  int inside = 0, found = 0;
  while (fgets(line, sizeof line, file)) {
    unsigned long start, end;
    char rest;
    if (sscanf(line, "%lx-%lx %c", &start, &end, &rest) == 3)
      inside = (unsigned long)at >= start && (unsigned long)at < end;
    if (inside && !strncmp(line, "VmFlags:", 8)) found = strstr(line, flag) != NULL;
  }
  fclose(file);
  return found;
}

static volatile int stage;
static int of_thread[2];

static void *thread(void *unused) {
  while (stage != 1) usleep(1000);
  of_thread[0] = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
  of_thread[1] = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
  return unused;
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &all);

  int barriers = !syscall(SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0, 0);
  if (prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0)) fail("PR_MCE_KILL");
  prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
  prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_FORCE_DISABLE, 0, 0);
  int bypass = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
  int branch = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, 0, 0, 0);
  unsigned long nodes = 1;
  int bound = !syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 64);
  pthread_t other;
  pthread_create(&other, NULL, thread, NULL);
  int locks = !mlockall(MCL_FUTURE | MCL_ONFAULT);
  int refuses = !prctl(SET_MDWE, 1, 0, 0, 0);

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  if (barriers && syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0)) fail("not registered for barriers");
  if (syscall(SYS_membarrier, REGISTER_SYNC_CORE << 1, 0, 0) == 0 && barriers) fail("registered for what it was not");
  if (prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) != PR_MCE_KILL_EARLY) fail("machine checks");
  if (prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0) != bypass) fail("store bypass");
  if (prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, 0, 0, 0) != branch) fail("indirect branches");
  int mode = -1;
  unsigned long mask[16] = {0};
  if (bound && (syscall(SYS_get_mempolicy, &mode, mask, 1024, NULL, 0) || mode != MPOL_BIND || mask[0] != 1))
    fail("NUMA policy");
  void *fresh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (locks && (!has_flag(" lo", fresh) || !has_flag(" lf", fresh))) fail("new memory is not locked");
  if (refuses && (prctl(GET_MDWE, 0, 0, 0, 0) != 1 || mprotect(fresh, 4096, PROT_READ | PROT_EXEC) == 0))
    fail("new code is not refused");
  stage = 1;
  pthread_join(other, NULL);
  if (of_thread[0] != PR_MCE_KILL_EARLY || of_thread[1] != bypass) fail("a thread");
  puts("pass");
  return 0;
}
