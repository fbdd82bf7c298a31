/*
 * Holds what only one program on a host can hold: a port, the path of a socket, an abstract name, a port for datagrams,
 * three kinds of file locks. "one_of_a_kind FOLDER PORT" prints "ready", adds one to a number in memory for every line that a client
 * sends to any of its sockets, answers with the number, and, for the line "check", with "pass" or "fail: why".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TCP, UNIX_PATH, UNIX_ABSTRACT, UDP, COUNT };

static int number;
static char locked[3][512];
static int holders[3];

static void die(const char *what)
{
	printf("fail: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int must(int value, const char *what)
{
	if (value < 0)
		die(what);
	return value;
}

static int at_port(int type, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = must(socket(AF_INET, type, 0), "socket");

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(fd, (void *)&address, sizeof address), "bind");
	return fd;
}

static int at_name(const char *name, int abstract)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(name);
	int fd = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");

	memcpy(address.sun_path + abstract, name, length);
	must(bind(fd, (void *)&address, offsetof(struct sockaddr_un, sun_path) + abstract + length), "bind");
	return fd;
}

static int record(int fd, int command)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5 };

	return fcntl(fd, command, &lock);
}

static int take(int kind, int fd)
{
	if (kind == 0)
		return flock(fd, LOCK_EX | LOCK_NB);
	return record(fd, kind == 1 ? F_SETLK : F_OFD_SETLK);
}

static void lock_all(const char *folder)
{
	for (int kind = 0; kind < 3; kind++) {
		snprintf(locked[kind], sizeof locked[kind], "%s/lock-%d", folder, kind);
		holders[kind] = must(open(locked[kind], O_RDWR | O_CREAT, 0600), "open");
		must(take(kind, holders[kind]), "lock");
	}
}

/* Another process must not get any of the locks. */
static const char *check(void)
{
	static char why[64];

	for (int kind = 0; kind < 3; kind++) {
		pid_t child = must(fork(), "fork");
		int status;

		if (child == 0) {
			int fd = open(locked[kind], O_RDWR);

			_exit(fd < 0 ? 2 : take(kind, fd) == 0);
		}
		must(waitpid(child, &status, 0), "waitpid");
		if (status != 0) {
			snprintf(why, sizeof why, "fail: lock %d is free (%d)", kind, status);
			return why;
		}
	}
	return "pass";
}

static void answer(int fd, const struct sockaddr *to, socklen_t length, const char *line)
{
	char text[128];

	if (strncmp(line, "check", 5) == 0)
		snprintf(text, sizeof text, "%s\n", check());
	else
		snprintf(text, sizeof text, "%d\n", ++number);
	printf("%s", text);
	sendto(fd, text, strlen(text), MSG_NOSIGNAL, to, length);
}

static void serve(int fd)
{
	char line[128] = "";
	int client = accept(fd, NULL, NULL);

	if (client >= 0 && read(client, line, sizeof line - 1) > 0)
		answer(client, NULL, 0, line);
	close(client);
}

static void serve_datagram(int fd)
{
	struct sockaddr_in from;
	socklen_t length = sizeof from;
	char line[128] = "";

	if (recvfrom(fd, line, sizeof line - 1, 0, (void *)&from, &length) > 0)
		answer(fd, (void *)&from, length, line);
}

int main(int argc, char **argv)
{
	struct pollfd set[COUNT];
	char path[512];

	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(path, sizeof path, "%s/socket", argv[1]);
	set[TCP].fd = at_port(SOCK_STREAM, atoi(argv[2]));
	set[UNIX_PATH].fd = at_name(path, 0);
	snprintf(path, sizeof path, "stasis-one-of-a-kind-%s", argv[2]);
	set[UNIX_ABSTRACT].fd = at_name(path, 1);
	set[UDP].fd = at_port(SOCK_DGRAM, atoi(argv[2]));
	for (int i = 0; i < COUNT; i++) {
		set[i].events = POLLIN;
		if (i != UDP)
			must(listen(set[i].fd, 16), "listen");
	}
	lock_all(argv[1]);
	puts("ready");
	for (;;) {
		must(poll(set, COUNT, -1), "poll");
		for (int i = 0; i < COUNT; i++)
			if (set[i].revents && i == UDP)
				serve_datagram(set[i].fd);
			else if (set[i].revents)
				serve(set[i].fd);
	}
}
