/* ATTACKS 15: Unix sockets of services outside.
 * row_15_unix WORKSPACE STREAM DATAGRAM ABSTRACT: two socket paths and an abstract name; the real
 * abstract name is ABSTRACT, NUL, "x". */
#include "attack.h"
#include <libgen.h>
#include <stddef.h>
#include <sys/un.h>

static struct sockaddr_un named(const char *path) {
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	strncpy(address.sun_path, path, sizeof address.sun_path);
	return address;
}

static void connect_to(const char *path, int type, socklen_t size, const char *what) {
	struct sockaddr_un address = named(path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	tried(connect(fd, (void *)&address, size) == 0, "%s %s", what, path);
	close(fd);
}

static void send_to(const char *path) {
	struct sockaddr_un address = named(path);
	struct iovec data = { "x", 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &data, .msg_iovlen = 1 } };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tried(sendto(fd, "x", 1, MSG_DONTWAIT, (void *)&address, sizeof address) == 1, "sendto %s", path);
	tried(sendmsg(fd, &message.msg_hdr, MSG_DONTWAIT) == 1, "sendmsg %s", path);
	tried(sendmmsg(fd, &message, 1, MSG_DONTWAIT) == 1, "sendmmsg %s", path);
	close(fd);
}

static void abstract(const char *name, bool embedded) {
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path + 1, name);
	if (embedded) {
		address.sun_path[1 + strlen(name) + 1] = 'x';
		size += 2;
	}
	tried(connect(fd, (void *)&address, size) == 0, "abstract %s%s", name, embedded ? "\\0x" : "");
	close(fd);
}

int main(int argc, char **argv) {
	const char *ws, *stream, *datagram;
	char *link_path, *hard;
	if (argc != 5)
		usage("row_15_unix WORKSPACE STREAM DATAGRAM ABSTRACT");
	ws = argv[1], stream = argv[2], datagram = argv[3];
	connect_to(stream, SOCK_STREAM, sizeof(struct sockaddr_un), "stream");
	connect_to(stream, SOCK_STREAM, (socklen_t)(2 + strlen(stream)), "stream, not terminated");
	connect_to(at("/%s", stream), SOCK_STREAM, sizeof(struct sockaddr_un), "stream");
	connect_to(at("/proc/self/root%s", stream), SOCK_STREAM, sizeof(struct sockaddr_un), "stream");
	link_path = strdup(at("%s/s", ws));
	if (symlink(stream, link_path) == 0)
		connect_to(link_path, SOCK_STREAM, sizeof(struct sockaddr_un), "symbolic link");
	hard = strdup(at("%s/h", ws));
	if (link(stream, hard) == 0)
		connect_to(hard, SOCK_STREAM, sizeof(struct sockaddr_un), "hard link");
	if (chdir(dirname(strdup(stream))) == 0)
		connect_to(basename(strdup(stream)), SOCK_STREAM, sizeof(struct sockaddr_un), "relative");
	connect_to(datagram, SOCK_DGRAM, sizeof(struct sockaddr_un), "datagram");
	send_to(datagram);
	abstract(argv[4], false);
	abstract(argv[4], true);
	return finish();
}
