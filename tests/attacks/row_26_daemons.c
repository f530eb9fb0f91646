/* ATTACKS 25, 26: processes that leave their parents and try to outlive the run.
 * row_26_daemons N TAG [stay]: N daemons, each in a session of its own, ignoring every signal that can be
 * ignored, each forking itself on so that its pid changes; standard output stays open in all of them, so
 * its end is the end of the last. Prints the daemons' pids. */
#include "attack.h"
#include <sys/prctl.h>

static void lineage(void) {
	int signal, generation;
	for (signal = 1; signal < 32; signal++)
		sigaction(signal, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	prctl(PR_SET_DUMPABLE, 0);
	printf("%d\n", getpid());
	fflush(stdout);
	for (generation = 0;; generation++) {
		/* A new process every few milliseconds for a while, then one that stays. */
		if (generation < 200 && fork() > 0)
			_exit(0);
		if (generation >= 200)
			pause();
		usleep(5000);
	}
}

int main(int argc, char **argv) {
	int i, n;
	if (argc < 3)
		usage("row_26_daemons N TAG [stay]");
	n = atoi(argv[1]);
	for (i = 0; i < n; i++) {
		int pid = fork();
		if (pid == 0) {
			setsid();
			if (fork() > 0)
				_exit(0);
			setpgid(0, 0);
			lineage();
		}
		waitpid(pid, NULL, 0);
	}
	printf("daemons started\n");
	fflush(stdout);
	while (argc > 3)
		pause();
	return 0;
}
