/* ATTACKS 4: process numbers come round quickly while processes die in mid-request.
 * row_04_reuse GOODDIR BADDIR NAME N S: children use descriptor 9, which is GOODDIR (where NAME is harmless
 * and may be changed) in one half and BADDIR (where NAME is the secret) in the other, under umasks of their
 * own; most are killed at some moment of it. Through when one reads the secret, changes BADDIR, or gets
 * another process's umask. */
#include "attack.h"

static void child(const char *good, const char *name, int kind, int number) {
	char made[64];
	struct stat st;
	mode_t mask = kind ? 0077 : 0002;
	int fd;
	umask(mask);
	if (gives_secret(openat(9, name, O_RDONLY | O_CLOEXEC)))
		_exit(10);
	snprintf(made, sizeof made, "made-%d-%d", kind, number);
	fd = openat(9, made, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		_exit(kind ? 0 : 1);
	if (kind)
		_exit(11);
	if (fstat(fd, &st) != 0 || (st.st_mode & 0777) != (0666 & ~mask))
		_exit(12);
	close(fd);
	/* The same under the other umask, which the process changes itself. */
	umask(0027);
	if (renameat(9, made, 9, at("%s.x", made)) != 0 || mkdirat(9, made, 0777) != 0 || fstatat(9, made, &st, 0) != 0 || (st.st_mode & 0777) != 0750)
		_exit(13);
	unlinkat(9, made, AT_REMOVEDIR);
	unlinkat(9, at("%s.x", made), 0);
	(void)good;
	_exit(0);
}

int main(int argc, char **argv) {
	unsigned long done, ended = 0;
	struct limit limit;
	int dirs[2], first = 0, reused = 0, last = 0;
	if (argc != 6)
		usage("row_04_reuse GOODDIR BADDIR NAME TRIES SECONDS");
	dirs[0] = open(argv[1], O_PATH | O_DIRECTORY), dirs[1] = open(argv[2], O_PATH | O_DIRECTORY);
	limit = limit_from(argv[4], argv[5]);
	srand(1);
	for (done = 0; go_on(&limit, done); done++) {
		int kind = rand() % 2, status, pid;
		volatile int spin = rand() % 80000;
		pid = fork();
		if (pid == 0) {
			dup2(dirs[kind], 9);
			child(argv[1], argv[3], kind, (int)done);
		}
		if (pid < 0)
			return perror("fork"), 3;
		if (!first)
			first = pid;
		reused += pid < last;
		last = pid;
		if (rand() % 3) {
			while (spin-- > 0)
				;
			kill(pid, SIGKILL);
		}
		waitpid(pid, &status, 0);
		if (!WIFEXITED(status)) {
			tried(false, "killed");
			continue;
		}
		ended++;
		tried(WEXITSTATUS(status) >= 10, "a child ended with %d", WEXITSTATUS(status));
		if (WEXITSTATUS(status) == 1)
			return fprintf(stderr, "a permitted create failed\n"), 3;
	}
	printf("ended %lu of %lu, numbers came round %d times\n", ended, done, reused);
	return finish();
}
