/* ATTACKS 32: what a path leads to is exchanged while its question waits.
 * row_32_swap_after_question LINK FIRST SECRET GO: opens LINK, which leads to FIRST and is asked about; once GO
 * exists LINK leads to SECRET. Through when the open gives the secret. */
#include "attack.h"

int main(int argc, char **argv) {
	int status, pid;
	if (argc != 5)
		usage("row_32_swap_after_question LINK FIRST SECRET GO");
	if (symlink(argv[2], argv[1]) != 0)
		return perror("symlink"), 3;
	pid = fork();
	if (pid == 0)
		_exit(gives_secret(open(argv[1], O_RDONLY | O_CLOEXEC)));
	while (!exists(argv[4]))
		usleep(1000);
	unlink(argv[1]);
	if (symlink(argv[3], argv[1]) != 0)
		return perror("symlink"), 3;
	printf("exchanged\n");
	fflush(stdout);
	waitpid(pid, &status, 0);
	tried(!WIFEXITED(status) || WEXITSTATUS(status), "the secret by a link exchanged after the question");
	return finish();
}
