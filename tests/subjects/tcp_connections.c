// TCP connections between two sockets of one program: full queues, half-closed ends, pending and failed ones
// needs: root
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *why) {
  printf("fail: %s (%s)\n", why, strerror(errno));
  exit(1);
}

struct pair {
  int client, server;
};

static int listener;
static struct sockaddr_in6 at;

static int client(int domain) {
  int fd = socket(domain, SOCK_STREAM, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = at.sin6_port};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct sockaddr *to = domain == AF_INET ? (void *)&a : (void *)&at;
  if (connect(fd, to, domain == AF_INET ? sizeof a : sizeof at)) fail("connect");
  return fd;
}

static struct pair make(int domain) {
  struct pair p = {.client = client(domain)};
  p.server = accept(listener, NULL, NULL);
  if (p.server < 0) fail("accept");
  return p;
}

static unsigned char pattern(size_t i) { return i * 7 + (i >> 9); }

/* Writes until nothing more fits, and says how much did. */
static size_t stuff(int fd) {
  static unsigned char chunk[1000];
  size_t all = 0;
  for (;;) {
    for (size_t i = 0; i < sizeof chunk; i++) chunk[i] = pattern(all + i);
    ssize_t n = send(fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0) return all;
    all += n;
  }
}

static void drain(int fd, size_t all, const char *why) {
  static unsigned char chunk[70000];
  for (size_t at = 0; at < all;) {
    size_t want = all - at < sizeof chunk ? all - at : sizeof chunk;
    ssize_t n = recv(fd, chunk, want, 0);
    if (n <= 0) fail(why);
    for (ssize_t i = 0; i < n; i++)
      if (chunk[i] != pattern(at + i)) fail(why);
    at += n;
  }
}

static void talk(int from, int to, const char *why) {
  char got[6] = "";
  if (send(from, "hello", 5, MSG_NOSIGNAL) != 5 || recv(to, got, 5, MSG_WAITALL) != 5 || strcmp(got, "hello"))
    fail(why);
}

static void end(int fd, const char *why) {
  char byte;
  if (recv(fd, &byte, 1, 0) != 0) fail(why);
}

static int state(int fd) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
  return info.tcpi_state;
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  listener = socket(AF_INET6, SOCK_STREAM, 0);
  at.sin6_family = AF_INET6;
  if (bind(listener, (void *)&at, sizeof at) || listen(listener, 20)) fail("listen");
  socklen_t size = sizeof at;
  getsockname(listener, (void *)&at, &size);
  at.sin6_addr = in6addr_loopback;

  struct pair idle = make(AF_INET), full = make(AF_INET6), half = make(AF_INET), both = make(AF_INET);
  struct pair over = make(AF_INET), reset = make(AF_INET), corked = make(AF_INET), deaf = make(AF_INET6);
  int one = 1;
  setsockopt(idle.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(idle.client, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  fcntl(idle.server, F_SETFL, O_NONBLOCK);
  size_t there = stuff(full.client), back = stuff(full.server);
  send(half.client, "last", 4, 0);
  shutdown(half.client, SHUT_WR);
  send(both.client, "left", 4, 0);
  shutdown(both.client, SHUT_WR);
  shutdown(both.server, SHUT_WR);
  close(over.client);
  send(over.server, "x", 1, 0);
  struct linger now = {1, 0};
  send(reset.client, "before", 6, 0);
  setsockopt(reset.client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(reset.client);
  setsockopt(corked.client, IPPROTO_TCP, TCP_CORK, &one, sizeof one);
  send(corked.client, "cork", 4, 0);
  shutdown(deaf.server, SHUT_RD);
  int waiting = client(AF_INET);

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  int got = 0;
  size = sizeof got;
  getsockopt(idle.client, IPPROTO_TCP, TCP_NODELAY, &got, &size);
  if (!got || !(fcntl(idle.server, F_GETFL) & O_NONBLOCK)) fail("options");
  fcntl(idle.server, F_SETFL, 0);
  talk(idle.client, idle.server, "idle, there");
  talk(idle.server, idle.client, "idle, back");
  drain(full.server, there, "full, there");
  drain(full.client, back, "full, back");
  talk(full.client, full.server, "full, after");

  char text[10] = "";
  if (recv(half.server, text, 4, MSG_WAITALL) != 4 || memcmp(text, "last", 4)) fail("half-closed: data");
  end(half.server, "half-closed: end");
  if (send(half.client, "x", 1, MSG_NOSIGNAL) >= 0) fail("half-closed: write");
  talk(half.server, half.client, "half-closed: other way");

  if (recv(both.server, text, 4, MSG_WAITALL) != 4 || memcmp(text, "left", 4)) fail("closed both ways: data");
  end(both.server, "closed both ways: end");
  end(both.client, "closed both ways: other end");
  if (recv(over.server, text, 1, MSG_DONTWAIT) > 0) fail("peer gone");
  if (recv(reset.server, text, 6, MSG_DONTWAIT) == 6) {
    if (memcmp(text, "before", 6)) fail("reset: data");
  }
  if (send(reset.server, "x", 1, MSG_NOSIGNAL) >= 0) fail("reset: write");
  got = 0;
  setsockopt(corked.client, IPPROTO_TCP, TCP_CORK, &got, sizeof got);
  if (recv(corked.server, text, 4, MSG_WAITALL) != 4 || memcmp(text, "cork", 4)) fail("corked");
  if (recv(deaf.server, text, 1, MSG_DONTWAIT) != 0) fail("shut down for reading");
  talk(deaf.server, deaf.client, "shut down for reading: other way");
  int late = accept(listener, NULL, NULL);
  if (late < 0) fail("accept after");
  talk(waiting, late, "pending");
  if (state(idle.client) != TCP_ESTABLISHED) fail("state");
  puts("pass");
  return 0;
}
