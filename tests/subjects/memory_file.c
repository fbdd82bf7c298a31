// memfd: contents, length, offset, flags, permissions, seals, holes, read-only copies and mappings are one object
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);

  int odd = memfd_create("odd size", MFD_CLOEXEC);
  if (write(odd, "twelve bytes", 12) != 12 || lseek(odd, 3, SEEK_SET) != 3 || fchmod(odd, 0640)) fail("set-up");
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", odd);
  int reader = open(path, O_RDONLY | O_APPEND);
  char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, odd, 0);
  char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, odd, 0);

  int sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
  if (write(sealed, "fixed", 5) != 5) fail("set-up");
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (fcntl(sealed, F_ADD_SEALS, seals)) fail("set-up");
  snprintf(path, sizeof path, "/proc/self/fd/%d", sealed);
  int fixed = open(path, O_RDONLY);
  char *constant = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fixed, 0);

  int sparse = memfd_create("sparse", 0);
  if (ftruncate(sparse, 1L << 40) || pwrite(sparse, "end", 3, (1L << 40) - 3) != 3) fail("set-up");

  char *nameless = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  strcpy(nameless + 4096, "nameless");

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  struct stat st;
  if (fstat(odd, &st) || st.st_size != 12 || (st.st_mode & 07777) != 0640) fail("length or permissions");
  if (lseek(odd, 0, SEEK_CUR) != 3 || lseek(reader, 0, SEEK_CUR) != 0) fail("offset");
  if ((fcntl(reader, F_GETFL) & (O_ACCMODE | O_APPEND)) != (O_RDONLY | O_APPEND)) fail("flags");
  if (fcntl(odd, F_GET_SEALS) != F_SEAL_SEAL) fail("a file that allows no seals");
  memcpy(shared, "T", 1);
  char text[16] = "";
  if (pread(reader, text, 12, 0) != 12 || strcmp(text, "Twelve bytes")) fail("mapping and descriptor differ");
  if (private[0] != 'T') fail("private mapping has left the file");
  private[0] = 'p';
  if (shared[0] != 'T') fail("private mapping writes to the file");
  if (fcntl(sealed, F_GET_SEALS) != seals) fail("seals");
  if (write(sealed, "x", 1) != -1 || strcmp(constant, "fixed")) fail("sealed contents");
  if (fstat(sparse, &st) || st.st_size != 1L << 40 || st.st_blocks > 64) fail("sparse");
  if (pread(sparse, text, 3, (1L << 40) - 3) != 3 || memcmp(text, "end", 3)) fail("contents after a hole");
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512], *found = NULL;
  while (!found && fgets(line, sizeof line, maps)) {
    unsigned long start;
    if (sscanf(line, "%lx-", &start) == 1 && start == (unsigned long)nameless) found = line;
  }
  if (!found || strcmp(nameless + 4096, "nameless")) fail("anonymous shared memory");
  if (geteuid() == 0 && !strstr(line, "/dev/zero (deleted)")) fail("anonymous shared memory has a name");
  puts("pass");
}
