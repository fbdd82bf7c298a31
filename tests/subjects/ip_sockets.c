// IP sockets without connections: queued datagrams and their senders, multicast, listeners, raw and ping sockets, options
// needs: root
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
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

static int on(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value);
}

static int value(int fd, int level, int name) {
  int got = -1;
  socklen_t size = sizeof got;
  getsockopt(fd, level, name, &got, &size);
  return got;
}

static struct sockaddr_in v4(const char *ip, int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, ip, &a.sin_addr);
  return a;
}

static struct sockaddr_in6 v6(const char *ip, int port) {
  struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  inet_pton(AF_INET6, ip, &a.sin6_addr);
  return a;
}

static int port_of(int fd) {
  struct sockaddr_in6 a;
  socklen_t size = sizeof a;
  getsockname(fd, (void *)&a, &size);
  return ntohs(a.sin6_port);
}

static int udp4(const char *ip) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in a = v4(ip, 0);
  if (bind(fd, (void *)&a, sizeof a)) fail("bind");
  return fd;
}

static void expect(int fd, const char *text, int from) {
  char got[100];
  struct sockaddr_in6 a;
  socklen_t size = sizeof a;
  ssize_t n = recvfrom(fd, got, sizeof got, MSG_DONTWAIT, (void *)&a, &size);
  if (n != (ssize_t)strlen(text) || memcmp(got, text, n)) fail("queued datagram");
  if (from && ntohs(a.sin6_port) != from) fail("sender of a queued datagram");
}

int main(void) {
  setbuf(stdout, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL);

  int receiver = udp4("127.0.0.1"), sender = udp4("127.0.0.1");
  struct sockaddr_in to = v4("127.0.0.1", port_of(receiver));
  const char *texts[] = {"one", "", "three"};
  for (int i = 0; i < 3; i++) sendto(sender, texts[i], strlen(texts[i]), 0, (void *)&to, sizeof to);

  int dual = socket(AF_INET6, SOCK_DGRAM, 0);
  struct sockaddr_in6 any = v6("::", 0);
  if (bind(dual, (void *)&any, sizeof any)) fail("bind dual");
  struct sockaddr_in to4 = v4("127.0.0.1", port_of(dual));
  struct sockaddr_in6 to6 = v6("::1", port_of(dual));
  int sender6 = socket(AF_INET6, SOCK_DGRAM, 0);
  sendto(sender, "v4", 2, 0, (void *)&to4, sizeof to4);
  sendto(sender6, "v6", 2, 0, (void *)&to6, sizeof to6);

  int connected = udp4("127.0.0.1");
  struct sockaddr_in back = v4("127.0.0.1", port_of(sender));
  if (connect(connected, (void *)&back, sizeof back)) fail("connect");
  shutdown(connected, SHUT_WR);

  int member = udp4("0.0.0.0");
  struct ip_mreqn group = {.imr_multiaddr.s_addr = inet_addr("239.5.6.7"), .imr_ifindex = 1};
  if (setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group)) fail("join");

  int listener = socket(AF_INET6, SOCK_STREAM, 0);
  on(listener, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  on(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3);
  on(listener, SOL_SOCKET, SO_RCVBUF, 50000);
  if (bind(listener, (void *)&any, sizeof any) || listen(listener, 7)) fail("listen");

  int group_port = 0, twins[2];
  for (int i = 0; i < 2; i++) {
    twins[i] = socket(AF_INET, SOCK_STREAM, 0);
    on(twins[i], SOL_SOCKET, SO_REUSEPORT, 1);
    struct sockaddr_in a = v4("127.0.0.1", group_port);
    if (bind(twins[i], (void *)&a, sizeof a) || listen(twins[i], 5)) fail("reuseport");
    group_port = port_of(twins[i]);
  }

  int paths = socket(AF_INET, SOCK_STREAM, 262);
  struct sockaddr_in loop = v4("127.0.0.1", 0);
  if (paths >= 0 && (bind(paths, (void *)&loop, sizeof loop) || listen(paths, 3))) fail("mptcp");
  int paths_port = paths >= 0 ? port_of(paths) : 0;

  int raw = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
  if (raw < 0 || bind(raw, (void *)&loop, sizeof loop)) fail("raw");
  on(raw, IPPROTO_IP, IP_HDRINCL, 1);
  int icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  unsigned blocked = ~1u;
  setsockopt(icmp, 255, 1, &blocked, sizeof blocked);

  int bound = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(bound, (void *)&loop, sizeof loop)) fail("bind tcp");
  int bound_port = port_of(bound);
  struct linger linger = {1, 17};
  setsockopt(bound, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  on(bound, IPPROTO_TCP, TCP_USER_TIMEOUT, 4321);
  setsockopt(bound, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
  int sender_port = port_of(sender), sender6_port = port_of(sender6), listener_port = port_of(listener);

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  expect(receiver, "one", sender_port);
  expect(receiver, "", sender_port);
  expect(receiver, "three", sender_port);
  if (recv(receiver, &signal, 1, MSG_DONTWAIT) >= 0) fail("a datagram too many");
  expect(dual, "v4", sender_port);
  expect(dual, "v6", sender6_port);
  if (send(connected, "x", 1, MSG_NOSIGNAL) >= 0 || errno != EPIPE) fail("shut down for writing");
  struct sockaddr_in to_connected = v4("127.0.0.1", port_of(connected));
  sendto(sender, "still", 5, 0, (void *)&to_connected, sizeof to_connected);
  expect(connected, "still", sender_port);
  if (setsockopt(member, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group)) fail("multicast group");

  if (port_of(listener) != listener_port || !value(listener, SOL_SOCKET, SO_ACCEPTCONN)) fail("listener");
  if (value(listener, IPPROTO_IPV6, IPV6_V6ONLY) != 1) fail("IPV6_V6ONLY");
  if (value(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT) < 3) fail("TCP_DEFER_ACCEPT");
  if (value(listener, SOL_SOCKET, SO_RCVBUF) != 100000) fail("SO_RCVBUF");
  struct tcp_info info;
  socklen_t size = sizeof info;
  getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size);
  if (info.tcpi_sacked != 7) fail("backlog");
  for (int i = 0; i < 2; i++)
    if (port_of(twins[i]) != group_port || !value(twins[i], SOL_SOCKET, SO_ACCEPTCONN)) fail("SO_REUSEPORT");
  if (paths >= 0) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = v4("127.0.0.1", paths_port);
    if (connect(client, (void *)&a, sizeof a) || accept(paths, NULL, NULL) < 0) fail("MPTCP listener");
  }
  if (value(raw, IPPROTO_IP, IP_HDRINCL) != 1) fail("IP_HDRINCL");
  if ((unsigned)value(icmp, 255, 1) != blocked) fail("ICMP_FILTER");
  if (port_of(bound) != bound_port || value(bound, SOL_SOCKET, SO_ACCEPTCONN)) fail("bound socket");
  size = sizeof linger;
  getsockopt(bound, SOL_SOCKET, SO_LINGER, &linger, &size);
  if (linger.l_onoff != 1 || linger.l_linger != 17) fail("SO_LINGER");
  if (value(bound, IPPROTO_TCP, TCP_USER_TIMEOUT) != 4321) fail("TCP_USER_TIMEOUT");
  char name[16] = "";
  size = sizeof name;
  getsockopt(bound, IPPROTO_TCP, TCP_CONGESTION, name, &size);
  if (strcmp(name, "reno")) fail("TCP_CONGESTION");
  puts("pass");
  return 0;
}
