// Both ends of a pseudo terminal: number, settings, size, queued lines both ways, session, foreground group, hang-up.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define CHECK(condition, why) \
	if (!(condition)) { \
		printf("fail: %s (%s)\n", why, strerror(errno)); \
		return 1; \
	}

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static int open_pty(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	grantpt(master);
	unlockpt(master);
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	return master;
}

static int has(int fd, const char *wanted)
{
	char bytes[256] = "";
	struct pollfd ready = { fd, POLLIN, 0 };
	if (poll(&ready, 1, 2000) != 1)
		return 0;
	ssize_t length = read(fd, bytes, sizeof bytes);
	return length == (ssize_t)strlen(wanted) && !memcmp(bytes, wanted, length);
}

/* A session of its own on the slave; its member answers whether it has the terminal, and leads the foreground group. */
static int lead(int slave, int ready, int answer)
{
	setsid();
	if (ioctl(slave, TIOCSCTTY, 0))
		return 2;
	signal(SIGTTOU, SIG_IGN);
	pid_t member = fork();
	if (!member) {
		setpgid(0, 0);
		tcsetpgrp(slave, getpid());
		write(ready, "r", 1);
		while (!ended)
			pause();
		int tty = open("/dev/tty", O_RDWR);
		char good = tty >= 0 && tcgetpgrp(tty) == getpgrp() && tcgetsid(tty) == getsid(0);
		write(answer, &good, 1);
		_exit(0);
	}
	waitpid(member, NULL, 0);
	return 0;
}

int main(void)
{
	int slave, raw_slave, dead_slave, ready[2], answer[2];
	sigset_t term, before;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	setvbuf(stdout, NULL, _IOLBF, 0);
	int master = open_pty(&slave), raw = open_pty(&raw_slave), dead = open_pty(&dead_slave);
	CHECK(master >= 0 && raw >= 0 && dead >= 0 && !pipe(ready) && !pipe(answer), "cannot prepare");
	signal(SIGTERM, end);
	close(dead);
	pid_t leader = fork();
	if (!leader)
		_exit(lead(slave, ready[1], answer[1]));
	char *name = strdup(ptsname(master));
	struct winsize size = { 33, 77, 5, 6 }, size_now;
	struct termios settings, now;
	/* The padding is compared as well. */
	memset(&settings, 0, sizeof settings);
	memset(&now, 0, sizeof now);
	tcgetattr(slave, &settings);
	settings.c_lflag &= ~ECHO;
	settings.c_cc[VINTR] = 7;
	tcsetattr(slave, TCSANOW, &settings);
	ioctl(master, TIOCSWINSZ, &size);
	tcgetattr(raw_slave, &now);
	cfmakeraw(&now);
	tcsetattr(raw_slave, TCSANOW, &now);
	int packet = 1;
	ioctl(raw, TIOCPKT, &packet);
	char byte;
	CHECK(read(ready[0], &byte, 1) == 1, "the session did not start");
	write(master, "one\ntwo\nthr", 11);
	write(slave, "shown\n", 6);
	write(raw, "\003\n\004", 3);
	usleep(100000);
	sigprocmask(SIG_BLOCK, &term, &before);
	puts("ready");
	while (!ended)
		sigsuspend(&before);

	struct stat node, end_of_it;
	CHECK(!strcmp(ptsname(master), name), "the terminal has another name");
	CHECK(!stat(name, &node) && !fstat(slave, &end_of_it) && node.st_rdev == end_of_it.st_rdev, "the name is another's");
	tcgetattr(slave, &now);
	CHECK(!memcmp(&now, &settings, sizeof now), "the settings changed");
	CHECK(!ioctl(slave, TIOCGWINSZ, &size_now) && !memcmp(&size, &size_now, sizeof size), "the size changed");
	CHECK(has(slave, "one\n") && has(slave, "two\n"), "lines were lost");
	write(master, "ee\n", 3);
	CHECK(has(slave, "three\n"), "the unfinished line was lost");
	CHECK(has(master, "shown\r\n"), "output was lost");
	CHECK(has(raw_slave, "\003\n\004"), "raw bytes were lost");
	packet = 0;
	CHECK(!ioctl(raw, TIOCGPKT, &packet) && packet, "packet mode is off");
	CHECK(read(dead_slave, &byte, 1) == 0 && tcgetattr(dead_slave, &now) && errno == EIO, "the hung-up terminal lives");
	pid_t group;
	CHECK(!ioctl(master, TIOCGPGRP, &group) && group > 0 && group != leader, "the foreground group changed");
	kill(group, SIGTERM);
	CHECK(read(answer[0], &byte, 1) == 1 && byte, "a member of the session lost its terminal");
	puts("pass");
	kill(leader, SIGKILL);
	return 0;
}
