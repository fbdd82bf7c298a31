// POSIX shared memory and named semaphores keep names, contents, attributes and times, and stay shared by processes.
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024 * 1024)
#define SIZE (64 * MIB)
#define CHECK(condition, why) \
	do { \
		if (!(condition)) { \
			printf("fail: %s (%s)\n", why, strerror(errno)); \
			exit(1); \
		} \
	} while (0)

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static char *map(const char *name, int flags, size_t size, mode_t mode)
{
	int fd = shm_open(name, flags, mode);
	CHECK(fd >= 0, name);
	if (flags & O_CREAT)
		CHECK(!ftruncate(fd, size), "cannot size an object");
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(at != MAP_FAILED, "cannot map an object");
	close(fd);
	return at;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigset_t term, before;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	signal(SIGTERM, end);
	sigprocmask(SIG_BLOCK, &term, &before);
	umask(0);
	/* Names that any other instance of this program uses as well. */
	char *kept = map("/stasis-kept", O_CREAT | O_EXCL | O_RDWR, SIZE, 0640);
	char *gone = map("/stasis-gone", O_CREAT | O_EXCL | O_RDWR, 8192, 0600);
	char *sealed = map("/stasis-sealed", O_CREAT | O_EXCL | O_RDWR, 4096, 0444);
	sem_t *wake = sem_open("/stasis-wake", O_CREAT | O_EXCL, 0600, 0);
	sem_t *count = sem_open("/stasis-count", O_CREAT | O_EXCL, 0600, 5);
	CHECK(wake != SEM_FAILED && count != SEM_FAILED, "cannot make semaphores");
	int file = open("/dev/shm/stasis-open", O_CREAT | O_EXCL | O_RDWR, 0600);
	CHECK(file >= 0 && write(file, "0123456789", 10) == 10 && lseek(file, 4, SEEK_SET) == 4, "cannot make a file");
	CHECK(!mkdir("/dev/shm/stasis-folder", 0750), "cannot make a folder");
	CHECK(!link("/dev/shm/stasis-open", "/dev/shm/stasis-folder/other"), "cannot make a link");
	CHECK(!symlink("/nowhere", "/dev/shm/stasis-link"), "cannot make a symbolic link");
	for (int page = 0; page < MIB; page += 4096)
		kept[page] = kept[SIZE - MIB + page] = (char)(page / 4096 * 7);
	strcpy(gone, "gone");
	strcpy(sealed, "sealed");
	shm_unlink("/stasis-gone");
	struct timespec times[2] = {{1000, 5}, {2000, 7}};
	utimensat(AT_FDCWD, "/dev/shm/stasis-folder", times, 0);
	struct stat first, second;
	stat("/dev/shm/stasis-kept", &first);
	pid_t child = fork();
	if (!child) {
		while (sem_wait(wake)) {}
		_exit(strcmp(kept + MIB, "written after") || strcmp(gone, "changed") || strcmp(sealed, "sealed"));
	}
	puts("ready");
	while (!ended)
		sigsuspend(&before);

	CHECK(!stat("/dev/shm/stasis-kept", &second), "an object lost its name");
	CHECK(second.st_size == SIZE && (second.st_mode & 07777) == 0640, "size or mode differ");
	CHECK(second.st_mtim.tv_sec == first.st_mtim.tv_sec && second.st_mtim.tv_nsec == first.st_mtim.tv_nsec, "times differ");
	CHECK(second.st_blocks < 3 * MIB / 512, "the holes were filled");
	for (int page = 0; page < MIB; page += 4096)
		CHECK(kept[page] == (char)(page / 4096 * 7) && kept[SIZE - MIB + page] == kept[page], "contents differ");
	CHECK(!stat("/dev/shm/stasis-sealed", &second) && (second.st_mode & 0777) == 0444, "a mode differs");
	CHECK(!stat("/dev/shm/stasis-folder", &second) && (second.st_mode & 07777) == 0750 && second.st_mtim.tv_sec == 2000
		&& second.st_mtim.tv_nsec == 7, "the folder differs");
	CHECK(!stat("/dev/shm/stasis-folder/other", &first) && !fstat(file, &second) && first.st_ino == second.st_ino
		&& first.st_nlink == 2, "the names are of different files");
	char bytes[16] = "";
	CHECK(read(file, bytes, 16) == 6 && !strcmp(bytes, "456789"), "the open file differs");
	CHECK(readlink("/dev/shm/stasis-link", bytes, 16) == 8 && !memcmp(bytes, "/nowhere", 8), "the link differs");
	CHECK(shm_open("/stasis-gone", O_RDWR, 0) < 0 && errno == ENOENT, "a removed object is back");
	int value;
	CHECK(!sem_getvalue(count, &value) && value == 5, "a semaphore has another value");
	sem_t *again = sem_open("/stasis-count", 0);
	CHECK(again != SEM_FAILED && !sem_wait(again) && !sem_getvalue(count, &value) && value == 4, "a semaphore is not its name's");
	/* Through its name, in a mapping of its own. */
	char *other = map("/stasis-kept", O_RDWR, SIZE, 0);
	strcpy(other + MIB, "written after");
	CHECK(!strcmp(kept + MIB, "written after"), "the name is another object's");
	strcpy(gone, "changed");
	int status;
	CHECK(!sem_post(wake) && waitpid(child, &status, 0) == child && status == 0, "the child sees other memory");
	puts("pass");
	return 0;
}
