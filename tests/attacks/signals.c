/* Signals and time: what a program sees of them while its calls are brokered or wait for an answer.
 * signals storm FILE N MICROSECONDS RESTART: a thread does N brokered calls (create, rename, chmod, unlink of
 *   FILE) under a storm of SIGURG at the thread; says how many signals came and how many calls failed, how.
 * signals question ASKED RESTART: an interval timer of 10 ms runs while ASKED is opened; says how many ticks
 *   came before the open returned and what it returned.
 * signals child ASKED: SIGCHLD comes while ASKED is opened. */
#include "attack.h"
#include <sys/time.h>

static volatile sig_atomic_t came;

static void on(int signal) {
	(void)signal;
	came++;
}

static void handle(int signal, bool restart) {
	struct sigaction action = { .sa_handler = on, .sa_flags = restart ? SA_RESTART : 0 };
	sigaction(signal, &action, NULL);
}

static pthread_t stormed;
static atomic_bool stop;
static long pause_us;

static void *storm(void *unused) {
	(void)unused;
	while (!stop) {
		pthread_kill(stormed, SIGURG);
		usleep((useconds_t)pause_us);
	}
	return NULL;
}

static unsigned long failures, interrupted, others;

static void count(const char *what, int result) {
	if (result >= 0)
		return;
	failures++;
	if (errno == EINTR)
		interrupted++;
	else if (others++ < 5)
		printf("%s: %s\n", what, strerror(errno));
}

static int storms(const char *file, long n, bool restart) {
	pthread_t thread;
	sigset_t set;
	long i;
	stormed = pthread_self();
	handle(SIGURG, restart);
	sigemptyset(&set);
	sigaddset(&set, SIGURG);
	pthread_create(&thread, NULL, storm, NULL);
	for (i = 0; i < n; i++) {
		int fd;
		unsigned long before = interrupted;
		/* What is interrupted is tried again, as programs do; a call that was interrupted did nothing. */
		do {
			before = interrupted;
			fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
			count("create", fd);
		} while (interrupted != before);
		if (fd >= 0)
			close(fd);
		do {
			before = interrupted;
			count("chmod", chmod(file, 0640));
		} while (interrupted != before);
		do {
			before = interrupted;
			count("rename", rename(file, at("%s.x", file)));
		} while (interrupted != before);
		do {
			before = interrupted;
			count("unlink", unlink(at("%s.x", file)));
		} while (interrupted != before);
	}
	stop = true;
	pthread_join(thread, NULL);
	printf("signals %d interrupted %lu others %lu\n", (int)came, interrupted, others);
	return 0;
}

static int question(const char *path, bool restart) {
	struct itimerval timer = { { 0, 10000 }, { 0, 10000 } };
	int fd, error;
	handle(SIGALRM, restart);
	setitimer(ITIMER_REAL, &timer, NULL);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = errno;
	timer = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &timer, NULL);
	printf("ticks %d result %s\n", (int)came, fd >= 0 ? "opened" : error == EINTR ? "EINTR" : strerror(error));
	return 0;
}

static int children(const char *path) {
	int fd, i, error;
	handle(SIGCHLD, true);
	for (i = 0; i < 5; i++)
		if (fork() == 0) {
			usleep(50000 * (useconds_t)(i + 1));
			_exit(0);
		}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = errno;
	printf("children %d result %s\n", (int)came, fd >= 0 ? "opened" : strerror(error));
	return 0;
}

int main(int argc, char **argv) {
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 6 && !strcmp(argv[1], "storm")) {
		pause_us = atol(argv[4]);
		return storms(argv[2], atol(argv[3]), atoi(argv[5]));
	}
	if (argc == 4 && !strcmp(argv[1], "question"))
		return question(argv[2], atoi(argv[3]));
	if (argc == 3 && !strcmp(argv[1], "child"))
		return children(argv[2]);
	usage("signals storm|question|child ARGUMENTS…");
}
