/* Every System V call, with what it answers, but no id: the output is the same whether the ids are the kernel's or an
 * application's own. Run in an IPC namespace of its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };
struct text { long type; char bytes[64]; };

static void say(const char *what, long result) {
  if (result < 0) printf("%-40s %s\n", what, strerrorname_np(errno));
  else printf("%-40s %ld\n", what, result);
  fflush(stdout);
}
/* An id: only whether there is one. */
static int id(const char *what, int result) { say(what, result < 0 ? result : 1); return result; }

static void semaphores(void) {
  struct semid_ds status;
  struct seminfo info;
  unsigned short values[4] = {5, 6, 7, 8};
  id("semget unknown key", semget(0x1234, 4, 0600));
  int set = id("semget create", semget(0x1234, 4, IPC_CREAT | 0640));
  say("semget again is the same", semget(0x1234, 0, 0) == set);
  id("semget exclusive", semget(0x1234, 4, IPC_CREAT | IPC_EXCL | 0600));
  id("semget too many of a known key", semget(0x1234, 5, 0600));
  id("semget too large", semget(IPC_PRIVATE, 1 << 30, 0600));
  id("semget none", semget(IPC_PRIVATE, 0, 0600));
  say("semget by syscall is the same", syscall(SYS_semget, 0x1234, 0, 0) == set);
  int private = id("semget private", semget(IPC_PRIVATE, 2, 0600));
  say("they differ", private != set);
  say("SETALL", semctl(set, 0, SETALL, (union semun){.array = values}));
  memset(values, 0, sizeof values);
  say("GETALL", semctl(set, 0, GETALL, (union semun){.array = values}));
  for (int i = 0; i < 4; i++) say("value", values[i]);
  say("SETVAL", semctl(set, 2, SETVAL, (union semun){.val = 3}));
  say("GETVAL", semctl(set, 2, GETVAL));
  say("GETVAL by syscall", syscall(SYS_semctl, set, 2, GETVAL, 0));
  say("GETVAL beyond", semctl(set, 9, GETVAL));
  say("GETPID is mine", semctl(set, 2, GETPID) == getpid());
  say("GETNCNT", semctl(set, 2, GETNCNT));
  say("unknown command", semctl(set, 2, 77));
  say("semop down", semop(set, &(struct sembuf){2, -3, 0}, 1));
  say("semop would wait", semop(set, &(struct sembuf){2, -1, IPC_NOWAIT}, 1));
  say("semop two", semop(set, (struct sembuf[]){{0, 1, 0}, {1, -1, 0}}, 2));
  say("semop none", semop(set, NULL, 0));
  say("semop at no memory", semop(set, (void *)8, 1));
  say("semtimedop", semtimedop(set, &(struct sembuf){2, -1, 0}, 1, &(struct timespec){0, 5000000}));
  say("IPC_STAT", semctl(set, 0, IPC_STAT, (union semun){.buf = &status}));
  say("its key", status.sem_perm.__key);
  say("its mode", status.sem_perm.mode);
  say("its semaphores", status.sem_nsems);
  say("its sequence is the id's", status.sem_perm.__seq == (set >> 15 & 0xffff));
  status.sem_perm.mode = 0600;
  say("IPC_SET", semctl(set, 0, IPC_SET, (union semun){.buf = &status}));
  say("IPC_STAT at no memory", semctl(set, 0, IPC_STAT, (union semun){.buf = (void *)8}));
  say("IPC_INFO", semctl(0, 0, IPC_INFO, (union semun){.info = &info}));
  say("its semmsl", info.semmsl);
  int highest = semctl(0, 0, SEM_INFO, (union semun){.info = &info});
  say("SEM_INFO", highest);
  say("sets", info.semusz);
  say("semaphores", info.semaem);
  int found = 0;
  for (int i = 0; i <= highest; i++) {
    int at = semctl(i, 0, SEM_STAT, (union semun){.buf = &status});
    int any = semctl(i, 0, SEM_STAT_ANY, (union semun){.buf = &status});
    if (at >= 0) say("SEM_STAT", at == any && (at == set ? status.sem_perm.__key == 0x1234 : at == private)), found++;
  }
  say("SEM_STAT found", found);
  id("SEM_STAT beyond", semctl(30000, 0, SEM_STAT, (union semun){.buf = &status}));
  pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(9);
    id("stranger's semget", semget(0x1234, 0, 0600));
    say("stranger's GETVAL", semctl(set, 0, GETVAL));
    say("stranger's IPC_RMID", semctl(set, 0, IPC_RMID));
    _exit(0);
  }
  waitpid(child, NULL, 0);
  child = fork();
  if (child == 0) _exit(semop(set, &(struct sembuf){0, 4, SEM_UNDO}, 1) != 0);
  waitpid(child, NULL, 0);
  say("GETVAL after undo", semctl(set, 0, GETVAL));
  child = fork();
  if (child == 0) {
    say("semop on a set that goes", semop(set, &(struct sembuf){2, -1, 0}, 1));
    _exit(0);
  }
  while (semctl(set, 2, GETNCNT) == 0) usleep(1000);
  int removed = semctl(set, 0, IPC_RMID);
  waitpid(child, NULL, 0);
  say("IPC_RMID", removed);
  say("GETVAL of none", semctl(set, 0, GETVAL));
  say("IPC_RMID of none", semctl(set, 0, IPC_RMID));
  say("IPC_RMID private", semctl(private, 0, IPC_RMID));
  say("SEM_INFO", semctl(0, 0, SEM_INFO, (union semun){.info = &info}));
  say("sets", info.semusz);
  say("id -1", semctl(-1, 0, GETVAL));
  say("id 0", semctl(0, 0, GETVAL));
  id("semget after removal", set = semget(0x1234, 1, 0600));
}

static void memory(void) {
  struct shmid_ds status;
  struct shm_info info;
  int segment = id("shmget create", shmget(77, 10000, IPC_CREAT | IPC_EXCL | 0600));
  say("shmget again is the same", shmget(77, 0, 0) == segment);
  id("shmget larger", shmget(77, 20000, 0));
  id("shmget exclusive", shmget(77, 1, IPC_CREAT | IPC_EXCL));
  id("shmget nothing", shmget(IPC_PRIVATE, 0, 0600));
  char *at = shmat(segment, NULL, 0);
  say("shmat", at != (void *)-1);
  strcpy(at, "kept");
  say("shmat fixed", shmat(segment, (void *)0x10000000, 0) == (void *)0x10000000);
  say("shmat unaligned", (long)shmat(segment, (void *)0x10000001, 0));
  say("shmat read-only", strcmp(shmat(segment, NULL, SHM_RDONLY), "kept") == 0);
  say("shmat of none", (long)shmat(99, NULL, 0));
  say("IPC_STAT", shmctl(segment, IPC_STAT, &status));
  say("its key", status.shm_perm.__key);
  say("its size", status.shm_segsz);
  say("attached", status.shm_nattch);
  say("its maker is me", status.shm_cpid == getpid());
  say("SHM_LOCK", shmctl(segment, SHM_LOCK, NULL));
  say("SHM_UNLOCK", shmctl(segment, SHM_UNLOCK, NULL));
  int highest = shmctl(0, SHM_INFO, (void *)&info);
  say("SHM_INFO", highest);
  say("segments", info.used_ids);
  say("pages", info.shm_tot);
  for (int i = 0; i <= highest; i++) say("SHM_STAT", shmctl(i, SHM_STAT, &status) == segment);
  say("IPC_RMID while attached", shmctl(segment, IPC_RMID, NULL));
  id("shmget of the removed", shmget(77, 0, 0));
  say("IPC_STAT of the removed", shmctl(segment, IPC_STAT, &status));
  say("its key", status.shm_perm.__key);
  say("its mode", status.shm_perm.mode);
  char *more = shmat(segment, NULL, 0);
  say("shmat of the removed", strcmp(more, "kept") == 0);
  int other = id("shmget of its key anew", shmget(77, 5000, IPC_CREAT | 0600));
  say("they differ", other != segment);
  say("IPC_RMID again", shmctl(segment, IPC_RMID, NULL));
  shmctl(other, IPC_RMID, NULL);
  shmdt((void *)0x10000000);
  shmdt(at);
  shmdt(more);
  shmctl(0, SHM_INFO, (void *)&info);
  say("segments", info.used_ids);
}

static void messages(void) {
  struct msqid_ds status;
  struct msginfo info;
  struct text text = {3, "hello"};
  int queue = id("msgget create", msgget(0x7fffffff, IPC_CREAT | 0600));
  int negative = id("msgget negative key", msgget(-5, IPC_CREAT | 0600));
  say("msgget again is the same", msgget(0x7fffffff, 0) == queue && msgget(-5, 0) == negative);
  say("msgsnd", msgsnd(queue, &text, 6, 0));
  text.type = 4;
  say("msgsnd", syscall(SYS_msgsnd, queue, &text, 6, 0));
  say("msgsnd of type 0", msgsnd(queue, &(struct text){0, ""}, 6, 0));
  say("msgsnd too long", msgsnd(queue, &text, 1 << 28, 0));
  say("IPC_STAT", msgctl(queue, IPC_STAT, &status));
  say("its key", status.msg_perm.__key);
  say("its messages", status.msg_qnum);
  int highest = msgctl(0, MSG_INFO, (void *)&info);
  say("MSG_INFO", highest);
  say("queues", info.msgpool);
  say("messages", info.msgmap);
  say("bytes", info.msgtql);
  int found = 0;
  for (int i = 0; i <= highest; i++) {
    int at = msgctl(i, MSG_STAT, &status);
    found += at == queue || at == negative;
  }
  say("MSG_STAT found", found);
  say("msgrcv by type", msgrcv(queue, &text, 64, 4, 0));
  say("its type", text.type);
  say("msgrcv too long", msgrcv(queue, &text, 2, 0, 0));
  say("msgrcv shortened", msgrcv(queue, &text, 2, 0, MSG_NOERROR));
  say("msgrcv would wait", msgrcv(queue, &text, 64, 0, IPC_NOWAIT));
  status.msg_qbytes = 1000;
  say("IPC_SET", msgctl(queue, IPC_SET, &status));
  pid_t child = fork();
  if (child == 0) {
    say("msgrcv from the other process", msgrcv(queue, &text, 64, 0, 0));
    say("msgrcv of a queue that goes", msgrcv(negative, &text, 64, 0, 0));
    _exit(0);
  }
  msgsnd(queue, &text, 9, 0);
  usleep(100000);
  int removed = msgctl(negative, IPC_RMID, NULL);
  waitpid(child, NULL, 0);
  say("IPC_RMID", removed);
  say("IPC_RMID", msgctl(queue, IPC_RMID, NULL));
  say("msgsnd to none", msgsnd(queue, &text, 6, 0));
}

int main(void) {
  say("getpid by syscall", syscall(SYS_getpid) == getpid());
  say("write by syscall to none", syscall(SYS_write, -1, "", 0));
  void *where = (void *)syscall(SYS_mmap, NULL, 4096L, 3, 0x22, -1, 0L);
  say("mmap by syscall", where != (void *)-1 && *(char *)where == 0);
  semaphores();
  memory();
  messages();
  return 0;
}
