// io_setup: results that nobody fetched come in their order, across the end of the ring, and the context goes on
#define _GNU_SOURCE
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char *why) {
  printf("fail: %s\n", why);
  exit(1);
}

static char text[16] = "some bytes";

static void submit(aio_context_t context, int fd, uint64_t number, uint64_t bytes) {
  struct iocb request = {
      .aio_data = number,
      .aio_lio_opcode = IOCB_CMD_PREAD,
      .aio_fildes = fd,
      .aio_buf = (uint64_t)(uintptr_t)text,
      .aio_nbytes = bytes,
  };
  struct iocb *list[] = {&request};
  if (syscall(SYS_io_submit, context, 1, list) != 1) fail("submit");
}

static void fetch(aio_context_t context, uint64_t number, int64_t bytes) {
  struct io_event event;
  if (syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1) fail("no result");
  if (event.data != number || event.res != bytes) fail("a result is another one");
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);

  int fd = memfd_create("data", 0);
  if (write(fd, "0123456789", 10) != 10) fail("data");
  aio_context_t empty = 0, busy = 0;
  if (syscall(SYS_io_setup, 8, &empty) || syscall(SYS_io_setup, 40, &busy)) fail("set-up");
  for (int i = 0; i < 120; i++) {
    submit(busy, fd, i, 1);
    fetch(busy, i, 1);
  }
  for (int i = 0; i < 40; i++) submit(busy, fd, 1000 + i, i % 11);

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  for (int i = 0; i < 10; i++) fetch(busy, 1000 + i, i % 11);
  submit(busy, fd, 5, 5);
  for (int i = 10; i < 40; i++) fetch(busy, 1000 + i, i % 11);
  fetch(busy, 5, 5);
  struct timespec now = {0, 0};
  struct io_event event;
  if (syscall(SYS_io_getevents, busy, 0, 1, &event, &now) != 0) fail("too many results");
  for (int i = 0; i < 300; i++) {
    submit(empty, fd, i, 4);
    fetch(empty, i, 4);
  }
  if (syscall(SYS_io_destroy, busy) || syscall(SYS_io_destroy, empty)) fail("destroy");
  puts("pass");
  return 0;
}
