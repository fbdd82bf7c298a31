// UNIX sockets: names, listeners with waiting connections, node modes, peers' names, half-closed ends, options.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static void need(int ok, const char *why) {
	if (!ok) {
		printf("fail: %s (errno %d)\n", why, errno);
		exit(1);
	}
}

static struct sockaddr_un named(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	return address;
}

static int bound(int kind, const char *path) {
	struct sockaddr_un address = named(path);
	int fd = socket(AF_UNIX, kind, 0);
	need(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0, path);
	return fd;
}

static int linked(int fd, const char *path) {
	struct sockaddr_un address = named(path);
	return connect(fd, (struct sockaddr *)&address, sizeof address);
}

static int client(int kind, const char *path) {
	int fd = socket(AF_UNIX, kind, 0);
	need(linked(fd, path) == 0, path);
	return fd;
}

static void flows(int a, int b, const char *why) {
	char text[4] = "";
	need(write(a, "to", 2) == 2 && read(b, text, 2) == 2 && !memcmp(text, "to", 2), why);
	need(write(b, "fro", 3) == 3 && read(a, text, 3) == 3 && !memcmp(text, "fro", 3), why);
}

static void peer_is(int fd, const char *path, const char *why) {
	struct sockaddr_un got = {0};
	socklen_t length = sizeof got;
	need(getpeername(fd, (struct sockaddr *)&got, &length) == 0 && !strcmp(got.sun_path, path), why);
}

int main(void) {
	char folder[] = "/tmp/stasis-unix-XXXXXX", text[8];
	int wait, number;
	socklen_t length;
	struct stat about;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	need(mkdtemp(folder) && chdir(folder) == 0, "mkdtemp");

	int listener = bound(SOCK_STREAM, "listener");
	need(listen(listener, 7) == 0 && chmod("listener", 0640) == 0, "listen");
	int one = client(SOCK_STREAM, "listener"), accepted = accept(listener, NULL, NULL);
	int first = client(SOCK_STREAM, "listener"), second = client(SOCK_STREAM, "listener");

	/* The listener has gone: its name lives on in what it accepted. */
	int former = bound(SOCK_SEQPACKET, "former");
	need(listen(former, 1) == 0, "listen");
	int caller = bound(SOCK_SEQPACKET, "caller");
	need(linked(caller, "former") == 0, "connect");
	int served = accept(former, NULL, NULL);
	close(former);
	unlink("former");
	unlink("caller");

	int renamed = bound(SOCK_DGRAM, "before");
	need(rename("before", "after") == 0, "rename");
	int deleted = bound(SOCK_DGRAM, "deleted"), sender = client(SOCK_DGRAM, "deleted");
	unlink("deleted");

	/* A newer listener has the path of an older one. */
	int older = bound(SOCK_STREAM, "twice");
	need(listen(older, 2) == 0, "listen");
	unlink("twice");
	int newer = bound(SOCK_STREAM, "twice");
	need(listen(newer, 2) == 0, "listen");

	int automatic = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sockaddr_un family = {.sun_family = AF_UNIX}, before = {0}, after = {0};
	need(bind(automatic, (struct sockaddr *)&family, sizeof(sa_family_t)) == 0, "autobind");
	length = sizeof before;
	getsockname(automatic, (struct sockaddr *)&before, &length);

	int half[2];
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0 && shutdown(half[0], SHUT_WR) == 0, "shutdown");
	struct timeval patience = {3, 250000};
	struct timeval asked;
	struct linger linger = {1, 9};
	number = 1;
	setsockopt(half[1], SOL_SOCKET, SO_PASSCRED, &number, sizeof number);
	setsockopt(half[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	length = sizeof asked;
	getsockopt(half[1], SOL_SOCKET, SO_RCVTIMEO, &asked, &length);
	setsockopt(half[1], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	number = 40000;
	setsockopt(half[1], SOL_SOCKET, SO_SNDBUF, &number, sizeof number);
	fcntl(half[1], F_SETFL, O_NONBLOCK);

	puts("ready");
	sigwait(&set, &wait);

	flows(one, accepted, "an accepted connection");
	peer_is(one, "listener", "the name of a listener");
	int next = accept(listener, NULL, NULL);
	flows(first, next, "the first waiting connection");
	next = accept(listener, NULL, NULL);
	flows(second, next, "the second waiting connection");
	next = client(SOCK_STREAM, "listener");
	need(stat("listener", &about) == 0 && (about.st_mode & 07777) == 0640, "the mode of a node");

	flows(caller, served, "a connection through a listener that has gone");
	peer_is(caller, "former", "the name of a listener that has gone");
	peer_is(served, "caller", "the name of a client");
	need(stat("former", &about) == -1 && stat("caller", &about) == -1, "nodes that were deleted");

	need(stat("before", &about) == -1, "the former name of a node");
	int letter = client(SOCK_DGRAM, "after");
	need(write(letter, "hi", 2) == 2 && read(renamed, text, 8) == 2, "a node that was renamed");
	need(write(sender, "hi", 2) == 2 && read(deleted, text, 8) == 2, "a datagram socket whose node was deleted");
	int late = client(SOCK_STREAM, "twice");
	need(fcntl(older, F_SETFL, O_NONBLOCK) == 0 && accept(older, NULL, NULL) == -1, "an older listener");
	next = accept(newer, NULL, NULL);
	flows(late, next, "a newer listener");

	length = sizeof after;
	getsockname(automatic, (struct sockaddr *)&after, &length);
	need(memcmp(&before, &after, sizeof before) == 0, "an automatic name");

	need(write(half[0], "x", 1) == -1 && errno == EPIPE, "what was shut down");
	need(read(half[1], text, 8) == 0, "the end of what was shut down");
	need(write(half[1], "y", 1) == 1 && read(half[0], text, 8) == 1, "the other way");
	length = sizeof number;
	getsockopt(half[1], SOL_SOCKET, SO_PASSCRED, &number, &length);
	need(number == 1, "SO_PASSCRED");
	getsockopt(half[1], SOL_SOCKET, SO_SNDBUF, &number, &length);
	need(number == 80000, "SO_SNDBUF");
	length = sizeof patience;
	getsockopt(half[1], SOL_SOCKET, SO_RCVTIMEO, &patience, &length);
	need(!memcmp(&patience, &asked, sizeof asked), "SO_RCVTIMEO");
	length = sizeof linger;
	getsockopt(half[1], SOL_SOCKET, SO_LINGER, &linger, &length);
	need(linger.l_onoff == 1 && linger.l_linger == 9, "SO_LINGER");
	need(fcntl(half[1], F_GETFL) & O_NONBLOCK && !(fcntl(half[0], F_GETFL) & O_NONBLOCK), "O_NONBLOCK");
	unlink("listener");
	unlink("after");
	unlink("twice");
	need(chdir("/") == 0 && rmdir(folder) == 0, "nothing left behind");
	puts("pass");
	return 0;
}
