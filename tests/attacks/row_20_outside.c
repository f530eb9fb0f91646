/* ATTACKS 20: processes outside: traced, read, written, signalled, robbed of descriptors.
 * row_20_outside PID ADDRESS FD PGID: a process outside, the hexadecimal address of its secret, an open
 * descriptor of it, its process group. Repeated against every process that can be seen as an ancestor.
 * The last attempt is kill(-1): whoever started us looks who still lives. */
#include "attack.h"
#include <sys/ptrace.h>
#include <sys/uio.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

static void memory(int pid, unsigned long address) {
	char text[64] = "";
	struct iovec local = { text, sizeof text }, remote = { (void *)address, sizeof text };
	ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	tried(n > 0 || errno == EFAULT, "process_vm_readv of %d", pid);
	n = process_vm_writev(pid, &local, 1, &remote, 1, 0);
	tried(n > 0 || errno == EFAULT, "process_vm_writev of %d", pid);
	tried(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0, "ptrace seize of %d", pid);
	tried(ptrace(PTRACE_ATTACH, pid, 0, 0) == 0, "ptrace attach to %d", pid);
	tried(open(at("/proc/%d/mem", pid), O_RDWR | O_CLOEXEC) >= 0, "/proc/%d/mem", pid);
}

static void descriptors(int pid, int fd) {
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	tried(pidfd >= 0 && syscall(SYS_pidfd_getfd, pidfd, fd, 0) >= 0, "pidfd_getfd of %d", pid);
	tried(syscall(SYS_kcmp, pid, getpid(), 0, fd, 0) >= 0, "kcmp with %d", pid);
	if (pidfd >= 0)
		close(pidfd);
}

static void signals(int pid, int group) {
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), pipes[2];
	siginfo_t info = { .si_signo = SIGTERM, .si_code = SI_QUEUE };
	struct { int type, pid; } owner = { 1, pid };
	tried(kill(pid, 0) == 0, "kill(%d, 0)", pid);
	tried(kill(pid, SIGTERM) == 0, "kill(%d, SIGTERM)", pid);
	tried(kill(pid, SIGCONT) == 0, "kill(%d, SIGCONT)", pid);
	tried(kill(-group, SIGTERM) == 0, "kill(-%d, SIGTERM)", group);
	tried(syscall(SYS_tkill, pid, SIGTERM) == 0, "tkill of %d", pid);
	tried(syscall(SYS_tgkill, pid, pid, SIGTERM) == 0, "tgkill of %d", pid);
	tried(syscall(SYS_rt_sigqueueinfo, pid, SIGTERM, &info) == 0, "rt_sigqueueinfo to %d", pid);
	tried(syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGTERM, &info) == 0, "rt_tgsigqueueinfo to %d", pid);
	tried(pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) == 0, "pidfd_send_signal to %d", pid);
	if (pipe(pipes) == 0) {
		/* The owner may be set; the signal must not arrive: the victim would be dead at the end. */
		fcntl(pipes[0], F_SETOWN, pid);
		fcntl(pipes[0], 15 /* F_SETOWN_EX */, &owner);
		fcntl(pipes[0], 10 /* F_SETSIG */, SIGTERM);
		fcntl(pipes[0], F_SETFL, O_ASYNC | O_NONBLOCK);
		(void)!write(pipes[1], "x", 1);
		close(pipes[0]);
		close(pipes[1]);
	}
	if (pidfd >= 0)
		close(pidfd);
}

static int parent_of(int pid) {
	char text[512] = "";
	int fd = open(at("/proc/%d/stat", pid), O_RDONLY | O_CLOEXEC), parent = 0;
	char *after;
	if (fd >= 0 && read(fd, text, sizeof text - 1) > 0 && (after = strrchr(text, ')')))
		sscanf(after + 2, "%*c %d", &parent);
	if (fd >= 0)
		close(fd);
	return parent;
}

int main(int argc, char **argv) {
	int pid, ancestor;
	if (argc != 5)
		usage("row_20_outside PID ADDRESS FD PGID");
	pid = atoi(argv[1]);
	memory(pid, strtoul(argv[2], NULL, 16));
	descriptors(pid, atoi(argv[3]));
	signals(pid, atoi(argv[4]));
	/* The monitor and the supervisor. */
	for (ancestor = getenv("ATTACK_ANCESTORS") ? getppid() : 0; ancestor > 1; ancestor = parent_of(ancestor)) {
		memory(ancestor, 0x1000);
		descriptors(ancestor, 0);
		signals(ancestor, ancestor);
	}
	finish();
	fflush(stdout);
	if (getenv("ATTACK_EVERYONE"))
		kill(-1, SIGKILL);
	return 0;
}
