// Open files without their names, folders, memory files and files of /proc come back as what they were.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;
static char base[64], path[200], other[200];

static void on_term(int number) { (void)number; stopped = 1; }

static void clean(void) {
    char command[100];
    if (chdir("/")) return;
    snprintf(command, sizeof command, "rm -rf %s", base);
    if (system(command)) puts("could not clean up");
}

static void fail(const char *why) {
    printf("fail: %s (%s)\n", why, strerror(errno));
    clean();
    exit(1);
}

static char *in(const char *name) {
    snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static int make(const char *name, int flags, const char *text) {
    int fd = open(in(name), flags | O_CREAT, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) fail(name);
    return fd;
}

static void holds(int fd, const char *text, const char *what) {
    char buffer[100] = "";
    if (pread(fd, buffer, 99, 0) != (ssize_t)strlen(text) || strcmp(buffer, text)) fail(what);
}

static int same(int a, int b) {
    struct stat one, two;
    return !fstat(a, &one) && !fstat(b, &two) && one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigset_t term, none;
    sigemptyset(&none);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGTERM, on_term);
    snprintf(base, sizeof base, "/tmp/stasis-files-%d", getpid());
    if (mkdir(base, 0755)) fail("set-up");

    // Deleted, with attributes, twice open, mapped both ways.
    int gone = make("gone", O_RDWR, "hello ghost"), gone_again = open(in("gone"), O_RDONLY);
    struct timespec times[2] = {{1000, 5}, {2000, 7}};
    if (ftruncate(gone, 8 << 20) || pwrite(gone, "end", 3, (8 << 20) - 3) != 3) fail("set-up");
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, gone, 0);
    char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, gone, 0);
    lseek(gone, 3, SEEK_SET);
    fchmod(gone, 04750);
    futimens(gone, times);
    unlink(in("gone"));
    int taken = make("gone", O_RDWR, "another with its name");
    // Nameless, to be linked later.
    int nameless = open(base, O_TMPFILE | O_RDWR, 0600);
    if (nameless < 0 || write(nameless, "temporary", 9) != 9) fail("O_TMPFILE");
    // Its other name lives on.
    int lost = make("lost", O_RDWR, "two names");
    mkdir(in("sub"), 0755);
    snprintf(other, sizeof other, "%s/sub/kept", base);
    if (link(in("lost"), other)) fail("link");
    unlink(in("lost"));
    struct stat before, after;
    fstat(lost, &before);
    // In a folder that is gone, too; and that folder.
    mkdir(in("folder"), 0750);
    int inside = make("folder/file", O_RDWR, "inside"), folder = open(in("folder"), O_RDONLY | O_DIRECTORY);
    unlink(in("folder/file"));
    rmdir(in("folder"));
    // A working folder that is gone.
    mkdir(in("cwd"), 0711);
    if (chdir(in("cwd"))) fail("chdir");
    int cwd = open(".", O_PATH);
    rmdir(in("cwd"));
    // A name that looks deleted.
    int odd = make("odd (deleted)", O_RDWR, "odd");
    // A FIFO that is gone, with data.
    mkfifo(in("fifo"), 0600);
    int fifo = open(in("fifo"), O_RDWR);
    unlink(in("fifo"));
    if (write(fifo, "queued", 6) != 6) fail("fifo");
    // Renamed; append mode; a folder half read.
    int renamed = make("before", O_RDWR, "renamed");
    snprintf(other, sizeof other, "%s/after", base);
    rename(in("before"), other);
    int log = make("log", O_WRONLY | O_APPEND, "line\n");
    for (int i = 0; i < 50; i++) {
        char name[20];
        snprintf(name, sizeof name, "sub/%d", i);
        close(make(name, O_WRONLY, ""));
    }
    int listing = open(in("sub"), O_RDONLY | O_DIRECTORY);
    char entries[600];
    long first = syscall(SYS_getdents64, listing, entries, sizeof entries);
    if (first <= 0) fail("getdents");
    // A memory file, by two descriptions, one read-only.
    int memory = memfd_create("a name", 0);
    if (write(memory, "memory", 6) != 6) fail("memfd");
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    int reader = open(path, O_RDONLY);
    char *view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    fchmod(memory, 0640);
    // Of processes: one's own, and one that has ended.
    int own = open("/proc/self/stat", O_RDONLY);
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    snprintf(path, sizeof path, "/proc/%d/status", child);
    int ended = open(path, O_RDONLY);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    int symbolic = symlink("nowhere", in("symlink")) ? -1 : open(in("symlink"), O_PATH | O_NOFOLLOW);

    puts("ready");
    while (!stopped) sigsuspend(&none);

    char buffer[4096] = "";
    if (fstat(gone, &after) || after.st_size != 8 << 20 || after.st_mode != (S_IFREG | 04750)) fail("size or mode of a ghost");
    if (after.st_mtim.tv_sec != 2000 || after.st_mtim.tv_nsec != 7 || after.st_nlink) fail("time or links of a ghost");
    if (after.st_blocks > 64) fail("holes of a ghost");
    if (lseek(gone, 0, SEEK_CUR) != 3 || read(gone, buffer, 8) != 8 || memcmp(buffer, "lo ghost", 8)) fail("contents of a ghost");
    if (pread(gone_again, buffer, 3, (8 << 20) - 3) != 3 || memcmp(buffer, "end", 3)) fail("end of a ghost");
    if (!same(gone, gone_again)) fail("two descriptors of a ghost");
    if (pwrite(gone, "J", 1, 0) != 1 || *shared != 'J' || *private != 'J') fail("mappings of a ghost");
    *private = 'P';
    if (*shared != 'J') fail("private mapping of a ghost");
    holds(taken, "another with its name", "the file that has a ghost's name");
    holds(nameless, "temporary", "a nameless file");
    snprintf(other, sizeof other, "/proc/self/fd/%d", nameless);
    if (linkat(AT_FDCWD, other, AT_FDCWD, in("named"), AT_SYMLINK_FOLLOW)) fail("naming a nameless file");
    if (fstat(lost, &after) || after.st_ino != before.st_ino || after.st_nlink != 1) fail("a file with another name");
    if (pwrite(lost, "TWO", 3, 0) != 3) fail("write");
    int kept = open(in("sub/kept"), O_RDONLY);
    holds(kept, "TWO names", "the other name's file");
    holds(inside, "inside", "a ghost in a deleted folder");
    if (fstat(folder, &after) || !S_ISDIR(after.st_mode) || after.st_nlink || (after.st_mode & 07777) != 0750) fail("a deleted folder");
    struct stat here;
    if (stat(".", &here) || fstat(cwd, &after) || here.st_ino != after.st_ino || here.st_nlink || (here.st_mode & 07777) != 0711)
        fail("a deleted working folder");
    if (!(fcntl(cwd, F_GETFL) & O_PATH)) fail("O_PATH");
    holds(odd, "odd", "a file with an odd name");
    if (access(in("odd (deleted)"), F_OK)) fail("an odd name");
    if (read(fifo, buffer, 10) != 6 || memcmp(buffer, "queued", 6) || fstat(fifo, &after) || !S_ISFIFO(after.st_mode)) fail("a deleted FIFO");
    holds(renamed, "renamed", "a renamed file");
    if (write(log, "more", 4) != 4 || !(fcntl(log, F_GETFL) & O_APPEND) || stat(in("log"), &after) || after.st_size != 9) fail("append mode");
    long count = 0, got;
    while ((got = syscall(SYS_getdents64, listing, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < got; at += *(unsigned short *)(buffer + at + 16)) count++;
    for (long at = 0; at < first; at += *(unsigned short *)(entries + at + 16)) count++;
    if (count != 53) fail("position in a folder");
    strcpy(view, "MEM");
    if (lseek(reader, 0, SEEK_CUR) != 0 || read(reader, buffer, 3) != 3 || memcmp(buffer, "MEM", 3)) fail("a memory file");
    if (write(reader, "x", 1) >= 0 || lseek(memory, 0, SEEK_CUR) != 6 || fstat(memory, &after) || (after.st_mode & 07777) != 0640) fail("descriptors of a memory file");
    if (fcntl(memory, F_GETFL) != (fcntl(memory, F_GETFL) & ~O_NONBLOCK)) fail("flags");
    memset(buffer, 0, sizeof buffer);
    if (read(own, buffer, 100) < 1 || atoi(buffer) != getpid()) fail("own stat");
    if (read(ended, buffer, 10) >= 0 || errno != ESRCH) fail("status of a process that has ended");
    if (fstat(symbolic, &after) || !S_ISLNK(after.st_mode)) fail("a symbolic link");
    DIR *left = opendir(base);
    for (struct dirent *entry; (entry = readdir(left));)
        if (strstr(entry->d_name, ".stasis") || !strcmp(entry->d_name, "cwd") || !strcmp(entry->d_name, "folder") || !strcmp(entry->d_name, "fifo"))
            fail("something was left behind");
    clean();
    puts("pass");
    return 0;
}
