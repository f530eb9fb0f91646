/* ATTACKS 9a: the argument vector is flipped between judgement and execve.
 * row_09a_argv_flip N S GOOD BAD: executes itself as `… ran GOOD`, while a thread flips GOOD to BAD;
 * as `… ran WORD` it is the new image and says its word. Words of one length. */
#include "attack.h"
#include <sys/prctl.h>

static atomic_bool stop;
static char word[64];
static const char *good, *bad;

static void *flipper(void *unused) {
	(void)unused;
	while (!stop) {
		memcpy(word, bad, strlen(bad));
		atomic_signal_fence(memory_order_seq_cst);
		memcpy(word, good, strlen(good));
		atomic_signal_fence(memory_order_seq_cst);
	}
	return NULL;
}

int main(int argc, char **argv) {
	unsigned long done, ran = 0, killed = 0;
	struct limit limit;
	if (argc == 3 && !strcmp(argv[1], "ran")) {
		/* The first thing an image can do to the world outside itself. */
		return write(1, at("%s\n", argv[2]), strlen(argv[2]) + 1) < 0;
	}
	if (argc != 5 || strlen(argv[3]) != strlen(argv[4]))
		usage("row_09a_argv_flip TRIES SECONDS GOOD BAD");
	good = argv[3], bad = argv[4];
	strcpy(word, good);
	limit = limit_from(argv[1], argv[2]);
	for (done = 0; go_on(&limit, done); done++) {
		int pipes[2], status, pid;
		char said[64] = "";
		if (pipe(pipes) != 0)
			return 3;
		pid = fork();
		if (pid == 0) {
			pthread_t thread;
			char *arguments[] = { argv[0], "ran", word, NULL };
			dup2(pipes[1], 1);
			pthread_create(&thread, NULL, flipper, NULL);
			execv("/proc/self/exe", arguments);
			_exit(126);
		}
		close(pipes[1]);
		if (read(pipes[0], said, sizeof said - 1) < 0)
			said[0] = 0;
		close(pipes[0]);
		waitpid(pid, &status, 0);
		ran += said[0] != 0;
		killed += WIFSIGNALED(status);
		tried(!strncmp(said, bad, strlen(bad)), "the flipped arguments ran");
	}
	printf("ran %lu killed %lu of %lu\n", ran, killed, done);
	return finish();
}
