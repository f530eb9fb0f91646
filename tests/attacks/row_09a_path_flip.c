/* ATTACKS 9a: the path is flipped between judgement, where it names nothing, and execve.
 * row_09a_path_flip N S WORD: executes itself as `... ran WORD` by a path that a thread keeps flipping to
 * nothing and back; as `... ran WORD` it is the new image and says its word. */
#include "attack.h"

static char path[] = "/proc/self/exe";

static void *flipper(void *unused) {
	(void)unused;
	for (;;) {
		((volatile char *)path)[13] = 'X';
		((volatile char *)path)[13] = 'e';
	}
	return NULL;
}

int main(int argc, char **argv) {
	unsigned long done;
	struct limit limit;
	if (argc == 3 && !strcmp(argv[1], "ran")) {
		/* A trapped call comes before the word: here the image has to be dead. */
		int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
		return write(1, at("%s\n", argv[2]), strlen(argv[2]) + 1) < 0 || fd < -1;
	}
	if (argc != 4)
		usage("row_09a_path_flip TRIES SECONDS WORD");
	limit = limit_from(argv[1], argv[2]);
	for (done = 0; go_on(&limit, done); done++) {
		int pipes[2], pid;
		char said[64] = "";
		if (pipe(pipes) != 0)
			return 3;
		pid = fork();
		if (pid == 0) {
			pthread_t thread;
			int again;
			char *arguments[] = { argv[0], "ran", argv[3], NULL };
			dup2(pipes[1], 1);
			pthread_create(&thread, NULL, flipper, NULL);
			for (again = 0; again < 20; again++)
				execv(path, arguments);
			_exit(126);
		}
		close(pipes[1]);
		if (read(pipes[0], said, sizeof said - 1) < 0)
			said[0] = 0;
		close(pipes[0]);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		tried(said[0] != 0, "the flipped path ran");
	}
	return finish();
}
