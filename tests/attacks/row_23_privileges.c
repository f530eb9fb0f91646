/* ATTACKS 23: programs that would gain rights by being executed, and other ways to execute.
 * row_23_privileges SECRET SUIDPROGRAM WORKSPACE LOADER
 * SUIDPROGRAM is this program, owned by another user and set-user-ID; as `… probe SECRET` it exits 1 when
 * it reads the secret or has another effective user than real user. */
#include "attack.h"
#include <sys/auxv.h>

static bool ran_through(char *const argv[], char *const environment[], int memory) {
	int status, pid = fork();
	if (pid == 0) {
		if (memory >= 0)
			syscall(SYS_execveat, memory, "", argv, environment, AT_EMPTY_PATH);
		else
			execve(argv[0], argv, environment);
		_exit(77);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static bool copy_to(int out) {
	char buffer[65536];
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t n;
	while ((n = read(in, buffer, sizeof buffer)) > 0)
		if (write(out, buffer, (size_t)n) != n)
			return false;
	close(in);
	return n == 0;
}

int main(int argc, char **argv) {
	char *none[] = { NULL }, *preload[2] = { NULL, NULL };
	char self[4096] = "", copy[4096];
	int memory, fd;
	if (argc == 3 && !strcmp(argv[1], "probe"))
		return geteuid() != getuid() || getauxval(AT_SECURE) || gives_secret(open(argv[2], O_RDONLY | O_CLOEXEC));
	if (argc != 5)
		usage("row_23_privileges SECRET SUIDPROGRAM WORKSPACE LOADER");
	if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
		return 3;
	tried(ran_through((char *[]){ self, "probe", argv[1], NULL }, none, -1), "a program of our own");
	tried(ran_through((char *[]){ argv[2], "probe", argv[1], NULL }, none, -1), "a set-user-ID program");
	tried(ran_through((char *[]){ argv[4], self, "probe", argv[1], NULL }, none, -1), "the loader called directly");
	memory = (int)syscall(SYS_memfd_create, "m", 0);
	if (memory >= 0 && copy_to(memory))
		tried(ran_through((char *[]){ "m", "probe", argv[1], NULL }, none, memory), "a program in memory");
	snprintf(copy, sizeof copy, "%s/copy", argv[3]);
	fd = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (fd >= 0 && copy_to(fd)) {
		close(fd);
		tried(ran_through((char *[]){ copy, "probe", argv[1], NULL }, none, -1), "a copy in the workspace");
		tried(chmod(copy, 06755) == 0 && chown(copy, 0, 0) == 0 && ran_through((char *[]){ copy, "probe", argv[1], NULL }, none, -1), "a copy made set-user-ID");
	}
	preload[0] = at("LD_PRELOAD=%s", self);
	tried(ran_through((char *[]){ argv[2], "probe", argv[1], NULL }, preload, -1), "a set-user-ID program with LD_PRELOAD");
	return finish();
}
