/* ATTACKS 37: what the kernel does on somebody's word: files that act when they are written, core dumps, descriptors of
 * the process at the other end of a socket, ends that are told to a parent.
 * row_37_kernel WORKSPACE OUTSIDE PID: a directory outside, a process outside. Nothing is ever written to a file that acts. */
#include "attack.h"
#include <dirent.h>
#include <linux/sched.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/un.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static void opens(const char *path) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	tried(fd >= 0, "%s for writing", path);
	if (fd >= 0)
		close(fd);
}

static void knobs(const char *pid) {
	const char *machine[] = { "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/sys/fs/binfmt_misc/register", "/proc/sys/kernel/ns_last_pid", "/proc/sys/net/ipv4/ip_forward", "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/pids/tasks", "/sys/fs/cgroup/memory/release_agent" };
	const char *process[] = { "oom_score_adj", "oom_adj", "mem", "comm", "autogroup", "coredump_filter", "clear_refs", "timerslack_ns", "sched", "attr/current", "uid_map", "loginuid" };
	size_t i;
	for (i = 0; i < sizeof machine / sizeof *machine; i++)
		opens(machine[i]);
	for (i = 0; i < sizeof process / sizeof *process; i++)
		opens(at("/proc/%s/%s", pid, process[i]));
}

/* The kernel writes a core where the process stands. */
static void core(const char *outside) {
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct dirent *entry;
	int status, pid = fork();
	bool found = false;
	DIR *dir;
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &all);
		if (chdir(outside) == 0)
			raise(SIGQUIT);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	dir = opendir(outside);
	while (dir && (entry = readdir(dir)))
		found |= strstr(entry->d_name, "core") != NULL;
	tried(found, "a core in a directory outside");
}

/* Whoever carries out a connection for us must not be in our hands. */
static void peer(const char *ws) {
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), server, pidfd = -1, got;
	struct ucred who = { 0 };
	socklen_t length = sizeof pidfd, size = sizeof who;
	snprintf(address.sun_path, sizeof address.sun_path, "%s/peer", ws);
	if (bind(listener, (void *)&address, sizeof address) != 0 || listen(listener, 1) != 0 || connect(client, (void *)&address, sizeof address) != 0) {
		perror("a socket of our own");
		exit(3);
	}
	server = accept(listener, NULL, NULL);
	getsockopt(server, SOL_SOCKET, SO_PEERCRED, &who, &size);
	if (who.pid == getpid() || getsockopt(server, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) != 0)
		return;
	tried(syscall(SYS_pidfd_send_signal, pidfd, SIGSTOP, NULL, 0) == 0, "a signal to the peer");
	tried((got = (int)syscall(SYS_pidfd_getfd, pidfd, 0, 0)) >= 0, "a descriptor of the peer");
	tried(setpriority(PRIO_PROCESS, (id_t)who.pid, 10) == 0, "the priority of the peer");
	tried(kill(who.pid, SIGSTOP) == 0, "a signal to the peer's number");
	opens(at("/proc/%d/oom_score_adj", who.pid));
}

/* Children given to our parent, which end as they like; a parent that is made a tracer. The run must survive. */
static void parents(void) {
	int i;
	for (i = 0; i < 8; i++) {
		long pid = syscall(SYS_clone, CLONE_PARENT | SIGKILL, 0, 0, 0, 0);
		if (pid == 0) {
			if (i % 2)
				ptrace(PTRACE_TRACEME, 0, 0, 0);
			if (i % 4 > 1)
				raise(SIGSTOP);
			_exit(7);
		}
	}
}

int main(int argc, char **argv) {
	if (argc != 4)
		usage("row_37_kernel WORKSPACE OUTSIDE PID");
	knobs(argv[3]);
	core(argv[2]);
	peer(argv[1]);
	if (getenv("ATTACK_PARENTS"))
		parents();
	return finish();
}
