/* Makes, uses and removes objects of all three kinds under few keys, so that every process meets the others' keys, until
 * it is killed; with "once" it goes through every key, says what does not work, and removes all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

enum { KEYS = 8 };

static void round_of(int key) {
  int set = semget(key, 1, IPC_CREAT | 0600);
  semop(set, &(struct sembuf){0, 1, SEM_UNDO}, 1);
  int segment = shmget(key, 4096, IPC_CREAT | 0600);
  void *at = shmat(segment, NULL, 0);
  int queue = msgget(key, IPC_CREAT | 0600);
  msgctl(queue, IPC_RMID, NULL);
  shmctl(segment, IPC_RMID, NULL);
  if (at != (void *)-1) shmdt(at);
  semctl(set, 0, IPC_RMID);
}

int main(int count, char **arguments) {
  srand(getpid());
  if (count < 2 || strcmp(arguments[1], "once") != 0)
    for (;;) round_of(1 + rand() % KEYS);
  for (int key = 1; key <= KEYS; key++) {
    int set = semget(key, 1, IPC_CREAT | 0600), segment = shmget(key, 4096, IPC_CREAT | 0600);
    int queue = msgget(key, IPC_CREAT | 0600);
    if (set < 0 || segment < 0 || queue < 0) return perror("get"), 1;
    if (semctl(set, 0, IPC_RMID) || shmctl(segment, IPC_RMID, NULL) || msgctl(queue, IPC_RMID, NULL))
      return perror("remove"), 1;
  }
  puts("pass");
  return 0;
}
