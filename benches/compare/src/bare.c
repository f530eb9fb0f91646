/* The least that each mechanism costs, with nothing judged:
 * bare landlock PROGRAM…         exec beneath a Landlock layer that grants everything on /
 * bare floor PROGRAM…            the same and a filter that traps nothing, from a parent that waits: what a start costs
 * bare continue PROGRAM…         every openat notified and continued, synchronous wake-up
 * bare calls PROGRAM…            the same of every call that askance traps; `calls NUMBER` on standard error at the end
 * bare addfd PROGRAM…            every openat notified, its path copied, opened by the parent and installed with ADDFD */
#include "clock.h"
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <poll.h>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, uint64_t)
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND 2
#endif
#define SYNC_WAKE_UP 1

static void landlock(void) {
	struct landlock_ruleset_attr ruleset = { .handled_access_fs = (1ULL << 14) - 1 };
	struct landlock_path_beneath_attr rule = { .allowed_access = (1ULL << 14) - 1 };
	int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
	rule.parent_fd = open("/", O_PATH | O_CLOEXEC);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (fd < 0 || syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) || syscall(SYS_landlock_restrict_self, fd, 0))
		die("landlock");
}

/* What askance's filter traps whatever the arguments are (src/sandbox/filter/calls.rs), and opens. */
static const int trapped[] = {
	SYS_openat, SYS_openat2, SYS_mkdirat, SYS_mknodat, SYS_unlinkat, SYS_renameat, SYS_renameat2, SYS_linkat,
	SYS_symlinkat, SYS_truncate, SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_setxattr,
	SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, SYS_umask,
	SYS_inotify_add_watch, SYS_execve, SYS_execveat, SYS_connect, SYS_bind, SYS_listen, SYS_sendmsg, SYS_sendmmsg,
#ifdef SYS_open
	SYS_open, SYS_creat, SYS_mkdir, SYS_rmdir, SYS_mknod, SYS_unlink, SYS_rename, SYS_link, SYS_symlink, SYS_chmod,
	SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat,
#endif
};

static int filter(const int *numbers, unsigned count, unsigned flags, uint32_t action) {
	struct sock_filter code[64] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
	struct sock_fprog program = { (unsigned short)(count + 3), code };
	unsigned i;
	int fd;
	for (i = 0; i < count; i++)
		code[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[i], (uint8_t)(count - i), 0);
	code[count + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[count + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (fd < 0)
		die("seccomp");
	return fd;
}

/* Answers every notification until the last process that could cause one is gone; says how many there were. */
static long answer(int listener, int adds) {
	static struct seccomp_notif request;
	struct seccomp_notif_resp response;
	uint64_t flags = SYNC_WAKE_UP;
	long calls = 0;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
	for (;;) {
		memset(&request, 0, sizeof request);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) {
			struct pollfd poller = { listener, POLLIN, 0 };
			if (errno == EINTR)
				continue;
			if (poll(&poller, 1, 0) == 1 && poller.revents & POLLHUP)
				return calls;
			continue;
		}
		calls++;
		if (adds) {
			char path[4096];
			struct iovec local = { path, sizeof path }, remote = { (void *)(uintptr_t)request.data.args[1], sizeof path };
			struct seccomp_notif_addfd addfd = { .id = request.id, .flags = SECCOMP_ADDFD_FLAG_SEND, .newfd_flags = O_CLOEXEC };
			/* A page end inside the room: what lies before it holds the path. */
			remote.iov_len = 4096 - (request.data.args[1] & 4095) < 256 ? sizeof path : 4096 - (request.data.args[1] & 4095);
			local.iov_len = remote.iov_len;
			if (process_vm_readv((pid_t)request.pid, &local, 1, &remote, 1, 0) > 0) {
				int fd = open(path, (int)request.data.args[2]);
				if (fd >= 0) {
					addfd.srcfd = (uint32_t)fd;
					ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);
					close(fd);
					continue;
				}
			}
		}
		memset(&response, 0, sizeof response);
		response.id = request.id, response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
	}
}

int main(int argc, char **argv) {
	int pair[2], status = 0, notifies, pid;
	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "landlock")) {
		landlock();
		execvp(argv[2], argv + 2);
		die(argv[2]);
	}
	notifies = strcmp(argv[1], "floor") != 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		die("socketpair");
	pid = fork();
	if (pid == 0) {
		const int none = 600;
		landlock();
		if (notifies) {
			/* The first of the table is openat. */
			unsigned count = strcmp(argv[1], "calls") ? 1 : sizeof trapped / sizeof *trapped;
			int fd = filter(trapped, count, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_RET_USER_NOTIF);
			/* The parent takes it: to send it would be trapped. */
			if (write(pair[1], &fd, sizeof fd) != sizeof fd || read(pair[1], &fd, 1) != 1)
				die("hand the listener over");
		} else
			filter(&none, 1, 0, SECCOMP_RET_ERRNO | ENOSYS);
		execvp(argv[2], argv + 2);
		die(argv[2]);
	}
	close(pair[1]);
	if (notifies) {
		int theirs, listener, child = (int)syscall(SYS_pidfd_open, pid, 0);
		long calls;
		if (read(pair[0], &theirs, sizeof theirs) != sizeof theirs)
			return 1;
		listener = (int)syscall(SYS_pidfd_getfd, child, theirs, 0);
		if (listener < 0 || write(pair[0], "", 1) != 1)
			die("take the listener");
		calls = answer(listener, !strcmp(argv[1], "addfd"));
		if (!strcmp(argv[1], "calls"))
			fprintf(stderr, "calls %ld\n", calls);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
