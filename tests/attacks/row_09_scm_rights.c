/* ATTACKS 9: a descriptor of the secret handed over a Unix socket from outside.
 * row_09_scm_rights SOCKET (a listener that sends one descriptor to whoever connects) */
#include "attack.h"
#include <sys/un.h>

int main(int argc, char **argv) {
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr header; } control;
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	struct cmsghdr *header;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (argc != 2)
		usage("row_09_scm_rights SOCKET");
	strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		tried(false, "connect");
		return finish();
	}
	tried(true, "connect");
	if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) == 1 && (header = CMSG_FIRSTHDR(&message)) && header->cmsg_type == SCM_RIGHTS) {
		int passed;
		memcpy(&passed, CMSG_DATA(header), sizeof passed);
		tried(gives_secret(passed), "the secret by a passed descriptor");
	}
	return finish();
}
