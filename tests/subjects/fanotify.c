// fanotify: marks on a file, a folder with ignored events, and a mount report what they reported
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *why) {
  printf("fail: %s: %s\n", why, strerror(errno));
  exit(1);
}

/* What a group's fdinfo says of its flags and marks. */
static void describe(int group, char *text, size_t size) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", group);
  FILE *file = fopen(path, "r");
  text[0] = 0;
  while (fgets(line, sizeof line, file)) {
    if (!strncmp(line, "fanotify", 8)) strncat(text, line, size - strlen(text) - 1);
  }
  fclose(file);
}

static int lines(const char *text) {
  int count = 0;
  while (*text) count += *text++ == '\n';
  return count;
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);

  char folder[] = "/tmp/stasis-fanotify-XXXXXX";
  if (!mkdtemp(folder) || chdir(folder)) fail("folder");
  close(open("file", O_CREAT | O_RDWR, 0600));
  int group = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
  int possible = group >= 0 && !fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_CLOSE_NOWRITE, AT_FDCWD, "/proc");
  int names = possible ? fanotify_init(FAN_REPORT_DFID_NAME, 0) : -1;
  char before[2][2048], after[2048];
  if (possible) {
    if (fanotify_mark(group, FAN_MARK_ADD, FAN_MODIFY | FAN_OPEN, AT_FDCWD, "file")) fail("file");
    unsigned ignore = FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY;
    if (fanotify_mark(group, ignore, FAN_ACCESS, AT_FDCWD, "file")) fail("ignored");
    if (fanotify_mark(names, FAN_MARK_ADD, FAN_CREATE | FAN_ONDIR, AT_FDCWD, ".")) fail("folder's mark");
    describe(group, before[0], sizeof before[0]);
    describe(names, before[1], sizeof before[1]);
  }

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  if (possible) {
    int groups[] = {group, names};
    for (int i = 0; i < 2; i++) {
      describe(groups[i], after, sizeof after);
      if (strstr(before[i], " mnt_id") == NULL && strcmp(before[i], after)) fail("marks");
      if (lines(before[i]) != lines(after)) fail("number of marks");
    }
    struct fanotify_event_metadata event;
    while (read(group, &event, sizeof event) == sizeof event) close(event.fd);
    int file = open("file", O_RDWR);
    if (write(file, "x", 1) != 1) fail("write");
    int seen = 0;
    while (read(group, &event, sizeof event) == sizeof event) {
      struct stat own, theirs;
      if (!fstat(file, &own) && !fstat(event.fd, &theirs) && own.st_ino == theirs.st_ino) seen |= event.mask;
      close(event.fd);
    }
    if ((seen & (FAN_OPEN | FAN_MODIFY)) != (FAN_OPEN | FAN_MODIFY)) fail("events of the file");
    if (mkdir("new", 0700)) fail("mkdir");
    struct pollfd ready = {.fd = names, .events = POLLIN};
    if (poll(&ready, 1, 0) != 1) fail("events of the folder");
    rmdir("new");
  } else {
    puts("skipped: this process may not use fanotify");
  }
  unlink("file");
  rmdir(folder);
  puts("pass");
  return 0;
}
