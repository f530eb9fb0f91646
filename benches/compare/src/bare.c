/* The least that each mechanism costs, with nothing judged:
 * bare landlock PROGRAM…         exec beneath a Landlock layer that grants everything on /
 * bare floor PROGRAM…            the same and a filter that traps nothing, from a parent that waits: what a start costs
 * bare continue PROGRAM…         every openat notified and continued, synchronous wake-up
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
	struct landlock_ruleset_attr ruleset = { .handled_access_fs = (1ULL << 13) - 1 };
	struct landlock_path_beneath_attr rule = { .allowed_access = (1ULL << 13) - 1 };
	int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
	rule.parent_fd = open("/", O_PATH | O_CLOEXEC);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (fd < 0 || syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) || syscall(SYS_landlock_restrict_self, fd, 0))
		die("landlock");
}

static int filter(int nr, unsigned flags, uint32_t action) {
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	int fd;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (fd < 0)
		die("seccomp");
	return fd;
}

static void send_fd(int socket, int fd) {
	union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr header; } control = { { 0 } };
	struct iovec data = { "x", 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	control.header.cmsg_level = SOL_SOCKET, control.header.cmsg_type = SCM_RIGHTS, control.header.cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	if (sendmsg(socket, &message, 0) != 1)
		die("send the listener");
}

static int receive_fd(int socket) {
	union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr header; } control;
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	int fd = -1;
	if (recvmsg(socket, &message, 0) == 1 && message.msg_controllen)
		memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

/* Answers every notification until the last process that could cause one is gone. */
static void answer(int listener, int adds) {
	static struct seccomp_notif request;
	struct seccomp_notif_resp response;
	uint64_t flags = SYNC_WAKE_UP;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, flags);
	for (;;) {
		memset(&request, 0, sizeof request);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) {
			struct pollfd poller = { listener, POLLIN, 0 };
			if (errno == EINTR)
				continue;
			if (poll(&poller, 1, 0) == 1 && poller.revents & POLLHUP)
				return;
			continue;
		}
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
		landlock();
		if (notifies)
			send_fd(pair[1], filter(SYS_openat, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_RET_USER_NOTIF));
		else
			filter(600, 0, SECCOMP_RET_ERRNO | ENOSYS);
		close(pair[1]);
		execvp(argv[2], argv + 2);
		die(argv[2]);
	}
	close(pair[1]);
	if (notifies) {
		int listener = receive_fd(pair[0]);
		if (listener < 0)
			return 1;
		answer(listener, !strcmp(argv[1], "addfd"));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
