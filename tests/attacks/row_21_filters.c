/* ATTACKS 21: filters and dispatch of the program's own. They may work, and must gain nothing.
 * row_21_filters SECRET OUTSIDEFILE */
#include "attack.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <ucontext.h>

static const char *secret, *outside;

static long install(unsigned flags, uint32_t action) {
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static bool gains(void) {
	int fd = (int)syscall(SYS_openat, AT_FDCWD, secret, O_RDONLY);
	if (fd >= 0 && gives_secret(fd))
		return true;
	/* After a trap the return value is whatever the handler left: only the file itself tells. */
	syscall(SYS_openat, AT_FDCWD, outside, O_WRONLY | O_CREAT, 0644);
	return exists(outside);
}

/* From the handler of the trapped call the same again, by the older number and by this one. */
static volatile sig_atomic_t trapped, gained;
static void on_sys(int signal, siginfo_t *info, void *context) {
	(void)signal, (void)info, (void)context;
	trapped = 1;
#ifdef SYS_open
	int fd = (int)syscall(SYS_open, secret, O_RDONLY);
	if (fd >= 0 && gives_secret(fd))
		gained = 1;
#endif
}

static void in_child(const char *what, bool (*attempt)(void)) {
	int status, pid = fork();
	if (pid == 0)
		_exit(attempt() ? 1 : 0);
	waitpid(pid, &status, 0);
	tried(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s", what);
}

static bool allow_all(void) { return install(0, SECCOMP_RET_ALLOW) == 0 && gains(); }
static bool log_all(void) { return install(0, SECCOMP_RET_LOG) == 0 && gains(); }
static bool trace(void) { return install(0, SECCOMP_RET_TRACE) == 0 && gains(); }
static bool tsync(void) { return install(SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_RET_ALLOW) == 0 && gains(); }
static bool second_listener(void) { return install(SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_RET_USER_NOTIF) >= 0; }
static bool notify_without_listener(void) { return install(0, SECCOMP_RET_USER_NOTIF) == 0 && gains(); }
static bool trap(void) {
	struct sigaction action = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO | SA_NODEFER };
	sigaction(SIGSYS, &action, NULL);
	return install(0, SECCOMP_RET_TRAP) == 0 && (gains() || gained);
}
static bool dispatch(void) {
	static char selector = 1;
	struct sigaction action = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO | SA_NODEFER };
	bool through;
	sigaction(SIGSYS, &action, NULL);
	if (prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, 0, 0, &selector) != 0)
		return false;
	selector = 0;
	through = gains();
	return through;
}
/* A tracer asks the kernel to leave its tracee's filters out. */
static bool suspended(void) {
	int status, pid = fork();
	if (pid == 0) {
		raise(SIGSTOP);
		_exit(gains() ? 1 : 0);
	}
	waitpid(pid, &status, WUNTRACED);
	ptrace(PTRACE_SEIZE, pid, 0, 0x200000 /* PTRACE_O_SUSPEND_SECCOMP */);
	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	while (WIFSTOPPED(status)) {
		ptrace(PTRACE_CONT, pid, 0, 0);
		waitpid(pid, &status, 0);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

#ifdef __x86_64__
/* A tracer turns its tracee's harmless call into another at the moment of its entry. */
static bool rewritten(void) {
	int status, pid = fork();
	if (pid == 0) {
		long fd;
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		fd = syscall(SYS_getppid, AT_FDCWD, secret, O_RDONLY);
		_exit(fd >= 0 && fd < 1000 && gives_secret((int)fd) ? 1 : 0);
	}
	for (waitpid(pid, &status, 0); WIFSTOPPED(status); waitpid(pid, &status, 0)) {
		struct user_regs_struct registers;
		if (ptrace(PTRACE_GETREGS, pid, 0, &registers) == 0 && registers.orig_rax == SYS_getppid && registers.rax == (unsigned long long)-ENOSYS) {
			registers.orig_rax = SYS_openat;
			ptrace(PTRACE_SETREGS, pid, 0, &registers);
		}
		ptrace(PTRACE_SYSCALL, pid, 0, 0);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}
#endif

static bool notification_calls(void) {
	char room[256] = { 0 };
	int fd;
	for (fd = 0; fd < 1024; fd++)
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, room) == 0 || errno == EFAULT || errno == ENOENT || errno == EINTR)
			if (fcntl(fd, F_GETFD) >= 0 && errno != ENOTTY)
				return true;
	return false;
}

int main(int argc, char **argv) {
	if (argc != 3)
		usage("row_21_filters SECRET OUTSIDEFILE");
	secret = argv[1], outside = argv[2];
#define TRY(name) in_child(#name, name)
	TRY(allow_all);
	TRY(log_all);
	TRY(trace);
	TRY(tsync);
	TRY(second_listener);
	TRY(notify_without_listener);
	TRY(trap);
	TRY(dispatch);
	TRY(notification_calls);
	TRY(suspended);
#ifdef __x86_64__
	TRY(rewritten);
#endif
	return finish();
}
