// UNIX sockets: what is queued in streams, datagrams and packets, with bounds, senders and descriptors in flight.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void fail(const char *why) {
	printf("fail: %s (errno %d)\n", why, errno);
	exit(1);
}

static void need(int ok, const char *why) {
	if (!ok)
		fail(why);
}

static void send_with(int to, const char *text, int fd) {
	struct iovec part = {(void *)text, strlen(text)};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	need(sendmsg(to, &message, 0) == (ssize_t)strlen(text), "sendmsg");
}

/* Receives up to `room` bytes; returns their number, and the descriptor that came along or -1. */
static ssize_t take(int from, char *text, size_t room, int *fd) {
	struct iovec part = {text, room};
	char control[256];
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	ssize_t got = recvmsg(from, &message, MSG_DONTWAIT);
	*fd = -1;
	for (struct cmsghdr *next = CMSG_FIRSTHDR(&message); got >= 0 && next; next = CMSG_NXTHDR(&message, next))
		if (next->cmsg_type == SCM_RIGHTS)
			memcpy(fd, CMSG_DATA(next), sizeof *fd);
	if (got >= 0)
		text[got] = 0;
	return got;
}

static struct sockaddr_un name(const char *abstract) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "stasis-%d-%s", getpid(), abstract);
	return address;
}

static int bound(const char *abstract) {
	struct sockaddr_un address = name(abstract);
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	need(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
	return fd;
}

static void expect(int fd, const char *text) {
	char got[64];
	int none;
	ssize_t length = take(fd, got, sizeof got - 1, &none);
	if (length != (ssize_t)strlen(text) || strcmp(got, text))
		fail(text);
}

static void expect_from(int fd, const char *text, const char *abstract) {
	struct sockaddr_un from, wanted = abstract ? name(abstract) : (struct sockaddr_un){0};
	socklen_t length = sizeof from;
	char got[64] = "";
	need(recvfrom(fd, got, sizeof got - 1, MSG_DONTWAIT, (struct sockaddr *)&from, &length) == (ssize_t)strlen(text), text);
	need(strcmp(got, text) == 0, text);
	need(abstract ? memcmp(from.sun_path, wanted.sun_path, sizeof from.sun_path) == 0 : length <= 2, "sender");
}

int main(void) {
	int stream[2], packets[2], nested[2], pipes[2], closed[2], reset[2], got, wait;
	char text[64];
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);

	need(pipe(pipes) == 0, "pipe");
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0, "socketpair");
	need(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0, "socketpair");
	need(socketpair(AF_UNIX, SOCK_DGRAM, 0, nested) == 0, "socketpair");
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, closed) == 0, "socketpair");
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, reset) == 0, "socketpair");

	/* A descriptor in flight that nobody has open, behind bytes without one. */
	need(write(stream[0], "head", 4) == 4, "write");
	send_with(stream[0], "carry", pipes[1]);
	need(write(stream[0], "tail", 4) == 4, "write");
	close(pipes[1]);

	/* Bounds, an empty packet, and a socket in flight that has a descriptor in flight in its own queue. */
	need(send(packets[0], "one", 3, 0) == 3 && send(packets[0], "", 0, 0) == 0, "send");
	send_with(nested[0], "inner", pipes[0]);
	send_with(packets[0], "outer", nested[1]);
	close(nested[1]);

	/* A closed peer that left bytes behind, and one that left an error. */
	need(write(closed[1], "last", 4) == 4, "write");
	close(closed[1]);
	need(write(reset[0], "unread", 6) == 6, "write");
	close(reset[1]);

	/* Datagrams of a living, a closed and a nameless sender; the receiver is connected to yet another. */
	int receiver = bound("receiver"), living = bound("living"), gone = bound("gone"), other = bound("other");
	int nameless = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sockaddr_un to = name("receiver"), third = name("other");
	need(sendto(gone, "gone", 4, 0, (struct sockaddr *)&to, sizeof to) == 4, "sendto");
	need(connect(living, (struct sockaddr *)&to, sizeof to) == 0, "connect");
	need(send(living, "living", 6, 0) == 6, "send");
	need(sendto(nameless, "nameless", 8, 0, (struct sockaddr *)&to, sizeof to) == 8, "sendto");
	need(sendto(gone, "", 0, 0, (struct sockaddr *)&to, sizeof to) == 0, "sendto");
	need(connect(receiver, (struct sockaddr *)&third, sizeof third) == 0, "connect");
	close(gone);

	puts("ready");
	sigwait(&set, &wait);

	need(take(stream[1], text, 4, &got) == 4 && got == -1 && !strcmp(text, "head"), "bytes before a descriptor");
	need(take(stream[1], text, 63, &got) == 5 && got >= 0 && !strcmp(text, "carry"), "bytes with a descriptor");
	need(write(got, "through", 7) == 7, "the descriptor that arrived");
	close(got);
	expect(stream[1], "tail");

	expect(packets[1], "one");
	expect(packets[1], "");
	need(take(packets[1], text, 63, &got) == 5 && got >= 0, "a socket in flight");
	need(take(got, text, 63, &got) == 5 && got >= 0 && !strcmp(text, "inner"), "a descriptor in a socket in flight");
	need(read(got, text, 63) == 7 && !memcmp(text, "through", 7), "the pipe that was in flight");
	need(read(got, text, 63) == 0, "the pipe's end");

	expect(closed[0], "last");
	need(read(closed[0], text, 63) == 0, "the end of a closed peer's stream");
	need(write(closed[0], "x", 1) == -1 && errno == EPIPE, "EPIPE");
	need(read(reset[0], text, 63) == -1 && errno == ECONNRESET, "ECONNRESET");
	need(read(reset[0], text, 63) == 0, "the end after ECONNRESET");

	expect_from(receiver, "gone", "gone");
	expect_from(receiver, "living", "living");
	expect_from(receiver, "nameless", NULL);
	expect_from(receiver, "", "gone");
	need(recv(receiver, text, 63, MSG_DONTWAIT) == -1 && errno == EAGAIN, "an empty queue");
	need(send(receiver, "on", 2, 0) == 2, "send on");
	expect_from(other, "on", "receiver");
	need(send(living, "no", 2, 0) == -1 && errno == EPERM, "a receiver that listens to another only");
	puts("pass");
	return 0;
}
