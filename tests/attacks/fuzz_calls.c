/* A fuzzer of system calls: random sequences of the trapped calls with hostile arguments, in processes and
 * threads that die at any moment. Inside the sandbox nothing outside may change and everybody else goes on.
 * fuzz_calls ROOT OUTSIDE SEED N S: ROOT is the workspace, OUTSIDE what may not change.
 * Prints `calls N succeeded M`. */
#include "attack.h"
#include <arpa/inet.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/un.h>

static const char *root, *outside;
static __thread uint64_t state;

static uint64_t chance(void) {
	state ^= state << 13, state ^= state >> 7, state ^= state << 17;
	return state;
}

static unsigned below(unsigned n) { return (unsigned)(chance() % n); }

/* Counted across all processes. */
static struct shared { atomic_ulong calls, succeeded; } *shared;

static char *wild; /* one mapped page, the next one not */

/* A pointer that is mapped, at an edge, or not at all. */
static void *hostile(void) {
	switch (below(8)) {
	case 0: return NULL;
	case 1: return (void *)8;
	case 2: return (void *)-1L;
	case 3: return (void *)(1UL << 47);
	case 4: return wild + 4096 - below(64);
	case 5: return (void *)0xffffffff80000000UL;
	default: return wild + below(2048);
	}
}

static const char *names[] = { "a", "b", "c", "d", "d/a", "d/b", "link", ".envrc", ".git", ".git/hooks/pre-commit", "fifo", "sock", "d/../a", ".", "..", "", "a/", "\xff\xfe", "made/by/nobody", "../outside/canary", "../outside/born", "../home/.ssh/id_x" };

static const char *path(void) {
	const char *name = names[below(sizeof names / sizeof *names)];
	static __thread char text[8192];
	switch (below(16)) {
	case 0: return hostile();
	case 1: return at("%s/%s", outside, name);
	case 2: return at("%s/canary", outside);
	case 3: return at("/proc/self/root%s/%s", root, name);
	case 4: return at("/proc/self/fd/%u", below(24));
	case 5: return at("/proc/self/fd/%u/%s", below(24), name);
	case 6: return at("/proc/self/cwd/%s", name);
	case 7: return at("%s/./d/..//%s", root, name);
	case 8: return at("/proc/%u/%s", below(400), below(2) ? "root/etc/passwd" : "mem");
	case 9: return at("/dev/%s", (const char *[]){ "null", "tty", "ptmx", "stdin", "fd/1", "full" }[below(6)]);
	case 10:
		memset(text, "/.a"[below(3)], sizeof text);
		text[4000 + below(190)] = 0;
		return text;
	case 11: return name;
	default: return at("%s/%s", root, name);
	}
}

static long dirfd_(void) {
	switch (below(6)) {
	case 0: return AT_FDCWD;
	case 1: return (long)(chance());
	case 2: return -1;
	default: return below(24);
	}
}

/* An argument of any kind at all. */
static long anything(void) {
	switch (below(8)) {
	case 0: return (long)path();
	case 1: return (long)hostile();
	case 2: return (long)chance();
	case 3: return -1;
	case 4: return (long)(1UL << below(64));
	default: return below(64);
	}
}

static const int open_flags[] = { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT | O_WRONLY, O_CREAT | O_EXCL | O_RDWR, O_TRUNC | O_WRONLY, O_APPEND | O_WRONLY, O_TMPFILE | O_RDWR, O_PATH, O_DIRECTORY, O_CREAT | O_NOFOLLOW | O_WRONLY, O_ACCMODE };

static int flags(void) { return (open_flags[below(12)] | (below(3) ? 0 : (int)chance())) | O_NONBLOCK; }

static const void *address(socklen_t *size) {
	static __thread struct sockaddr_storage room;
	memset(&room, 0, sizeof room);
	switch (below(6)) {
	case 0: {
		struct sockaddr_in *in = (void *)&room;
		in->sin_family = AF_INET, in->sin_port = htons((uint16_t)below(65536));
		const uint32_t addresses[] = { INADDR_LOOPBACK, 0, 0xc0000201, 0x0a000001 };
		in->sin_addr.s_addr = htonl(addresses[below(4)]);
		*size = sizeof *in;
		break;
	}
	case 1: {
		struct sockaddr_in6 *in = (void *)&room;
		in->sin6_family = AF_INET6, in->sin6_port = htons((uint16_t)below(65536));
		if (below(2))
			in->sin6_addr.s6_addr[15] = 1;
		*size = sizeof *in;
		break;
	}
	case 2:
	case 3: {
		struct sockaddr_un *un = (void *)&room;
		const char *name = path();
		un->sun_family = AF_UNIX;
		if (name >= wild && name < wild + 4096)
			name = "x";
		if ((uintptr_t)name > 4096 && (uintptr_t)name < (1UL << 47))
			strncpy(un->sun_path + below(2), name, sizeof un->sun_path - 1);
		*size = sizeof *un;
		break;
	}
	case 4: room.ss_family = (sa_family_t)chance(); *size = below(130); break;
	default: *size = (socklen_t)chance(); return hostile();
	}
	if (!below(6))
		*size = below(200);
	return &room;
}

static void message(struct msghdr *header) {
	static __thread struct iovec data[4];
	static __thread char control[256];
	socklen_t size;
	int i;
	for (i = 0; i < 4; i++)
		data[i] = (struct iovec){ below(3) ? (void *)wild : hostile(), below(8) ? below(64) : chance() };
	memset(control, 0, sizeof control);
	struct cmsghdr *first = (void *)control;
	first->cmsg_len = below(4) ? CMSG_LEN(4) : below(300);
	first->cmsg_level = below(3) ? SOL_SOCKET : (int)below(64);
	first->cmsg_type = (int)below(4);
	*(int *)CMSG_DATA(first) = (int)below(24);
	*header = (struct msghdr){ .msg_name = (void *)(below(3) ? address(&size) : NULL), .msg_iov = below(12) ? data : hostile(), .msg_iovlen = below(12) ? below(5) : chance(), .msg_control = below(2) ? control : below(2) ? NULL : hostile(), .msg_controllen = below(6) ? CMSG_SPACE(4) : below(300) };
	header->msg_namelen = header->msg_name ? size : 0;
}

static long one_call(void) {
	struct { uint64_t flags, mode, resolve, more; } how = { (uint32_t)flags(), below(2) ? 0600 : chance(), below(2) ? 0 : below(128), below(8) ? 0 : chance() };
	struct timespec times[2] = { { below(2) ? 1 : (long)chance(), below(3) ? 2 : UTIME_OMIT }, { 3, below(3) ? 4 : UTIME_NOW } };
	struct mmsghdr many[3];
	struct rlimit limit = { 64, 64 };
	socklen_t size;
	const void *to;
	int own = below(3) ? 0 : -1;
	switch (below(46)) {
	case 0: case 1: case 2: return syscall(SYS_openat, dirfd_(), path(), flags(), 0644);
	case 3: case 4: return syscall(SYS_open, path(), flags(), (int)chance());
	case 5: return syscall(SYS_openat2, dirfd_(), path(), below(10) ? (void *)&how : hostile(), below(4) ? 24 : below(4200));
	case 6: return syscall(SYS_creat, path(), 0644);
	case 7: return syscall(SYS_mkdirat, dirfd_(), path(), (int)chance());
	case 8: return syscall(SYS_mkdir, path(), 0755);
	case 9: return syscall(SYS_mknodat, dirfd_(), path(), (int[]){ S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, 0 }[below(6)] | 0644, (int)chance());
	case 10: return syscall(SYS_unlinkat, dirfd_(), path(), below(2) ? 0 : AT_REMOVEDIR);
	case 11: return syscall(SYS_unlink, path());
	case 12: return syscall(SYS_rmdir, path());
	case 13: case 14: return syscall(SYS_rename, path(), path());
	case 15: return syscall(SYS_renameat2, dirfd_(), path(), dirfd_(), path(), below(2) ? (int)below(8) : (int)chance());
	case 16: return syscall(SYS_linkat, dirfd_(), path(), dirfd_(), path(), below(2) ? 0 : below(2) ? AT_SYMLINK_FOLLOW : AT_EMPTY_PATH);
	case 17: return syscall(SYS_symlinkat, path(), dirfd_(), path());
	case 18: return syscall(SYS_symlink, path(), path());
	case 19: return syscall(SYS_truncate, path(), (long)below(4) * 4096 - 4096);
	case 20: return syscall(SYS_chmod, path(), (int)chance() | 0700);
	case 21: return syscall(SYS_fchmod, below(24), 0700 | below(512));
	case 22: return syscall(452, dirfd_(), path(), 0700 | below(512), below(2) ? 0 : AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
	case 23: return syscall(SYS_fchownat, dirfd_(), path(), own, own, below(2) ? 0 : AT_EMPTY_PATH);
	case 24: return syscall(SYS_utimensat, dirfd_(), below(4) ? path() : NULL, below(6) ? (void *)times : hostile(), below(2) ? 0 : AT_SYMLINK_NOFOLLOW);
	case 25: return syscall(SYS_setxattr, path(), below(6) ? "user.x" : (char *)hostile(), below(3) ? wild : hostile(), below(4) ? below(64) : chance(), below(4));
	case 26: return syscall(SYS_fremovexattr, below(24), below(6) ? "user.x" : (char *)hostile());
	case 27: return syscall(SYS_ioctl, below(24), below(2) ? FS_IOC_SETFLAGS : FS_IOC_FSSETXATTR, hostile());
	case 28: return syscall(SYS_inotify_add_watch, below(24), path(), below(2) ? IN_ALL_EVENTS : (int)chance());
	case 29: return syscall(SYS_umask, below(512));
	case 30: case 31: to = address(&size); return syscall(SYS_connect, below(24), to, size);
	case 32: to = address(&size); return syscall(SYS_bind, below(24), to, size);
	case 33: return syscall(SYS_listen, below(24), (int)chance());
	case 34: to = address(&size); return syscall(SYS_sendto, below(24), below(3) ? wild : hostile(), below(4) ? below(64) : chance(), (int)(below(2) ? MSG_DONTWAIT : chance() | MSG_DONTWAIT), to, size);
	case 35: message(&many[0].msg_hdr); return syscall(SYS_sendmsg, below(24), below(10) ? (void *)&many[0].msg_hdr : hostile(), MSG_DONTWAIT | MSG_NOSIGNAL);
	case 36:
		message(&many[0].msg_hdr), many[1] = many[2] = many[0];
		return syscall(SYS_sendmmsg, below(24), below(10) ? (void *)many : hostile(), below(4) ? below(4) : chance(), MSG_DONTWAIT | MSG_NOSIGNAL);
	case 37: return socket(below(3) ? AF_INET + (int)below(2) * 8 : AF_UNIX, (below(2) ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	case 38: return syscall(SYS_prlimit64, below(2) ? getpid() : (int)below(400), RLIMIT_NPROC, below(6) ? NULL : hostile(), below(2) ? (void *)&limit : hostile());
	case 39: return syscall(SYS_setpriority, below(4), below(2) ? getpid() : (int)below(400), 5);
	case 40: return syscall(SYS_shmctl, below(8), below(2) ? IPC_STAT : (int)below(16), hostile());
	case 41: return syscall(SYS_execve, path(), below(3) ? NULL : hostile(), below(3) ? NULL : hostile());
	case 42: return close((int)(3 + below(21)));
	case 43: return dup2((int)below(24), (int)(3 + below(21)));
	case 44: return below(3) ? chdir(root) : chdir(path());
	/* One of the trapped calls with arguments of any kind; never one that waits, signals or makes processes. */
	default: {
		const long trapped[] = { SYS_openat, SYS_openat2, SYS_renameat2, SYS_linkat, SYS_mknodat, SYS_fchownat, SYS_utimensat, SYS_setxattr, SYS_fsetxattr, SYS_connect, SYS_bind, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_shmget, SYS_shmat, SYS_semop, SYS_msgctl, SYS_sched_setattr, SYS_ioprio_set, SYS_inotify_add_watch, 463, 466, 469 };
		return syscall(trapped[below(sizeof trapped / sizeof *trapped)], anything(), anything(), anything(), anything() | O_NONBLOCK, anything(), anything());
	}
	}
}

static atomic_bool over;

static void *runs(void *seed) {
	state = (uint64_t)(uintptr_t)seed * 0x9e3779b97f4a7c15UL | 1;
	while (!over) {
		long result = one_call();
		atomic_fetch_add(&shared->calls, 1);
		atomic_fetch_add(&shared->succeeded, result >= 0);
	}
	return NULL;
}

/* It would damage this machine bare: it goes on only below a filter of system calls. */
static bool is_confined(void) {
	char text[4096] = "";
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	bool confined = fd >= 0 && read(fd, text, sizeof text - 1) > 0 && strstr(text, "Seccomp:\t2") && strstr(text, "NoNewPrivs:\t1");
	close(fd);
	return confined;
}

/* A process with one or two threads that lives for some calls, then ends or is killed in the middle of one. */
static int life(uint64_t seed) {
	int pid = fork();
	if (pid == 0) {
		pthread_t thread;
		int quiet = open("/dev/null", O_RDWR);
		dup2(quiet, 0), dup2(quiet, 1), dup2(quiet, 2);
		alarm(20);
		if (seed % 2)
			pthread_create(&thread, NULL, runs, (void *)(uintptr_t)(seed + 7777));
		state = seed | 1;
		runs((void *)(uintptr_t)seed);
		_exit(0);
	}
	if (pid < 0)
		exit(3);
	return pid;
}

int main(int argc, char **argv) {
	struct limit limit;
	unsigned long seed, lives = 0;
	double slowest = 0;
	if (argc != 6)
		usage("fuzz_calls ROOT OUTSIDE SEED CALLS SECONDS");
	if (!is_confined())
		return fprintf(stderr, "not without a sandbox\n"), 3;
	root = argv[1], outside = argv[2];
	seed = strtoul(argv[3], NULL, 10);
	limit = limit_from(argv[4], argv[5]);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wild = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(wild + 4096, 4096);
	memset(wild, 'x', 4096);
	if (chdir(root) != 0)
		return 3;
	mkdir("d", 0755);
	make_file("probe", "permitted");
	while (shared->calls < limit.tries && now() < limit.until) {
		int status, first = life(seed * 100003 + ++lives), second = life(seed * 200003 + ++lives);
		double start;
		usleep(20000 + (useconds_t)(lives * 7919 % 60000));
		/* While they rage, a permitted open goes on. */
		start = now();
		int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
		tried(fd < 0, "a permitted open failed: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		if (now() - start > slowest)
			slowest = now() - start;
		kill(first, SIGKILL), kill(second, SIGKILL);
		waitpid(first, &status, 0), waitpid(second, &status, 0);
	}
	printf("calls %lu succeeded %lu lives %lu slowest %.0f\n", shared->calls, shared->succeeded, lives, slowest * 1e6);
	return finish();
}
