/* Load: many processes and many accesses in one run.
 * load processes N DIR: N children live at once, each makes, renames and removes a name of its own.
 * load sequence N DIR: the same one after the other.
 * load crowd N THREADS ASKED PERMITTED: N opens of ASKED by so many threads; those that wait for an answer go on
 *   waiting. Then opens of PERMITTED are timed. */
#include "attack.h"

static int names(const char *dir, int number) {
	char *made = at("%s/p%d", dir, number), *renamed = at("%s/q%d", dir, number);
	if (mkdir(made, 0755) != 0 || rename(made, renamed) != 0 || chmod(renamed, 0700) != 0 || rmdir(renamed) != 0)
		return errno;
	return 0;
}

static unsigned failures;

static void ended(int status) {
	if (status && failures++ < 5)
		printf("a child ended with %s\n", WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "a signal");
}

static int processes(int n, const char *dir, bool at_once) {
	int ready[2], i, status, made = 0;
	if (pipe(ready) != 0)
		return 3;
	for (i = 0; i < n; i++) {
		int pid = fork();
		char byte;
		if (pid == 0) {
			close(ready[1]);
			/* The end of the pipe is the start of everybody. */
			if (at_once && read(ready[0], &byte, 1) != 0)
				_exit(EIO);
			_exit(names(dir, i));
		}
		made += pid > 0;
		if (!at_once && pid > 0) {
			waitpid(pid, &status, 0);
			ended(status);
		}
	}
	close(ready[1]);
	while (wait(&status) > 0)
		ended(status);
	printf("processes %d failures %u\n", made, failures);
	return 0;
}

static const char *asked;
static atomic_int left, denied, waiting;

static void *opens(void *unused) {
	(void)unused;
	while (atomic_fetch_sub(&left, 1) > 0) {
		int fd;
		waiting++;
		fd = open(asked, O_RDONLY | O_CLOEXEC);
		waiting--;
		if (fd >= 0)
			close(fd);
		else
			denied++;
	}
	return NULL;
}

static int crowd(int n, int threads, const char *permitted) {
	pthread_attr_t small;
	double until = now() + 60, start, slowest = 0;
	int i, most = 0;
	left = n;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 512 << 10);
	for (i = 0; i < threads; i++) {
		pthread_t thread;
		if (pthread_create(&thread, &small, opens, NULL) != 0)
			return 3;
	}
	while (left > 0 && now() < until)
		usleep(1000);
	/* Until nobody returns any more. */
	for (i = 0; i < 50 && now() < until; i++) {
		if (most != waiting)
			i = 0;
		most = waiting;
		usleep(10000);
	}
	start = now();
	for (i = 0; i < 2000; i++) {
		double begun = now();
		int fd = open(permitted, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return perror("a permitted open"), 3;
		close(fd);
		if (now() - begun > slowest)
			slowest = now() - begun;
	}
	printf("left %d waiting %d denied %d microseconds %.0f slowest %.0f\n", left > 0 ? (int)left : 0, most, (int)denied, (now() - start) * 1e6 / 2000, slowest * 1e6);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv) {
	if (argc == 4 && (!strcmp(argv[1], "processes") || !strcmp(argv[1], "sequence")))
		return processes(atoi(argv[2]), argv[3], !strcmp(argv[1], "processes"));
	if (argc == 6 && !strcmp(argv[1], "crowd")) {
		asked = argv[4];
		return crowd(atoi(argv[2]), atoi(argv[3]), argv[5]);
	}
	usage("load processes|sequence|crowd ARGUMENTS…");
}
