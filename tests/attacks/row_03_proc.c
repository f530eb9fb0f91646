/* ATTACKS 3: other spellings of a denied file, and other processes' doors to it.
 * row_03_proc SECRET VICTIM VICTIMFD | row_03_proc ancestors
 * VICTIM is a process outside: its environment holds the secret, its working directory is the
 * secret's, its descriptor VICTIMFD is open on it. */
#include "attack.h"
#include <libgen.h>

static void spelling(const char *path) {
	tried(gives_secret(open(path, O_RDONLY | O_CLOEXEC)), "%.200s", path);
}

static void relative_spellings(const char *secret) {
	char deep[4096] = "/usr/share";
	char *dir = dirname(strdup(secret)), *base = basename(strdup(secret));
	char *parent = dirname(strdup(dir)), *dir_base = basename(strdup(dir));
	int i;
	spelling(secret);
	spelling(at("/%s", secret));
	spelling(at("///%s", secret));
	spelling(at("/.%s", secret));
	spelling(at("/./.%s", secret));
	spelling(at("/..%s", secret));
	spelling(at("/../../..%s", secret));
	spelling(at("/usr/..%s", secret));
	spelling(at("/usr/bin/../..%s", secret));
	spelling(at("/dev/shm/../..%s", secret));
	spelling(at("%s//%s", dir, base));
	spelling(at("%s/./%s", dir, base));
	spelling(at("%s/././//%s", dir, base));
	spelling(at("%s/../%s/%s", dir, dir_base, base));
	spelling(at("%s/../../%s/%s/%s", dir, basename(strdup(parent)), dir_base, base));
	spelling(at("%s/%s/../%s", parent, dir_base, at("%s/%s", dir_base, base)));
	for (i = 0; i < 40; i++)
		strcat(deep, "/..");
	spelling(at("%s%s", deep, secret));
	if (chdir(dir) == 0) {
		spelling(base);
		spelling(at("./%s", base));
		spelling(at("../%s/%s", dir_base, base));
	}
	if (chdir(parent) == 0)
		spelling(at("%s/%s", dir_base, base));
	if (chdir("/") == 0)
		spelling(secret + 1);
}

static void own_proc(const char *secret) {
	const char *self[] = { "/proc/self", "/proc/thread-self", at("/proc/%d", getpid()), at("/proc/self/task/%d", getpid()), "/proc/self/../self", "/proc/1/../self" };
	int fd = open(secret, O_PATH | O_CLOEXEC), dir = open(dirname(strdup(secret)), O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *base = basename(strdup(secret));
	size_t i;
	for (i = 0; i < sizeof self / sizeof *self; i++) {
		spelling(at("%s/root%s", self[i], secret));
		spelling(at("%s/root/proc/self/root%s", self[i], secret));
		spelling(at("%s/fd/%d", self[i], fd));
		spelling(at("%s/fd/%d/%s", self[i], dir, base));
		if (chdir(dirname(strdup(secret))) == 0)
			spelling(at("%s/cwd/%s", self[i], base));
	}
	spelling(at("/dev/fd/%d", fd));
	spelling(at("/dev/fd/%d/%s", dir, base));
	tried(gives_secret(openat(dir, base, O_RDONLY | O_CLOEXEC)), "openat beneath an O_PATH directory");
	tried(gives_secret(openat(fd, "", O_RDONLY | O_CLOEXEC)), "openat of an empty name");
	dup2(fd, 0);
	spelling("/dev/stdin");
	spelling("/proc/self/fd/0");
	close(fd);
	close(dir);
}

/* A door to another process is through when it opens and gives something at all. */
static void door(const char *path) {
	char text[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
	tried(n > 0 || (fd >= 0 && n < 0 && errno == EISDIR), "%s", path);
	if (fd >= 0)
		close(fd);
}

/* The start of the process's stack, if its map may be read: the only place where reading its memory can succeed. */
static void memory(const char *proc) {
	char line[256];
	unsigned long start = 0;
	FILE *maps = fopen(at("%s/maps", proc), "re");
	int fd = open(at("%s/mem", proc), O_RDONLY | O_CLOEXEC);
	while (maps && fgets(line, sizeof line, maps) && !start)
		sscanf(line, "%lx", &start);
	tried(maps != NULL && start, "%s/maps", proc);
	tried(fd >= 0, "%s/mem", proc);
	if (maps)
		fclose(maps);
	if (fd >= 0)
		close(fd);
}

/* Doors through a child of ours that stands in the secret's directory and holds it by O_PATH. */
static void own_child(const char *secret) {
	const char *base = basename(strdup(secret));
	int ready[2], hold[2], pid;
	char byte;
	if (pipe(ready) != 0 || pipe(hold) != 0)
		exit(3);
	pid = fork();
	if (pid == 0) {
		int fd = open(secret, O_PATH), dir = open(dirname(strdup(secret)), O_PATH | O_DIRECTORY);
		dup2(fd, 50), dup2(dir, 51);
		close(hold[1]);
		_exit(chdir(dirname(strdup(secret))) != 0 || write(ready[1], "x", 1) != 1 || read(hold[0], &byte, 1) != 0);
	}
	close(hold[0]);
	if (pid > 0 && read(ready[0], &byte, 1) == 1) {
		const char *proc[] = { strdup(at("/proc/%d", pid)), strdup(at("/proc/%d/task/%d", pid, pid)) };
		size_t i;
		for (i = 0; i < 2; i++) {
			spelling(at("%s/cwd/%s", proc[i], base));
			spelling(at("%s/root%s", proc[i], secret));
			spelling(at("%s/fd/50", proc[i]));
			spelling(at("%s/fd/51/%s", proc[i], base));
			spelling(at("%s/cwd/../../%s", proc[i], at("%s/%s", basename(dirname(strdup(secret))), base)));
			if (chdir(proc[i]) == 0)
				spelling(at("cwd/%s", base));
		}
	}
	close(hold[1]);
	waitpid(pid, NULL, 0);
}

/* The monitor and askance: their descriptors, memory and environment. */
static void ancestors(void) {
	int pid, next;
	for (pid = getppid(); pid > 1; pid = next) {
		char text[512] = "";
		const char *proc = strdup(at("/proc/%d", pid));
		int fd = open(at("%s/stat", proc), O_RDONLY | O_CLOEXEC), i;
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
		const char *after = n > 0 ? strrchr(text, ')') : NULL;
		if (fd >= 0)
			close(fd);
		next = 0;
		if (after)
			sscanf(after + 2, "%*c %d", &next);
		door(at("%s/environ", proc));
		door(at("%s/root/etc/passwd", proc));
		door(at("%s/cwd/.", proc));
		tried(open(at("%s/mem", proc), O_RDONLY | O_CLOEXEC) >= 0, "%s/mem", proc);
		for (i = 0; i < 32; i++)
			tried(open(at("%s/fd/%d", proc, i), O_RDONLY | O_NONBLOCK | O_CLOEXEC) >= 0, "%s/fd/%d", proc, i);
	}
}

int main(int argc, char **argv) {
	const char *base;
	int i;
	if (argc == 2) {
		ancestors();
		return finish();
	}
	if (argc != 4)
		usage("row_03_proc SECRET VICTIM VICTIMFD");
	base = basename(strdup(argv[1]));
	relative_spellings(argv[1]);
	own_proc(argv[1]);
	own_child(argv[1]);
	for (i = 0; i < 2; i++) {
		const char *proc = i ? strdup(at("/proc/%s/task/%s", argv[2], argv[2])) : strdup(at("/proc/%s", argv[2]));
		spelling(at("%s/root%s", proc, argv[1]));
		spelling(at("%s/cwd/%s", proc, base));
		spelling(at("%s/fd/%s", proc, argv[3]));
		door(at("%s/environ", proc));
		door(at("%s/exe", proc));
		door(at("%s/root/etc/passwd", proc));
		memory(proc);
	}
	return finish();
}
