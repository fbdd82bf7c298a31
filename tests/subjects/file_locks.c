// Locks of all kinds are held again by whom they were, with their ranges.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;
static char path[64], leased[64];

static void on_term(int number) { (void)number; stopped = 1; }

static void fail(const char *why) {
    printf("fail: %s (%s)\n", why, strerror(errno));
    unlink(path);
    unlink(leased);
    exit(1);
}

static struct flock range(short type, off_t start, off_t length) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return lock;
}

/* Who would stand in the way of a write lock there: a pid, -1 for a description, 0 for nobody. */
static int holder(int fd, off_t start, off_t length, short *type) {
    struct flock lock = range(F_WRLCK, start, length);
    if (fcntl(fd, F_GETLK, &lock)) fail("F_GETLK");
    if (type) *type = lock.l_type;
    return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigset_t term, none;
    sigemptyset(&none);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGTERM, on_term);
    snprintf(path, sizeof path, "/tmp/stasis-locks-%d", getpid());
    snprintf(leased, sizeof leased, "/tmp/stasis-lease-%d", getpid());
    int go[2], told[2];
    if (pipe(go) || pipe(told)) fail("pipe");
    int fd = open(path, O_RDWR | O_CREAT, 0600), reading = open(path, O_RDONLY), own = open(path, O_RDWR);
    struct flock lock = range(F_WRLCK, 0, 10);
    if (fcntl(fd, F_SETLK, &lock)) fail("record lock");
    lock = range(F_RDLCK, 100, 0);
    if (fcntl(reading, F_SETLK, &lock)) fail("record lock");
    lock = range(F_WRLCK, 50, 5);
    if (fcntl(own, F_OFD_SETLK, &lock)) fail("description lock");
    if (flock(fd, LOCK_EX)) fail("flock");
    int lease = open(leased, O_RDWR | O_CREAT, 0600);
    close(lease);
    lease = open(leased, O_RDONLY);
    if (fcntl(lease, F_SETLEASE, F_RDLCK)) fail("lease");
    pid_t child = fork();
    if (child == 0) {
        lock = range(F_WRLCK, 20, 10);
        if (fcntl(fd, F_SETLK, &lock)) _exit(1);
        char byte = 0;
        if (write(told[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) _exit(2);
        short type;
        if (holder(fd, 0, 10, &type) != getppid() || type != F_WRLCK) _exit(3);
        if (holder(fd, 100, 10, &type) != getppid() || type != F_RDLCK) _exit(4);
        if (holder(fd, 50, 1, NULL) != -1 || holder(fd, 60, 10, NULL) != 0) _exit(5);
        lock = range(F_UNLCK, 20, 10);
        if (fcntl(fd, F_SETLK, &lock)) _exit(6);
        _exit(0);
    }
    char byte = 0;
    if (read(told[0], &byte, 1) != 1) fail("the child");
    puts("ready");
    while (!stopped) sigsuspend(&none);

    if (holder(fd, 20, 10, NULL) != child) fail("the child's lock");
    if (holder(fd, 10, 10, NULL) != 0) fail("a lock that nobody took");
    int other = open(path, O_RDWR);
    if (flock(other, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) fail("flock is lost");
    if (flock(fd, LOCK_EX | LOCK_NB)) fail("flock is another's");
    lock = range(F_WRLCK, 50, 1);
    if (fcntl(own, F_OFD_SETLK, &lock)) fail("the description's lock is another's");
    if (fcntl(lease, F_GETLEASE) != F_RDLCK) fail("lease");
    int status;
    if (write(go[1], &byte, 1) != 1 || waitpid(child, &status, 0) != child || status) fail("what the child sees");
    if (holder(fd, 20, 10, NULL) != 0) fail("a lock outlives its holder");
    unlink(path);
    unlink(leased);
    puts("pass");
    return 0;
}
