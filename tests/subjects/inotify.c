// inotify: watch numbers, masks, watches on folders, on deleted and on renamed files; a restore causes no events
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

// Reads one event and compares; a mask of 0 means that there must be none.
static void expect(int fd, int wd, uint32_t mask, const char *name) {
  static char buffer[4096] __attribute__((aligned(8)));
  static ssize_t have, at;
  if (at >= have) {
    at = 0;
    have = read(fd, buffer, sizeof buffer);
  }
  if (have <= 0) {
    if (mask) fail("an event is missing");
    return;
  }
  struct inotify_event *event = (void *)(buffer + at);
  at += sizeof *event + event->len;
  if (!mask) fail("an event came from nowhere");
  if (event->wd != wd || event->mask != mask) fail("another event than expected");
  if (name && strcmp(event->name, name)) fail("event with another name");
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  char folder[] = "/tmp/subject-inotify-XXXXXX";
  if (!mkdtemp(folder) || chdir(folder) || mkdir("d", 0700)) fail("set-up");
  int file = open("file", O_CREAT | O_RDWR, 0600), gone = open("gone", O_CREAT | O_RDWR, 0600);
  close(open("old", O_CREAT | O_RDWR, 0600));
  int in = inotify_init1(IN_NONBLOCK);
  int unwanted = inotify_add_watch(in, "d", IN_CREATE);
  int all = inotify_add_watch(in, "file", IN_ALL_EVENTS);
  int wd_gone = inotify_add_watch(in, "gone", IN_MODIFY);
  int wd_old = inotify_add_watch(in, "old", IN_ATTRIB);
  inotify_rm_watch(in, unwanted);
  expect(in, unwanted, IN_IGNORED, NULL);
  int wd_folder = inotify_add_watch(in, ".", IN_CREATE | IN_MOVE | IN_DELETE | IN_ONLYDIR);
  rename("old", "new");
  unlink("gone");
  for (int i = 0; i < 3; i++) {
    const uint32_t masks[] = {IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE};
    const char *names[] = {"old", "new", "gone"};
    expect(in, wd_folder, masks[i], names[i]);
  }
  puts("ready");
  int signal;
  sigwait(&set, &signal);
  expect(in, 0, 0, NULL);
  if (write(file, "x", 1) != 1) fail("write");
  expect(in, all, IN_MODIFY, NULL);
  if (write(gone, "x", 1) != 1) fail("write to a deleted file");
  expect(in, wd_gone, IN_MODIFY, NULL);
  chmod("new", 0640);
  expect(in, wd_old, IN_ATTRIB, NULL);
  close(open("fresh", O_CREAT | O_RDWR, 0600));
  expect(in, wd_folder, IN_CREATE, "fresh");
  if (inotify_add_watch(in, "d", IN_CREATE) <= wd_folder) fail("a number was given out twice");
  if (inotify_rm_watch(in, all)) fail("removing a watch");
  expect(in, all, IN_IGNORED, NULL);
  unlink("file"), unlink("new"), unlink("fresh"), rmdir("d"), rmdir(folder);
  puts("pass");
}
