/* ATTACKS 4: processes are killed while their calls wait; what they asked for must not happen after.
 * row_04_dies TARGET N S: N children begin to create TARGET and die at some moment of it.
 * row_04_dies wait TARGET GO: a child asks for TARGET; when it is seen waiting and GO exists it is killed. */
#include "attack.h"

static int child_that_creates(const char *target) {
	int pid = fork();
	if (pid == 0) {
		int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		_exit(fd >= 0 ? 1 : 0);
	}
	if (pid < 0) {
		/* Never a pid to kill: -1 would be everybody. */
		perror("fork");
		exit(3);
	}
	return pid;
}

/* Waits until the process sleeps inside openat; false after 20 s. */
static bool seen_waiting(int pid) {
	double until = now() + 20;
	while (now() < until) {
		char text[64] = "";
		int fd = open(at("/proc/%d/syscall", pid), O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
		if (fd >= 0)
			close(fd);
		if (n > 0 && atoi(text) == SYS_openat)
			return true;
		usleep(1000);
	}
	return false;
}

int main(int argc, char **argv) {
	unsigned long done;
	struct limit limit;
	int status;
	if (argc == 4 && !strcmp(argv[1], "wait")) {
		int pid = child_that_creates(argv[2]);
		bool waited = seen_waiting(pid);
		double until = now() + 20;
		while (!exists(argv[3]) && now() < until)
			usleep(1000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		printf("%s\n", waited ? "killed while it waited" : "never seen waiting");
		tried(exists(argv[2]), "created by a dead process");
		return finish();
	}
	if (argc != 4)
		usage("row_04_dies TARGET TRIES SECONDS | wait TARGET GO");
	limit = limit_from(argv[2], argv[3]);
	srand(1);
	for (done = 0; go_on(&limit, done); done++) {
		int pid = child_that_creates(argv[1]);
		volatile int spin = rand() % 60000;
		while (spin-- > 0)
			;
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		tried(exists(argv[1]) || (WIFEXITED(status) && WEXITSTATUS(status)), "created");
		unlink(argv[1]);
	}
	return finish();
}
