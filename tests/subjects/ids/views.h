// What a process can see of System V objects: by id, by index (SEM_STAT and its like), in /proc/sysvipc.
#pragma once
#include "calls.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { SEM, SHM, MSG, KINDS };
static const char *const names[] = {"sem", "shm", "msg"};

struct object {
    enum kind kind;
    int id;
    key_t key;
};

union status {
    struct semid_ds sem;
    struct shmid_ds shm;
    struct msqid_ds msg;
    struct seminfo sem_limits;
    struct shminfo shm_limits;
    struct shm_info shm_use;
    struct msginfo msg_limits;
};

static inline int control(enum kind kind, int id, int command, union status *status) {
    if (kind == SEM) return semaphores(id, 0, command, status);
    if (kind == SHM) return shmctl(id, command, (struct shmid_ds *)status);
    return msgctl(id, command, (struct msqid_ds *)status);
}

static inline struct ipc_perm *permissions(enum kind kind, union status *status) {
    return kind == SEM ? &status->sem.sem_perm : kind == SHM ? &status->shm.shm_perm : &status->msg.msg_perm;
}

/* Asks for each index that the kernel says is in use. Returns how many objects there are. */
static inline int list_by_index(enum kind kind, int any, struct object *found, int room) {
    static const int plain[] = {SEM_STAT, SHM_STAT, MSG_STAT}, all[] = {SEM_STAT_ANY, SHM_STAT_ANY, MSG_STAT_ANY};
    union status status;
    int count = 0, highest = control(kind, 0, IPC_INFO, &status);
    for (int index = 0; index <= highest && count < room; index++) {
        int id = control(kind, index, any ? all[kind] : plain[kind], &status);
        if (id >= 0) found[count++] = (struct object){kind, id, permissions(kind, &status)->__key};
    }
    return count;
}

/* Reads the lines of /proc/sysvipc. Returns how many objects there are, or -1. */
static inline int list_by_file(enum kind kind, struct object *found, int room) {
    static char text[1 << 18];
    char path[32];
    snprintf(path, sizeof path, "/proc/sysvipc/%s", names[kind]);
    int file = open(path, O_RDONLY);
    if (file < 0) return -1;
    long length = 0, got;
    while ((got = read(file, text + length, sizeof text - 1 - length)) > 0) length += got;
    close(file);
    text[length] = 0;
    int count = 0;
    char *line = strchr(text, '\n');
    for (; line && line[1] && count < room; line = strchr(line + 1, '\n')) {
        struct object *object = &found[count];
        object->kind = kind;
        if (sscanf(line + 1, "%d %d", &object->key, &object->id) == 2) count++;
    }
    return count;
}

/* How many objects the kernel says there are (SEM_INFO and its like). */
static inline int number_of(enum kind kind) {
    union status status;
    static const int commands[] = {SEM_INFO, SHM_INFO, MSG_INFO};
    if (control(kind, 0, commands[kind], &status) < 0) return -1;
    return kind == SEM ? status.sem_limits.semusz : kind == SHM ? status.shm_use.used_ids : status.msg_limits.msgpool;
}

/* What IPC_STAT says that stays the same over a restore. */
static inline int describe(struct object object, char *text, size_t size) {
    union status status;
    if (control(object.kind, object.id, IPC_STAT, &status) < 0) return -1;
    struct ipc_perm *is = permissions(object.kind, &status);
    int at = snprintf(text, size, "key %#x owner %u:%u maker %u:%u mode %#o ", (unsigned)is->__key, is->uid, is->gid,
                      is->cuid, is->cgid, (unsigned)is->mode);
    if (object.kind == SHM)
        return snprintf(text + at, size - at, "size %zu attached %lu by %d", status.shm.shm_segsz,
                        (unsigned long)status.shm.shm_nattch, status.shm.shm_cpid);
    if (object.kind == MSG)
        return snprintf(text + at, size - at, "messages %lu bytes %lu of %lu from %d to %d",
                        (unsigned long)status.msg.msg_qnum, (unsigned long)status.msg.__msg_cbytes,
                        (unsigned long)status.msg.msg_qbytes, status.msg.msg_lspid, status.msg.msg_lrpid);
    unsigned short values[32];
    if (semaphores(object.id, 0, GETALL, values) < 0) return -1;
    at += snprintf(text + at, size - at, "values");
    for (unsigned long i = 0; i < status.sem.sem_nsems; i++)
        at += snprintf(text + at, size - at, " %d by %d", values[i], semaphores(object.id, (int)i, GETPID, NULL));
    return at;
}
