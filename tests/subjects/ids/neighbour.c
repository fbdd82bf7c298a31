// Somebody else on the host: takes System V objects with ids and keys of its choice (/proc/sys/kernel/*_next_id), and tells
// what there is. Orders come on standard input, one answer each:
//     take sem|shm|msg ID KEY     took sem ID KEY; the key is 0 when another object has it
//     list                        is sem ID KEY, for each object, then end
#include "views.h"

static int create(enum kind kind, key_t key) {
    int flags = IPC_CREAT | IPC_EXCL | 0600;
    if (kind == SEM) return semget(key, 1, flags);
    if (kind == SHM) return shmget(key, 4096, flags);
    return msgget(key, flags);
}

static void wish(enum kind kind, int id) {
    char path[40];
    snprintf(path, sizeof path, "/proc/sys/kernel/%s_next_id", names[kind]);
    FILE *file = fopen(path, "w");
    if (!file || fprintf(file, "%d", id) < 0 || fclose(file) != 0) perror(path);
}

static void take(enum kind kind, int id, key_t key) {
    wish(kind, id);
    int got = create(kind, key);
    if (got < 0 && errno == EEXIST) got = create(kind, key = IPC_PRIVATE);
    printf("took %s %d %d\n", names[kind], got, key);
}

static void list(void) {
    static struct object found[8192];
    for (enum kind kind = 0; kind < KINDS; kind++) {
        int count = list_by_file(kind, found, 8192);
        for (int i = 0; i < count; i++) printf("is %s %d %d\n", names[kind], found[i].id, found[i].key);
    }
    puts("end");
}

int main(void) {
    char order[100], name[8];
    int id, key;
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    while (fgets(order, sizeof order, stdin)) {
        if (sscanf(order, "take %7s %d %d", name, &id, &key) != 3) {
            list();
            continue;
        }
        for (enum kind kind = 0; kind < KINDS; kind++)
            if (strcmp(name, names[kind]) == 0) take(kind, id, key);
    }
    return 0;
}
