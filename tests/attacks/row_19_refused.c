/* ATTACKS 19: system calls that no sandboxed program needs. One is held when it returns EPERM,
 * ENOSYS or EACCES whatever its arguments; any other errno shows that the kernel looked at them.
 * row_19_refused */
#include "attack.h"
#include <sched.h>
#include <sys/timex.h>

static void call(const char *what, long nr, long a, long b, long c, long d, long e) {
	long result;
	errno = 0;
	result = syscall(nr, a, b, c, d, e, 0);
	tried(result >= 0 || (errno != EPERM && errno != ENOSYS && errno != EACCES), "%s: %ld %s", what, result, result < 0 ? strerror(errno) : "");
}

/* A call that, let through, makes a child or leaves for elsewhere: in a process of its own. */
static void apart(const char *what, long nr, long a, long b, long c, long d, long e) {
	int status, pid = fork();
	if (pid == 0) {
		long result = syscall(nr, a, b, c, d, e, 0);
		_exit(result >= 0 || (errno != EPERM && errno != ENOSYS && errno != EACCES));
	}
	waitpid(pid, &status, 0);
	tried(!(WIFEXITED(status) && WEXITSTATUS(status) == 0) && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS), "%s", what);
}

/* What userfaultfd(2) refuses its device gives: a handle on faults, which holds the copying of arguments up. */
static void user_faults_by_device(void) {
	int fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		fd = open("/dev/userfaultfd", O_RDONLY | O_CLOEXEC);
	tried(fd >= 0 && ioctl(fd, 0xaa00 /* USERFAULTFD_IOC_NEW */, O_CLOEXEC) >= 0, "a userfaultfd from its device");
	if (fd >= 0)
		close(fd);
}

int main(void) {
	static char zeros[256];
	long none = (long)zeros;
	static struct timex slew_by_nothing = { .modes = ADJ_OFFSET_SINGLESHOT };
	struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, rest[6]; } clone_args = { .exit_signal = SIGCHLD };
	const struct { const char *name; long flag; } spaces[] = { { "user", CLONE_NEWUSER }, { "mount", CLONE_NEWNS }, { "net", CLONE_NEWNET }, { "pid", CLONE_NEWPID }, { "ipc", CLONE_NEWIPC }, { "uts", CLONE_NEWUTS }, { "cgroup", CLONE_NEWCGROUP }, { "time", 0x80 }, { "user and mount", CLONE_NEWUSER | CLONE_NEWNS } };
	size_t i;
	user_faults_by_device();
	call("io_uring_setup", 425, 4, none, 0, 0, 0);
	call("io_uring_enter", 426, -1, 0, 0, 0, 0);
	call("io_uring_register", 427, -1, 0, 0, 0, 0);
	apart("clone3", 435, (long)&clone_args, 64, 0, 0, 0);
	for (i = 0; i < sizeof spaces / sizeof *spaces; i++) {
		apart(at("unshare %s namespace", spaces[i].name), SYS_unshare, spaces[i].flag, 0, 0, 0, 0);
		/* Within the exit signal's bits, hence for unshare alone. */
		if (spaces[i].flag != 0x80)
			apart(at("clone into a %s namespace", spaces[i].name), SYS_clone, spaces[i].flag | SIGCHLD, 0, 0, 0, 0);
	}
	call("setns", SYS_setns, -1, 0, 0, 0, 0);
	call("mount", SYS_mount, none, none, none, 0, 0);
	call("umount2", SYS_umount2, none, 0, 0, 0, 0);
	call("pivot_root", SYS_pivot_root, none, none, 0, 0, 0);
	apart("chroot", SYS_chroot, (long)"/", 0, 0, 0, 0);
	call("mq_open", SYS_mq_open, (long)"askance-test", O_RDONLY, 0, 0, 0);
	call("mq_unlink", SYS_mq_unlink, (long)"askance-test", 0, 0, 0, 0);
	call("fanotify_mark", SYS_fanotify_mark, -1, 0, 0, -1, 0);
	call("syslog", SYS_syslog, 99, 0, 0, 0, 0);
	call("open_tree_attr", 467, -1, none, 0, 0, 0);
	call("open_tree", 428, -1, none, 0, 0, 0);
	call("move_mount", 429, -1, none, -1, none, 0);
	call("fsopen", 430, none, 0, 0, 0, 0);
	call("fsconfig", 431, -1, 0, 0, 0, 0);
	call("fsmount", 432, -1, 0, 0, 0, 0);
	call("fspick", 433, -1, none, 0, 0, 0);
	call("mount_setattr", 442, -1, none, 0, none, 0);
	call("bpf", SYS_bpf, 0, none, 0, 0, 0);
	call("userfaultfd", SYS_userfaultfd, 1 << 20, 0, 0, 0, 0);
	call("perf_event_open", SYS_perf_event_open, none, 0, -1, -1, 0);
	call("add_key", SYS_add_key, (long)"user", (long)"k", (long)"v", 1, -3);
	call("request_key", SYS_request_key, (long)"user", (long)"k", 0, -3, 0);
	call("keyctl", SYS_keyctl, 0, -3, 1, 0, 0);
	call("open_by_handle_at", SYS_open_by_handle_at, -1, none, 0, 0, 0);
	call("kexec_load", SYS_kexec_load, 0, 1 << 20, 0, 0, 0);
	call("kexec_file_load", SYS_kexec_file_load, -1, -1, 0, 0, 0);
	call("init_module", SYS_init_module, none, 0, none, 0, 0);
	call("finit_module", SYS_finit_module, -1, none, 0, 0, 0);
	call("delete_module", SYS_delete_module, none, 0, 0, 0, 0);
	call("swapon", SYS_swapon, none, 0, 0, 0, 0);
	call("swapoff", SYS_swapoff, none, 0, 0, 0, 0);
	call("reboot", SYS_reboot, 1, 2, 3, 0, 0);
	call("acct", SYS_acct, (long)"/nonexistent", 0, 0, 0, 0);
	call("quotactl", SYS_quotactl, -1, none, 0, 0, 0);
	call("quotactl_fd", 443, -1, 0, 0, 0, 0);
	call("fanotify_init", SYS_fanotify_init, 0, 0, 0, 0, 0);
	call("settimeofday", SYS_settimeofday, none, 1, 0, 0, 0);
	call("clock_settime", SYS_clock_settime, 0, 1, 0, 0, 0);
	call("adjtimex that sets", SYS_adjtimex, (long)&slew_by_nothing, 0, 0, 0, 0);
	call("sethostname", SYS_sethostname, none, -1, 0, 0, 0);
	call("setdomainname", SYS_setdomainname, none, -1, 0, 0, 0);
#ifdef __x86_64__
	call("iopl", SYS_iopl, 3, 0, 0, 0, 0);
	call("ioperm", SYS_ioperm, 0, 1, 1, 0, 0);
	call("uselib", SYS_uselib, none, 0, 0, 0, 0);
#endif
	call("a number above every known one", 600, 0, 0, 0, 0, 0);
	call("a number far above", 1000, 0, 0, 0, 0, 0);
	return finish();
}
