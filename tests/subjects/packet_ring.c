// packet(7): a mapped receive ring is a ring of its socket again, and packets arrive in it
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES 8
#define FRAME 2048

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

  int ring = socket(AF_PACKET, SOCK_DGRAM, 0);
  char *frames = MAP_FAILED;
  if (ring >= 0) {
    struct tpacket_req shape = {.tp_block_size = 2 * FRAME, .tp_block_nr = FRAMES / 2, .tp_frame_size = FRAME, .tp_frame_nr = FRAMES};
    struct sockaddr_ll local = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_IP),
        .sll_ifindex = (int)if_nametoindex("lo"),
    };
    if (setsockopt(ring, SOL_PACKET, PACKET_RX_RING, &shape, sizeof shape)) fail("ring");
    frames = mmap(NULL, FRAMES * FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
    if (frames == MAP_FAILED || bind(ring, (struct sockaddr *)&local, sizeof local)) fail("set-up");
  }

  puts("ready");
  int signal;
  sigwait(&set, &signal);

  if (ring < 0) {
    puts("skipped: this process may not open packet sockets\npass");
    return 0;
  }
  int sender = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  if (sendto(sender, "a mark to look for", 18, 0, (struct sockaddr *)&to, sizeof to) != 18) fail("send");
  struct pollfd ready = {.fd = ring, .events = POLLIN};
  if (poll(&ready, 1, 5000) != 1) fail("nothing arrives");
  int seen = 0;
  for (int i = 0; i < FRAMES; i++) {
    struct tpacket_hdr *head = (struct tpacket_hdr *)(frames + i * FRAME);
    if (head->tp_status & TP_STATUS_USER && memmem(head, FRAME, "a mark to look for", 18)) seen = 1;
  }
  if (!seen) fail("the packet is not in the ring");
  puts("pass");
  return 0;
}
