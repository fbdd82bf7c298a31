// Processes with a root folder of their own: their files, working folders (one of them outside) and umask.
// needs: root
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void on_term(int number) { (void)number; stopped = 1; }

static void fail(const char *why) {
    printf("fail: %s (%s)\n", why, strerror(errno));
    exit(1);
}

/* In the new root; `cwd` is where the process should be. */
static int check(int file, char *map, int outside) {
    struct stat inside, opened;
    char text[10] = "";
    if (stat("/file", &inside) || fstat(file, &opened) || inside.st_ino != opened.st_ino) return 1;
    if (pread(file, text, 9, 0) != 4 || strcmp(text, "root") || memcmp(map, "root", 4)) return 2;
    if (umask(0) != 027) return 3;
    if (outside ? access("marker", F_OK) : access("../file", F_OK)) return 4;
    return 0;
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigset_t term, none;
    sigemptyset(&none);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGTERM, on_term);
    char base[60], jail[80];
    strcpy(base, "/tmp/stasis-root-XXXXXX"); // A pid would do for one capsule only.
    if (!mkdtemp(base) || chmod(base, 0755)) fail("set-up");
    snprintf(jail, sizeof jail, "%s/jail", base);
    if (mkdir(jail, 0755) || chdir(base)) fail("set-up");
    close(open("marker", O_CREAT | O_WRONLY, 0644));
    int go[2], told[2];
    if (pipe(go) || pipe(told)) fail("pipe");
    for (int outside = 0; outside < 2; outside++) {
        pid_t child = fork();
        if (child) continue;
        if (chroot(jail) || (!outside && (chdir("/") || (mkdir("/sub", 0755) && errno != EEXIST) || chdir("sub")))) _exit(10);
        umask(027);
        int file = open("/file", O_RDWR | O_CREAT, 0644);
        if (file < 0 || pwrite(file, "root", 4, 0) != 4) _exit(11);
        char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0), byte = 0;
        if (map == MAP_FAILED || write(told[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) _exit(12);
        _exit(check(file, map, outside));
    }
    char byte = 0;
    for (int i = 0; i < 2; i++)
        if (read(told[0], &byte, 1) != 1) fail("read");
    puts("ready");
    while (!stopped) sigsuspend(&none);
    if (write(go[1], "..", 2) != 2) fail("write");
    for (int i = 0; i < 2; i++) {
        int status;
        if (wait(&status) < 0 || status) {
            printf("fail: a process in another root found fault %d\n", WEXITSTATUS(status));
            return 1;
        }
    }
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", base);
    if (system(command)) fail("rm");
    puts("pass");
    return 0;
}
