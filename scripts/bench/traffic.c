// Traffic between two programs, measured by the one that begins it.
//     traffic serve PORT CPU                      answers for ever
//     traffic stream ADDRESS PORT CPU SECONDS     one TCP stream; prints MiB per second, of the best 50 ms
//     traffic ask ADDRESS PORT CPU COUNT          one byte there and back; prints the median of the best tenth, in microseconds
//     traffic feed PORT CPU MIB                   has that much memory that cannot be compressed; feeds who connects, each millisecond
//     traffic watch ADDRESS PORT CPU SECONDS      is fed; prints the longest time without food, in milliseconds, and how much came
#define _GNU_SOURCE
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char block[128 << 10];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void stay_on(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
    if (sched_setaffinity(0, sizeof set, &set)) fail("sched_setaffinity");
}

static int at_once(int connection) {
    int on = 1;
    if (setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) fail("setsockopt");
    return connection;
}

// The first byte says what it is about: an echo, or a stream that is acknowledged at its end.
static void answer(int connection) {
    char kind;
    if (read(connection, &kind, 1) != 1) return;
    ssize_t size;
    while ((size = read(connection, block, kind == 'e' ? 1 : sizeof block)) > 0)
        if (kind == 'e' && write(connection, block, 1) != 1) return;
    if (kind == 's' && write(connection, "!", 1) != 1) return;
}

// Numbers each portion, so that the eater sees whether one is missing.
static void feed(int connection) {
    char kind;
    struct timespec pause = {0, 1000000};
    if (read(connection, &kind, 1) != 1) return;
    for (uint64_t number = 0;; number++) {
        uint64_t portion[512];
        for (int i = 0; i < 512; i++) portion[i] = number;
        for (size_t done = 0; done < sizeof portion;) {
            ssize_t size = write(connection, (char *)portion + done, sizeof portion - done);
            if (size <= 0) return;
            done += (size_t)size;
        }
        nanosleep(&pause, NULL);
    }
}

static void watch(int connection, double seconds) {
    double last = now(), end = last + seconds, longest = 0;
    uint64_t number = 0, word;
    size_t place = 0;
    while (last < end) {
        ssize_t size = read(connection, block, sizeof block);
        if (size <= 0) fail("read");
        double time = now();
        if (number && time - last > longest) longest = time - last;
        last = time;
        for (ssize_t i = 0; i < size; i++) {
            ((char *)&word)[place % 8] = block[i];
            if (++place % 8) continue;
            if (word != number) {
                fprintf(stderr, "portion %llu instead of %llu\n", (unsigned long long)word, (unsigned long long)number);
                exit(1);
            }
            if (place % 4096 == 0) number++;
        }
    }
    printf("%.1f %llu\n", longest * 1000, (unsigned long long)number);
}

static void grow(size_t mebibytes) {
    int random = open("/dev/urandom", O_RDONLY);
    char *memory = malloc(mebibytes << 20);
    for (size_t done = 0; done < mebibytes << 20;) {
        ssize_t size = read(random, memory + done, (mebibytes << 20) - done);
        if (size <= 0) fail("read");
        done += (size_t)size;
    }
    close(random);
}

static void serve(int port, void (*answer)(int)) {
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    int listener = socket(AF_INET6, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 8)) fail("listen");
    puts("ready");
    fflush(stdout);
    for (;;) {
        int connection = at_once(accept(listener, NULL, NULL));
        answer(connection);
        close(connection);
    }
}

static int reach(const char *address, const char *port, char kind) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(address, port, &hints, &found)) fail("getaddrinfo");
    int connection = at_once(socket(found->ai_family, SOCK_STREAM, 0));
    if (connect(connection, found->ai_addr, found->ai_addrlen)) fail("connect");
    if (write(connection, &kind, 1) != 1) fail("write");
    return connection;
}

// What else the machine does falls out: the best of many short times, each far longer than what buffers hold.
static void stream(int connection, double seconds) {
    double begun = now(), end = begun + seconds, best = 0, from = begun, sent = 0;
    for (double time = begun; time < end; time = now()) {
        if (time - from > 0.05) {
            if (sent / (time - from) > best) best = sent / (time - from);
            from = time;
            sent = 0;
        }
        ssize_t size = write(connection, block, sizeof block);
        if (size < 0) fail("write");
        sent += size;
    }
    shutdown(connection, SHUT_WR);
    if (read(connection, block, 1) != 1) fail("read");
    printf("%.1f\n", best / (1 << 20));
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void ask(int connection, int count) {
    enum { PARTS = 10 };
    size_t each = (size_t)count / PARTS;
    double *times = calloc(each, sizeof *times), best = 1e9;
    for (int part = 0; part < PARTS; part++) {
        for (size_t i = 0; i < each; i++) {
            double begun = now();
            if (write(connection, "?", 1) != 1 || read(connection, block, 1) != 1) fail("ask");
            times[i] = now() - begun;
        }
        qsort(times, each, sizeof *times, by_size);
        if (times[each / 2] < best) best = times[each / 2];
    }
    printf("%.2f\n", best * 1e6);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc == 4 && !strcmp(argv[1], "serve")) {
        stay_on(atoi(argv[3]));
        serve(atoi(argv[2]), answer);
    }
    if (argc == 5 && !strcmp(argv[1], "feed")) {
        grow((size_t)atoi(argv[4]));
        serve(atoi(argv[2]), feed);
    }
    if (argc != 6) return 2;
    stay_on(atoi(argv[4]));
    if (!strcmp(argv[1], "stream")) stream(reach(argv[2], argv[3], 's'), atof(argv[5]));
    if (!strcmp(argv[1], "watch")) watch(reach(argv[2], argv[3], 'w'), atof(argv[5]));
    if (!strcmp(argv[1], "ask")) ask(reach(argv[2], argv[3], 'e'), atoi(argv[5]));
    return 0;
}
