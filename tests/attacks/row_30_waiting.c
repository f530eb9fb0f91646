/* ATTACKS 30: one access waits on a question, another process goes on.
 * row_30_waiting ASKED PERMITTED N: a child opens ASKED; once it is seen waiting, N opens of PERMITTED are
 * timed; prints `waited yes|no`, `opens N microseconds M` and, at its end, the child's `answered 0|ERRNO`. */
#include "attack.h"

int main(int argc, char **argv) {
	bool waits = false;
	double start, until, took;
	long i, n;
	int pid, status;
	if (argc != 4)
		usage("row_30_waiting ASKED PERMITTED N");
	n = atol(argv[3]);
	pid = fork();
	if (pid == 0) {
		int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
		_exit(fd >= 0 ? 0 : errno);
	}
	for (until = now() + 2; now() < until && !waits; usleep(1000)) {
		char text[64] = "";
		int fd = open(at("/proc/%d/syscall", pid), O_RDONLY | O_CLOEXEC);
		waits = fd >= 0 && read(fd, text, sizeof text - 1) > 0 && atoi(text) == SYS_openat;
		if (fd >= 0)
			close(fd);
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
	}
	start = now();
	for (i = 0; i < n; i++) {
		int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return perror("a permitted open"), 3;
		close(fd);
	}
	took = now() - start;
	printf("waited %s\nopens %ld microseconds %.0f\n", waits && waitpid(pid, &status, WNOHANG) == 0 ? "yes" : "no", n, took * 1e6);
	fflush(stdout);
	if (waits)
		waitpid(pid, &status, 0);
	printf("answered %d\n", WEXITSTATUS(status));
	return 0;
}
