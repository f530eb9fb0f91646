/* ATTACKS 9b: limits, priorities, System V objects and watches of what lies outside.
 * row_09b_neighbours PID SHMID SEMID MSGID DIRECTORY (all of them outside) */
#include "attack.h"
#include <sched.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>

struct attributes { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; };

int main(int argc, char **argv) {
	struct rlimit limit = { 1000, 1000 };
	struct sched_param param = { 0 };
	struct attributes attributes = { .size = sizeof attributes, .nice = 5 };
	struct sembuf operation = { 0, 1, IPC_NOWAIT };
	struct { long type; char text[16]; } message = { 1, "x" };
	cpu_set_t set;
	int pid, shm, sem, msg, watch;
	void *map;
	if (argc != 6)
		usage("row_09b_neighbours PID SHMID SEMID MSGID DIRECTORY");
	pid = atoi(argv[1]), shm = atoi(argv[2]), sem = atoi(argv[3]), msg = atoi(argv[4]);
	CPU_ZERO(&set);
	CPU_SET(0, &set);
#define TRY(call) tried((call) >= 0, "%s", #call)
	TRY(prlimit(pid, RLIMIT_CPU, &limit, NULL));
	TRY(prlimit(pid, RLIMIT_CORE, NULL, &limit));
	TRY(setpriority(PRIO_PROCESS, (id_t)pid, 5));
	TRY(setpriority(PRIO_USER, getuid(), 5));
	TRY(sched_setaffinity(pid, sizeof set, &set));
	TRY(sched_setparam(pid, &param));
	TRY(sched_setscheduler(pid, SCHED_BATCH, &param));
	TRY(syscall(SYS_sched_setattr, pid, &attributes, 0));
	TRY(syscall(SYS_ioprio_set, 1, pid, (3 << 13) | 1));
	TRY(syscall(SYS_ioprio_set, 3, getuid(), (3 << 13) | 1));
	map = shmat(shm, NULL, SHM_RDONLY);
	tried(map != (void *)-1 && memmem(map, 64, SECRET, sizeof SECRET - 1), "shmat of a foreign segment");
	map = shmat(shm, NULL, 0);
	tried(map != (void *)-1, "shmat of a foreign segment for writing");
	TRY(semop(sem, &operation, 1));
	TRY(semtimedop(sem, &operation, 1, NULL));
	TRY(semctl(sem, 0, SETVAL, 7));
	TRY(msgsnd(msg, &message, 1, IPC_NOWAIT));
	tried(msgrcv(msg, &message, sizeof message.text, 0, IPC_NOWAIT) > 0, "msgrcv from a foreign queue");
	watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	TRY(inotify_add_watch(watch, argv[5], IN_ALL_EVENTS));
	TRY(shmctl(shm, IPC_RMID, NULL));
	TRY(semctl(sem, 0, IPC_RMID));
	TRY(msgctl(msg, IPC_RMID, NULL));
	return finish();
}
