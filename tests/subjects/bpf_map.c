// bpf: a hash table and a frozen array keep their entries; two descriptors of one map stay of one map
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char *why) {
  printf("fail: %s: %s\n", why, strerror(errno));
  exit(1);
}

static long bpf(int command, union bpf_attr *attributes) {
  return syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static int create(uint32_t type, uint32_t value_size, const char *name) {
  union bpf_attr attributes = {.map_type = type, .key_size = 4, .value_size = value_size, .max_entries = 50};
  strcpy(attributes.map_name, name);
  return bpf(BPF_MAP_CREATE, &attributes);
}

static int put(int map, uint32_t key, const void *value) {
  union bpf_attr attributes = {.map_fd = map, .key = (uint64_t)&key, .value = (uint64_t)value};
  return bpf(BPF_MAP_UPDATE_ELEM, &attributes);
}

static int get(int map, uint32_t key, void *value) {
  union bpf_attr attributes = {.map_fd = map, .key = (uint64_t)&key, .value = (uint64_t)value};
  return bpf(BPF_MAP_LOOKUP_ELEM, &attributes);
}

static struct bpf_map_info info(int map) {
  struct bpf_map_info info = {0};
  union bpf_attr attributes = {.info = {.bpf_fd = map, .info_len = sizeof info, .info = (uint64_t)&info}};
  if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes)) fail("info");
  return info;
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);

  int table = create(BPF_MAP_TYPE_HASH, 12, "the_table"), array = create(BPF_MAP_TYPE_ARRAY, 8, "the_array");
  int possible = table >= 0 && array >= 0, reader = -1;
  if (possible) {
    for (uint32_t i = 0; i < 20; i++) {
      char text[12] = "value";
      text[5] = (char)('a' + i);
      uint64_t number = i * 1000;
      if (put(table, i * 7, text) || put(array, i, &number)) fail("set-up");
    }
    union bpf_attr freeze = {.map_fd = array};
    if (bpf(BPF_MAP_FREEZE, &freeze)) fail("freeze");
    union bpf_attr again = {.map_id = info(table).id, .open_flags = BPF_F_RDONLY};
    reader = bpf(BPF_MAP_GET_FD_BY_ID, &again);
    if (reader < 0) fail("another descriptor");
  }

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  if (!possible) {
    puts("skipped: this process may not make BPF maps\npass");
    return 0;
  }
  for (uint32_t i = 0; i < 50; i++) {
    char text[12];
    uint64_t number;
    int there = get(table, i * 7, text) == 0;
    if (there != (i < 20) || (there && (memcmp(text, "value", 5) || text[5] != (char)('a' + i)))) fail("table");
    if (get(array, i, &number) || number != (i < 20 ? i * 1000 : 0)) fail("array");
  }
  uint64_t zero[2] = {0};
  if (put(array, 1, zero) != -1 || errno != EPERM) fail("frozen");
  if (put(reader, 1, zero) != -1 || errno != EPERM) fail("read-only");
  if (put(table, 1, zero) || get(reader, 1, zero)) fail("two descriptors of one map");
  if (strcmp(info(table).name, "the_table") || info(table).id != info(reader).id) fail("name or identity");
  puts("pass");
  return 0;
}
