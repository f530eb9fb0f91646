/* starts ROUNDS WORDS --- WORDS --- …: runs each command once a round, in turn, and prints `contender ns` of each run
 * from before its fork to its end. A command that does not end with status 0 ends the measurement. */
#include "clock.h"
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv) {
	char **commands[16];
	int count = 1, round, each, i;
	if (argc < 3)
		return 2;
	commands[0] = argv + 2;
	for (i = 2; i < argc; i++)
		if (!strcmp(argv[i], "---")) {
			argv[i] = NULL;
			commands[count++] = argv + i + 1;
		}
	for (round = 0; round < atoi(argv[1]); round++)
		for (each = 0; each < count; each++) {
			double start = now_ns();
			int status = 0;
			pid_t pid;
			if (posix_spawnp(&pid, commands[each][0], NULL, NULL, commands[each], environ) != 0)
				die(commands[each][0]);
			while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
				;
			if (status != 0) {
				fprintf(stderr, "%s: status %d\n", commands[each][0], status);
				return 1;
			}
			printf("%d %.0f\n", each, now_ns() - start);
		}
	return 0;
}
