// Every id that the kernel hands back is the application's own: signals, credentials, wait, locks, System V lists, /proc.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition, why) \
	do { \
		if (!(condition)) { \
			printf("fail: %s (%s)\n", why, strerror(errno)); \
			exit(1); \
		} \
	} while (0)

enum { QUEUED = 7, SENT = 8 };

static volatile sig_atomic_t ended;
static int queue, set, segment;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

/* Acts on each byte of orders. */
static int child(int orders, int talk, int file)
{
	char order;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = 2 };
	struct { long kind; char text[4]; } message = { 1, "hi" };
	while (read(orders, &order, 1) == 1) {
		if (order == 'b') {
			fcntl(file, F_SETLK, &lock);
			semctl(set, 0, SETVAL, 3);
			shmdt(shmat(segment, NULL, 0));
			msgsnd(queue, &message, 2, 0);
			send(talk, "before", 6, 0);
			sigqueue(getppid(), SIGRTMIN, (union sigval){ QUEUED });
		}
		if (order == 'a') {
			send(talk, "after", 5, 0);
			sigqueue(getppid(), SIGRTMIN, (union sigval){ SENT });
		}
		if (order == 'e')
			_exit(9);
		write(talk, "done", 4);
	}
	return 1;
}

/* A message of the child, and whose it is. */
static pid_t sender(int talk, const char *text)
{
	char bytes[16] = "", control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = { bytes, sizeof bytes };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	CHECK(recvmsg(talk, &message, 0) == (ssize_t)strlen(text) && !strcmp(bytes, text), "a message differs");
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	CHECK(header && header->cmsg_type == SCM_CREDENTIALS, "a message has no credentials");
	struct ucred *credentials = (struct ucred *)CMSG_DATA(header);
	return credentials->pid;
}

static pid_t signaller(const sigset_t *set, int value)
{
	siginfo_t info;
	CHECK(sigwaitinfo(set, &info) == SIGRTMIN && info.si_value.sival_int == value, "a signal differs");
	return info.si_pid;
}

/* Does a list of /proc/sysvipc name the object, with `pid` in one of its columns? */
static int listed(const char *list, int id, pid_t pid)
{
	char path[64], line[512];
	snprintf(path, sizeof path, "/proc/sysvipc/%s", list);
	FILE *file = fopen(path, "r");
	int found = 0;
	while (file && fgets(line, sizeof line, file)) {
		long column = 0, number, has_id = 0, has_pid = pid == 0;
		for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n"), column++) {
			number = strtol(word, NULL, 10);
			has_id |= column == 1 && number == id;
			has_pid |= column > 3 && number == pid;
		}
		found |= has_id && has_pid;
	}
	if (file)
		fclose(file);
	return found;
}

/* The object that an index of the kernel's table stands for, as SEM_STAT and its like answer. */
static int indexed(int kind, int id)
{
	struct seminfo sems;
	struct shm_info shms;
	struct msginfo msgs;
	struct semid_ds sem;
	struct shmid_ds shm;
	struct msqid_ds msg;
	int last = kind == 0 ? semctl(0, 0, SEM_INFO, &sems) : kind == 1 ? shmctl(0, SHM_INFO, (void *)&shms)
		: msgctl(0, MSG_INFO, (void *)&msgs);
	for (int index = 0; index <= last; index++) {
		int found = kind == 0 ? semctl(index, 0, SEM_STAT, &sem) : kind == 1 ? shmctl(index, SHM_STAT, &shm)
			: msgctl(index, MSG_STAT, &msg);
		if (found == id)
			return 1;
	}
	return 0;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigset_t blocked, before, queued;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGRTMIN);
	sigemptyset(&queued);
	sigaddset(&queued, SIGRTMIN);
	signal(SIGTERM, end);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaddset(&before, SIGRTMIN);
	FILE *scratch = tmpfile();
	int orders[2], talk[2], on = 1, file = fileno(scratch);
	queue = msgget(0x57a515, IPC_CREAT | IPC_EXCL | 0600);
	set = semget(0x57a515, 2, IPC_CREAT | IPC_EXCL | 0600);
	segment = shmget(0x57a515, 4096, IPC_CREAT | IPC_EXCL | 0600);
	CHECK(queue >= 0 && set >= 0 && segment >= 0, "cannot make objects");
	CHECK(!pipe(orders) && !socketpair(AF_UNIX, SOCK_DGRAM, 0, talk), "cannot prepare");
	setsockopt(talk[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	pid_t pid = getpid(), session = getsid(0), group = getpgrp(), tid = syscall(SYS_gettid);
	pid_t other = fork();
	if (!other)
		_exit(child(orders[0], talk[1], file));
	setpgid(other, other);
	int handle = syscall(SYS_pidfd_open, other, 0);
	write(orders[1], "b", 1);
	/* All of it waits: two messages and a signal. */
	siginfo_t pending;
	while (memset(&pending, 0, sizeof pending), usleep(1000), recv(talk[0], &on, 0, MSG_PEEK | MSG_DONTWAIT) < 0) {}
	sigset_t there;
	do
		sigpending(&there);
	while (!sigismember(&there, SIGRTMIN));
	puts("ready");
	while (!ended)
		sigsuspend(&before);

	CHECK(getpid() == pid && getsid(0) == session && getpgrp() == group && syscall(SYS_gettid) == tid, "own ids differ");
	CHECK(getpgid(other) == other && !kill(other, 0), "the child has other ids");
	CHECK(sender(talk[0], "before") == other && sender(talk[0], "done") == other, "a queued message is somebody else's");
	CHECK(signaller(&queued, QUEUED) == other, "a queued signal is somebody else's");
	write(orders[1], "a", 1);
	CHECK(sender(talk[0], "after") == other && sender(talk[0], "done") == other, "a message is somebody else's");
	CHECK(signaller(&queued, SENT) == other, "a signal is somebody else's");
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	CHECK(!fcntl(file, F_GETLK, &lock) && lock.l_type == F_WRLCK && lock.l_start == 3 && lock.l_pid == other,
		"a lock is somebody else's");
	struct shmid_ds shm;
	struct msqid_ds msg;
	CHECK(semctl(set, 0, GETPID) == other, "a semaphore is somebody else's");
	CHECK(!shmctl(segment, IPC_STAT, &shm) && shm.shm_cpid == pid, "a segment is somebody else's");
	CHECK(!msgctl(queue, IPC_STAT, &msg) && msg.msg_lspid == other, "a queue is somebody else's");
	CHECK(listed("sem", set, 0) && listed("shm", segment, pid) && listed("msg", queue, other), "a list names others");
	CHECK(indexed(0, set) && indexed(1, segment) && indexed(2, queue), "an index leads to others");
	char link[32] = "", path[64], line[128];
	CHECK(readlink("/proc/self", link, 31) > 0 && atoi(link) == pid, "/proc/self is somebody else");
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", handle);
	FILE *info = fopen(path, "r");
	int named = 0;
	while (info && fgets(line, sizeof line, info))
		named |= !strncmp(line, "Pid:", 4) && atoi(line + 4) == other;
	CHECK(named, "a handle is of somebody else");
	write(orders[1], "e", 1);
	siginfo_t ending;
	CHECK(!waitid(P_PID, other, &ending, WEXITED) && ending.si_pid == other && ending.si_status == 9, "wait tells of others");
	semctl(set, 0, IPC_RMID);
	shmctl(segment, IPC_RMID, NULL);
	msgctl(queue, IPC_RMID, NULL);
	puts("pass");
	return 0;
}
